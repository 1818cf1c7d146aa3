"""Commands in tests: their variables, a run in a process of its own, and the form of an error."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from city_data_tests.test_cities import TOWN

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def set_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A registry of one open city and one closed one, and a home that is not there yet."""
    cities = tmp_path / "cities.yaml"
    closed = {**TOWN, "city_id": "closed", "name": "Closed", "enabled": False}
    cities.write_text(yaml.safe_dump({"cities": [{**TOWN, "name": "Old Town"}, closed]}))
    for name in list(os.environ):
        if name.startswith(("CITY_DATA_", "ENABLED", "DAGSTER_HOME", "API_", "EXPORTER_")):
            monkeypatch.delenv(name)
    own = {
        "CITY_DATA_HOME": str(tmp_path / "home"),
        "CITY_DATA_CITIES": str(cities),
        "CITY_DATA_AS_OF": NOW.isoformat(),
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **own}


def assert_one_line(text: str, expected: str) -> None:
    assert text.startswith("error: "), text
    assert text.count("\n") == 1, text
    assert expected in text


def command(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "city_data.cli", *arguments]
    return subprocess.run(
        line, env=variables, capture_output=True, encoding="utf-8", errors="strict", check=False, timeout=100
    )
