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

from city_data.datasets import DATASETS
from city_data.errors import UsageError
from city_data.operations.live_examination import examine_live
from city_data.providers import discover
from city_data.providers.base import PermanentError
from city_data.sandbox import open_meteo, open_meteo_forecast
from city_data_tests.providers import test_contract as contract
from city_data_tests.providers.cases import cases as recorded_cases
from city_data_tests.providers.sources import Spoilt, any_answer_of, facts_of
from city_data_tests.world import AS_OF, World, shipped

PAGE = "<!DOCTYPE html><html><head><title>Request Rejected</title></head><body></body></html>"
FACTS = {name: facts_of(name) for name in discover()}
DATA = {name: facts.data for name, facts in FACTS.items()}


def spoilt_by(*fields: str) -> list[tuple[str, Spoilt]]:
    """The faults of one kind, of every source."""
    return [(name, one) for name, facts in FACTS.items() for one in facts.spoilt if one.fault.keys() & set(fields)]


def label(value: str | Spoilt) -> str:
    return value if isinstance(value, str) else f"{'-'.join(map(str, value.fault.values()))}-{value.words}"


def entries() -> list[dict[str, Any]]:
    """The shipped registry, and a city of the sources that it does not name."""
    sources = [city[dataset] for city in shipped() for dataset in DATASETS if dataset in city]
    named = {one["provider"] for source in sources for one in (source, source.get("fallback", source))}
    elsewhere = {"country": "ES", "latitude": 42.0, "longitude": -5.0, "radius_km": 20, "timezone": "Europe/Madrid"}
    return shipped() + [
        {"city_id": f"town_of_{name}", "name": name, "enabled": True, provider.capabilities.dataset: {"provider": name}}
        | elsewhere
        for name, provider in discover().items()
        if name not in named
    ]


@pytest.fixture
def cities(world: World) -> Iterator[World]:
    for provider in discover().values():
        if provider.capabilities.key_variable:
            world.monkeypatch.setenv(provider.capabilities.key_variable, "good")
    world.write_cities(entries())
    yield world
    world.at(AS_OF)


def report(world: World, record: Path | None = None, only: str | None = None) -> tuple[bool, dict[str, str]]:
    """Whether all is well, and the lines by source."""
    text = io.StringIO()
    feeds = world.feeds
    if only is not None:
        feeds = [next(feed for feed in feeds if only in [choice.provider.name for choice in feed.choices])]
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
    assert sources.keys() == set(discover())
    for name, text in sources.items():
        question = text.splitlines()[0]
        assert question.startswith(f"{name} (")
        assert f"for {discover()[name].sampled}, 2026-" in question
        assert question.endswith("of its day")
        assert text.splitlines()[-1].strip() == "ok"
        assert " https://" in text
        assert "columns with values: " in text
        assert "fields of the source: " in text
        capabilities = discover()[name].capabilities
        counts = {column.name for column in DATASETS[capabilities.dataset].columns if column.kind == "number"}
        assert capabilities.forward_only or not counts & set(capabilities.columns) or "sample: " in text
    for name in ("aemet", "open_meteo", "openweather"):
        assert "columns with values: temperature, precipitation" in sources[name]
        assert "°C at 2026-11-" in sources[name]
        assert "declared lag " in sources[name]
    assert "206 https://datos.madrid.es/" in sources["madrid_opendata"]


@pytest.mark.parametrize("name", sorted(discover()))
def test_blocked_source_is_named_as_such(cities: World, name: str) -> None:
    cities.sandbox.faults.order(any_answer_of(name), status=403, body=PAGE)
    assert "a firewall in front of" in verdict(cities, name)


@pytest.mark.parametrize(("name", "spoilt"), spoilt_by("without_column"), ids=label)
def test_other_shape_is_named(cities: World, name: str, spoilt: Spoilt) -> None:
    cities.sandbox.faults.order(DATA[name], **spoilt.fault)
    assert spoilt.words in verdict(cities, name)


def test_every_source_is_tested_without_a_column() -> None:
    assert {name for name, _ in spoilt_by("without_column")} == set(discover())


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("name", "shifted"), [(name, facts.shifted) for name, facts in FACTS.items() if facts.shifted],
                         ids=label)  # fmt: skip
def test_stamps_by_another_clock_are_named(cities: World, name: str, shifted: Spoilt, sign: int) -> None:
    cities.sandbox.faults.order(DATA[name], shift_minutes=sign * shifted.fault["shift_minutes"])
    assert shifted.words in verdict(cities, name)


@pytest.mark.parametrize(("name", "spoilt"), spoilt_by("scaled_column"), ids=label)
def test_other_units_are_named(cities: World, name: str, spoilt: Spoilt) -> None:
    cities.sandbox.faults.order(DATA[name], **spoilt.fault)
    assert spoilt.words in verdict(cities, name)


@pytest.mark.parametrize("name", sorted(discover()))
def test_stale_source_is_named(cities: World, name: str) -> None:
    then = AS_OF - timedelta(days=40 if discover()[name].whole_files else 14)
    answering_every_day = {"open_meteo": open_meteo, "open_meteo_forecast": open_meteo_forecast}
    if name in answering_every_day:  # without values where it has none
        cities.monkeypatch.setattr(answering_every_day[name], "LAG", AS_OF - then)
        then = AS_OF
    elif DATASETS[discover()[name].capabilities.dataset].months_ahead:
        then = AS_OF - timedelta(days=730)  # it is out long before its days are
    cities.sandbox.publication.clock = lambda: then
    cities.monkeypatch.setattr(cities.sandbox.publication, "list_open_month", False)
    healthy, sources = report(cities, only=name)
    assert not healthy
    assert sources[name].partition("  bad ")[2].startswith("stale: "), sources[name]


@pytest.mark.parametrize(("name", "spoilt"), spoilt_by("body", "swap_decimals"), ids=label)
def test_changed_source_is_named_with_what_changed(cities: World, name: str, spoilt: Spoilt) -> None:
    cities.sandbox.faults.order(DATA[name], **spoilt.fault)
    assert spoilt.words in verdict(cities, name)


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
    assert cases.keys() == set(discover())
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
