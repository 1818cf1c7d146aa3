"""`city-data doctor --live` against the sandbox: good, and each kind of spoilt source named rightly."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from city_data.errors import UsageError
from city_data.operations.live_examination import examine_live
from city_data.providers import discover
from city_data.providers.base import PermanentError
from city_data_tests.providers.test_contract import Case
from city_data_tests.world import AS_OF, World

PAGE = "<!DOCTYPE html><html><head><title>Request Rejected</title></head><body></body></html>"
HOSTS = {
    "aemet": "opendata.aemet.es",
    "open_meteo": "archive-api",
    "madrid_opendata": "datos.madrid.es",
    "valencia_opendata": "geoportal.valencia.es",
}


@pytest.fixture
def cities(world: World) -> Iterator[World]:
    world.enable("madrid", "valencia")
    yield world
    world.at(AS_OF)


def report(world: World, record: Path | None = None) -> tuple[bool, dict[str, str]]:
    """Whether all is well, and the lines by source."""
    text = io.StringIO()
    healthy = examine_live(Console(file=text, width=500), world.feeds, AS_OF, record)
    sources: dict[str, str] = {}
    for line in text.getvalue().splitlines():
        if not line.startswith(" "):
            name = line.partition(" ")[0]
        sources[name] = sources.get(name, "") + line + "\n"
    return healthy, sources


def test_good_sources_are_shown_with_columns_samples_and_reach(cities: World) -> None:
    healthy, sources = report(cities)
    assert healthy
    assert sources.keys() == HOSTS.keys()
    for name, text in sources.items():
        assert text.splitlines()[0].startswith(f"{name} (")
        assert "of its day" in text.splitlines()[0]
        assert text.splitlines()[-1].strip() == "ok"
        assert "200 https://" in text
    for name in ("aemet", "open_meteo"):
        assert "columns with values: temperature, precipitation" in sources[name]
        assert "sample: temperature " in sources[name]
        assert "°C at 2026-11-" in sources[name]
        assert "declared lag 5 days" in sources[name]
    assert "2026-10: last-modified" in sources["madrid_opendata"]


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_blocked_source_is_named_as_such(cities: World, name: str) -> None:
    cities.sandbox.faults.order(HOSTS[name], status=403, body=PAGE)
    healthy, sources = report(cities)
    assert not healthy
    assert "a firewall in front of" in sources[name]
    assert [other for other, text in sources.items() if "  bad " in text] == [name]


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("open_meteo", {"without_column": "temperature_2m"}, "the answer lacks temperature_2m"),
        ("aemet", {"without_column": "tmed"}, "no value of temperature, pressure, which the source promises"),
        ("valencia_opendata", {"without_column": "ih"}, "ih"),
        ("open_meteo", {"shift_minutes": 30}, "no stamp is an hour of the month"),
        ("aemet", {"swap_decimals": True}, "cannot be used, most of them unreadable"),
        ("open_meteo", {"body": '{"hourly": {"ti'}, "broken JSON"),
        ("aemet", {"body": "<html>Mantenimiento</html>"}, "what is not JSON"),
    ],
)
def test_changed_source_is_named_with_what_changed(cities: World, name: str, fault: dict[str, Any], words: str) -> None:
    cities.sandbox.faults.order(HOSTS[name], **fault)
    healthy, sources = report(cities)
    assert not healthy
    assert "  bad " in sources[name]
    assert words in sources[name].partition("  bad ")[2]


def test_stale_sources_are_named(cities: World) -> None:
    then = AS_OF - timedelta(days=12)
    cities.sandbox.publication.clock = lambda: then
    cities.sandbox.faults.order(HOSTS["valencia_opendata"], frozen_at=then.isoformat())
    healthy, sources = report(cities)
    assert not healthy
    for name in ("aemet", "valencia_opendata"):
        assert "  bad stale: newest data 2026-11-" in sources[name]


def test_folder_that_cannot_be_made_is_named(cities: World, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"--record .*file cannot be used"):
        report(cities, file)


def test_recorded_failure_fails_as_a_fixture_and_holds_no_secret(cities: World, tmp_path: Path) -> None:
    cities.monkeypatch.setenv("AEMET_API_KEY", "canary-key")
    cities.sandbox.faults.order("archive-api", without_column="temperature_2m")
    cities.sandbox.faults.order("opendata.aemet.es", status=401, body="canary-key is not known")
    report(cities, tmp_path / "recorded")
    with pytest.raises(PermanentError, match="lacks temperature_2m"):
        Case(discover()["open_meteo"], tmp_path / "recorded" / "open_meteo").parse()
    assert Case(discover()["valencia_opendata"], tmp_path / "recorded" / "valencia_opendata").parse().received > 0
    for file in (tmp_path / "recorded").rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes()
    refused = json.loads((tmp_path / "recorded" / "aemet" / "request.json").read_text())
    assert refused["answers"][0].startswith("401 https://opendata.aemet.es/")
