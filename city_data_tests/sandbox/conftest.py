"""One sandbox for the whole folder, at a fixed moment, and a client that calls real addresses through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from city_data.sandbox import Sandbox, running

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
Call = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    with running(folder, as_of=AS_OF, keys={"AEMET_API_KEY": "good"}) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    """Without faults, before and after."""
    served.faults.clear()
    yield served
    served.faults.clear()


@pytest.fixture
def call(sandbox: Sandbox) -> Iterator[Call]:
    """GET a real https address, as the routes send it."""
    with httpx.Client(timeout=10, trust_env=False) as client:

        def get(url: str, **options: object) -> httpx.Response:
            return client.get(url.replace("https:/", sandbox.base_url, 1), **options)  # type: ignore[arg-type]

        yield get
