"""`city-data doctor --live` against the sandbox: good, and every source spoilt in five ways, each named rightly."""

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
from city_data.sandbox import open_meteo
from city_data_tests.providers import test_contract as contract
from city_data_tests.providers.cases import cases as recorded_cases
from city_data_tests.world import AS_OF, World

PAGE = "<!DOCTYPE html><html><head><title>Request Rejected</title></head><body></body></html>"
# The path of each source's data, and of anything that it answers.
DATA = {
    "aemet": "/opendata/sh/",
    "open_meteo": "/v1/archive",
    "openweather": "/history/city",
    "meteo_france": r"csv\.gz$",
    "madrid_opendata": r"\.zip$",
    "barcelona_opendata": r"\.csv$",
    "valencia_opendata": "MapServer",
    "grandlyon_opendata": "pvocomptagemeasure",
}
HOSTS = DATA | {
    "grandlyon_opendata": "download.data.grandlyon.com",
    "aemet": "opendata.aemet.es",
    "meteo_france": "www.data.gouv.fr",
    "madrid_opendata": "datos.madrid.es",
    "barcelona_opendata": "opendata-ajuntament.barcelona.cat",
    "paris_opendata": "opendata.paris.fr",
    "zurich_opendata": "data.stadt-zuerich.ch",
}
COUNTRIES = {"Europe/Paris": "FR", "Europe/Zurich": "CH"}
CITIES: dict[str, tuple[str, float, float, dict[str, dict[str, Any]]]] = {
    "madrid": (
        "Europe/Madrid",
        40.4168,
        -3.7038,
        {
            "weather": {
                "provider": "aemet",
                "settings": {"stations": ["3195"]},
                "fallback": {"provider": "open_meteo"},
            },
            "traffic": {"provider": "madrid_opendata"},
        },
    ),
    "barcelona": (
        "Europe/Madrid",
        41.3851,
        2.1734,
        {"weather": {"provider": "openweather"}, "traffic": {"provider": "barcelona_opendata"}},
    ),
    "paris": (
        "Europe/Paris",
        48.8566,
        2.3522,
        {
            "weather": {"provider": "meteo_france", "settings": {"department": "75", "stations": ["75114001"]}},
            "traffic": {"provider": "paris_opendata"},
        },
    ),
    "lyon": ("Europe/Paris", 45.764, 4.8357, {"traffic": {"provider": "grandlyon_opendata"}}),
    "zurich": ("Europe/Zurich", 47.3769, 8.5417, {"traffic": {"provider": "zurich_opendata"}}),
    "valencia": ("Europe/Madrid", 39.4699, -0.3763, {"traffic": {"provider": "valencia_opendata"}}),
}


@pytest.fixture
def cities(world: World) -> Iterator[World]:
    world.monkeypatch.setenv("OPENWEATHER_API_KEY", "good")
    world.write_cities(
        [
            {"city_id": name, "name": name.title(), "country": COUNTRIES.get(zone, "ES"), "latitude": north,
             "longitude": east, "radius_km": 20, "timezone": zone, "enabled": True} | sources
            for name, (zone, north, east, sources) in CITIES.items()
        ]
    )  # fmt: skip
    yield world
    world.at(AS_OF)


def report(world: World, record: Path | None = None, only: str | None = None) -> tuple[bool, dict[str, str]]:
    """Whether all is well, and the lines by source."""
    text = io.StringIO()
    feeds = [f for f in world.feeds if only is None or only in [choice.provider.name for choice in f.choices]]
    healthy = examine_live(Console(file=text, width=9_000), feeds, AS_OF, record)
    sources: dict[str, str] = {}
    for line in text.getvalue().splitlines():
        if not line.startswith(" "):
            name = line.partition(" ")[0]
        sources[name] = sources.get(name, "") + line + "\n"
    return healthy, sources


def verdict(world: World, name: str) -> str:
    """The verdict on one source, which is bad."""
    healthy, sources = report(world, only=name)
    assert not healthy
    assert [other for other, text in sources.items() if "  bad " in text] == [name], sources
    return sources[name].partition("  bad ")[2]


def test_good_sources_are_shown_with_question_columns_samples_and_reach(cities: World) -> None:
    healthy, sources = report(cities)
    assert healthy, sources
    assert sources.keys() == HOSTS.keys() == set(discover())
    for name, text in sources.items():
        question = text.splitlines()[0]
        assert question.startswith(f"{name} (")
        assert f"for {discover()[name].sampled}, 2026-" in question
        assert question.endswith("of its day")
        assert text.splitlines()[-1].strip() == "ok"
        assert " https://" in text
        assert "columns with values: " in text
        assert "fields of the source: " in text
        assert name in ("valencia_opendata", "barcelona_opendata") or "sample: " in text
    for name in ("aemet", "open_meteo", "openweather"):
        assert "columns with values: temperature, precipitation" in sources[name]
        assert "°C at 2026-11-" in sources[name]
        assert "declared lag " in sources[name]
    assert "206 https://datos.madrid.es/" in sources["madrid_opendata"]


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_blocked_source_is_named_as_such(cities: World, name: str) -> None:
    cities.sandbox.faults.order(HOSTS[name], status=403, body=PAGE)
    assert "a firewall in front of" in verdict(cities, name)


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("aemet", "tmed", "no value of temperature"),
        ("open_meteo", "temperature_2m", "the answer lacks temperature_2m"),
        ("openweather", "temp", "no value of temperature"),
        ("meteo_france", "T", "it lacks T"),
        ("madrid_opendata", "intensidad", "the CSV lacks intensidad"),
        ("barcelona_opendata", "estatActual", "estatActual"),
        ("valencia_opendata", "ih", "the layer lacks ih"),
        ("zurich_opendata", "collection_type", "lacks collection_type"),
        ("grandlyon_opendata", "start_datetime", "measures-1.json lacks start_datetime; its columns are channel_id"),
        ("grandlyon_opendata", "count", "measures-1.json lacks count"),
    ],
)
def test_other_shape_is_named(cities: World, name: str, column: str, words: str) -> None:
    cities.sandbox.faults.order(DATA.get(name, HOSTS[name]), without_column=column)
    assert words in verdict(cities, name)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("name", sorted(DATA.keys() - {"grandlyon_opendata"}))
def test_stamps_by_another_clock_are_named(cities: World, name: str, sign: int) -> None:
    """AEMET's days have no hours; Lyon's stamps carry their offsets."""
    cities.sandbox.faults.order(DATA[name], shift_minutes=sign * (1_440 if name == "aemet" else 60))
    words = "the answer is of" if name == "openweather" else "by another clock"
    assert words in verdict(cities, name)


@pytest.mark.parametrize(
    ("name", "column", "scale", "words"),
    [
        ("aemet", "tmed", 10, "most of them implausible"),
        ("aemet", "velmedia", 10, "wind_speed in another unit? its mean is"),
        ("open_meteo", "relative_humidity_2m", 0.01, "humidity in another unit? its mean is"),
        ("open_meteo", "pressure_msl", 100, "pressure"),
        ("openweather", "temp", 20, "temp"),
        ("meteo_france", "PMER", 100, "PMER"),
        ("madrid_opendata", "vmed", 0.01, "average_speed in another unit? its mean is"),
        ("madrid_opendata", "intensidad", 1_000, "used"),
        ("barcelona_opendata", "estatActual", 10, "stat"),
        ("valencia_opendata", "ih", 1_000, "rejected as spike: another unit?"),
        ("zurich_opendata", "pedestrians_count", 1_000, "cells of 'pedestrians_count' cannot be used"),
        ("grandlyon_opendata", "count", 1_000, "most of them implausible"),
        ("grandlyon_opendata", "count", 0.001, "pedestrian_count in another unit? its mean is"),
    ],
)
def test_other_units_are_named(cities: World, name: str, column: str, scale: float, words: str) -> None:
    cities.sandbox.faults.order(DATA.get(name, HOSTS[name]), scaled_column=column, scale=scale)
    assert words in verdict(cities, name)


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_stale_source_is_named(cities: World, name: str) -> None:
    then = AS_OF - timedelta(days=40 if discover()[name].whole_files else 14)
    cities.sandbox.publication.clock = lambda: then
    cities.monkeypatch.setattr(cities.sandbox.publication, "list_open_month", False)
    if name == "open_meteo":  # it answers for every day until today, without values where it has none
        cities.sandbox.publication.clock = lambda: AS_OF
        cities.monkeypatch.setattr(open_meteo, "LAG", AS_OF - then)
    healthy, sources = report(cities, only=name)
    assert not healthy
    assert sources[name].partition("  bad ")[2].startswith("stale: "), sources[name]


@pytest.mark.parametrize(
    ("name", "fault", "words"),
    [
        ("aemet", {"swap_decimals": True}, "cannot be used, most of them unreadable"),
        ("open_meteo", {"body": '{"hourly": {"ti'}, "broken JSON"),
        ("aemet", {"body": "<html>Mantenimiento</html>"}, "what is not JSON"),
        ("madrid_opendata", {"body": PAGE}, "not a ZIP file but"),
        ("barcelona_opendata", {"body": PAGE}, "not a CSV file but"),
        ("meteo_france", {"body": PAGE}, "not a complete gzip"),
        ("grandlyon_opendata", {"body": '{"values": [["69382.00647.02.00"]]}', "times": 1}, "no record among them"),
    ],
)
def test_changed_source_is_named_with_what_changed(cities: World, name: str, fault: dict[str, Any], words: str) -> None:
    cities.sandbox.faults.order(DATA[name], **fault)
    assert words in verdict(cities, name)


def test_folder_that_cannot_be_made_is_named(cities: World, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match=r"--record .*file cannot be used"):
        report(cities, file)


def test_recorded_failures_fail_as_fixtures_and_good_answers_pass(cities: World, tmp_path: Path) -> None:
    cities.monkeypatch.setenv("AEMET_API_KEY", "canary-key")
    cities.sandbox.faults.order(DATA["open_meteo"], without_column="temperature_2m")
    cities.sandbox.faults.order(DATA["madrid_opendata"], shift_minutes=60)
    cities.sandbox.faults.order("opendata.aemet.es", status=401, body="canary-key is not known")
    report(cities, tmp_path)
    cases = {case.provider.name: case for case in recorded_cases(tmp_path)}
    assert cases.keys() == HOSTS.keys()
    assert {case.folder.name.partition("-")[2] for case in cases.values()} == {"2026-11-24"}
    with pytest.raises(PermanentError, match="lacks temperature_2m"):
        contract.test_a_frame_is_canonical(cases.pop("open_meteo"))
    with pytest.raises(PermanentError):
        contract.test_a_frame_is_canonical(cases.pop("aemet"))
    with pytest.raises(AssertionError, match="stamps by another clock"):
        contract.test_recorded_answer_is_as_its_parser_expects(cases.pop("madrid_opendata"))
    for case in cases.values():
        contract.test_recorded_answer_is_as_its_parser_expects(case)
        contract.test_every_row_received_is_used_or_rejected_under_one_reason(case)
        if not case.provider.capabilities.forward_only:  # one poll makes no value
            contract.test_values_are_parsed_and_missing_ones_are_null(case)


def test_recordings_hold_no_secret(cities: World, tmp_path: Path) -> None:
    cities.monkeypatch.setenv("AEMET_API_KEY", "canary-key")
    cities.sandbox.faults.order("opendata.aemet.es", status=401, body="canary-key is not known")
    report(cities, tmp_path, only="aemet")
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes()
    refused = json.loads((tmp_path / "aemet-2026-11-24" / "request.json").read_text())
    assert refused["answers"][0].startswith("401 https://opendata.aemet.es/")
