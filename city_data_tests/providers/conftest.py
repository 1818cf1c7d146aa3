"""What the tests of providers need ready: a scripted web server, and the recorded payloads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from city_data_tests.providers.wire import RECORDED, Site, site


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def recorded() -> Path:
    """The folder of recorded payloads, one folder a source."""
    if not RECORDED.is_dir():
        pytest.skip(f"no recorded payloads at {RECORDED}")
    return RECORDED
