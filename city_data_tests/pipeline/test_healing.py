"""Faults of a source that pass: the month heals by the ordinary schedules, and no silent substitute remains."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from city_data.cli.progress import entries_of
from city_data.cli.status import print_months
from city_data.operations.exporter import LedgerCollector
from city_data.providers.http import HttpClient
from city_data.providers.transport.response import Response
from city_data.store.ledger import MonthEntry
from city_data_tests.pipeline.life import CLOSED, DAY, HOUR, MONTH, NO_DATA, Life, reader
from city_data_tests.world import World

LATE = CLOSED + 50 * DAY  # after lag, settling time and grace of both weather sources
MODELLED: dict[str, object] = {"provider": "open_meteo"}


def all_null(world: World) -> str:
    """Open-Meteo's answer for the month with every value null, as during its outages."""
    query = {
        "latitude": "40.4168",
        "longitude": "-3.7038",
        "start_date": "2026-08-31",
        "end_date": "2026-10-01",
        "timezone": "GMT",
        "wind_speed_unit": "ms",
        "hourly": "temperature_2m,precipitation,relative_humidity_2m,wind_speed_10m,pressure_msl,weather_code,"
        "sunshine_duration,cloud_cover,wind_gusts_10m,snowfall",
    }
    url = f"{world.sandbox.base_url}/archive-api.open-meteo.com/v1/archive"
    document = httpx.get(url, params=query).raise_for_status().json()
    hours = {name: values if name == "time" else [None] * len(values) for name, values in document["hourly"].items()}
    return json.dumps(document | {"hourly": hours})


def entry_of(world: World) -> MonthEntry:
    entry = world.entry("weather", str(MONTH))
    assert entry is not None
    return entry


def status_of(world: World) -> str:
    text = io.StringIO()
    feeds = [world.feed("weather")]
    print_months(Console(file=text, width=400), feeds, [MONTH], world.window.open, entries_of(feeds))
    return text.getvalue()


def fallback_months(world: World, moment: datetime) -> float | None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(world.database, world.feeds, lambda: moment))
    return registry.get_sample_value("external_city_data_fallback_months", {"city": "madrid", "dataset": "weather"})


def test_month_of_nulls_is_asked_again_at_growing_intervals_until_it_is_there(world: World) -> None:
    with reader(world) as client:
        life = Life(world, "weather", client, MODELLED)
        world.at(LATE)
        world.sandbox.faults.order("/v1/archive", body=all_null(world))
        assert life.tick("refresh_unsettled", LATE)
        assert life.ledger() == ("not_available", None, None)
        assert "no value of the month is available" in status_of(world)
        assert not life.tick("refresh_unsettled", LATE + HOUR)
        asked = [day for day in range(1, 31) if life.tick("refresh_unsettled", LATE + day * DAY)]
        assert asked == [1, 2, 4, 8, 16]
        assert entry_of(world).unavailable_since == LATE
        assert life.api() == ("not_available", None, None)

        world.sandbox.faults.clear()
        assert life.tick("refresh_unsettled", LATE + 32 * DAY)
        life.all_say("settled", 1)
        assert entry_of(world).coverage == 1.0
        assert entry_of(world).unavailable_since is None
        assert not life.tick("refresh_unsettled", LATE + 90 * DAY)


def test_first_source_s_reason_stays_with_the_fallback_until_it_takes_the_month_back(world: World) -> None:
    with reader(world) as client:
        life = Life(world, "weather", client)
        world.sandbox.faults.order("/diarios/", body=NO_DATA)
        assert life.tick("refresh_unsettled", LATE)
        substitute = entry_of(world)
        assert (substitute.state, substitute.source) == ("settled", "sandbox:open_meteo")
        assert "no data from the stations" in str(substitute.fallback_reason)
        assert substitute.provenance["fallback"]["first_source"] == "aemet"
        assert "no data from the stations" in substitute.provenance["fallback"]["reason"]
        assert "fallback: aemet: madrid 2026-09" in status_of(world)
        assert not life.check("first_source")
        assert fallback_months(world, LATE) == 1

        rows = world.rows("weather", str(MONTH))
        assert life.tick("refresh_unsettled", LATE + DAY)
        assert world.rows("weather", str(MONTH)) == rows
        assert entry_of(world).fallback_reason == substitute.fallback_reason
        assert not life.tick("refresh_unsettled", LATE + DAY + HOUR)

        world.sandbox.faults.clear()
        assert life.tick("refresh_unsettled", LATE + 2 * DAY)
        life.all_say("settled", 2)
        observed = entry_of(world)
        assert (observed.source, observed.fallback_reason) == ("sandbox:aemet", None)
        assert "fallback" not in observed.provenance
        assert life.check("first_source")
        assert life.check("revision")
        assert fallback_months(world, LATE + 2 * DAY) == 0
        assert not life.tick("refresh_unsettled", LATE + 3 * DAY)


def test_missing_key_keeps_its_reason_and_a_key_brings_the_first_source_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reader(world) as client:
        life = Life(world, "weather", client)
        monkeypatch.delenv("AEMET_API_KEY")
        assert life.tick("refresh_unsettled", LATE)
        assert "AEMET_API_KEY" in str(entry_of(world).fallback_reason)
        assert life.tick("refresh_unsettled", LATE + DAY)
        assert "AEMET_API_KEY" in str(entry_of(world).fallback_reason)
        assert entry_of(world).last_error is None
        monkeypatch.setenv("AEMET_API_KEY", "good")
        assert life.tick("refresh_unsettled", LATE + 2 * DAY)
        assert entry_of(world).source == "sandbox:aemet"


def test_passing_fault_does_not_replace_an_observed_month_by_the_fallback(world: World) -> None:
    early = CLOSED + 7 * DAY
    with reader(world) as client:
        life = Life(world, "weather", client)
        assert life.tick("refresh_unsettled", early)
        life.all_say("provisional", 1)
        rows = world.rows("weather", str(MONTH))
        world.sandbox.faults.order("/diarios/", body=NO_DATA)
        late = early + timedelta(days=60)  # past the grace: the source's answer means "not available"
        assert life.tick("refresh_unsettled", late)
        assert world.rows("weather", str(MONTH)) == rows
        assert entry_of(world).source == "sandbox:aemet"
        world.sandbox.faults.clear()
        assert life.tick("refresh_unsettled", late + DAY)
        life.all_say("settled", 1)


def test_fallback_s_own_failure_names_the_first_source_s_reason(world: World, no_waiting: None) -> None:
    with reader(world) as client:
        life = Life(world, "weather", client)
        world.sandbox.faults.order("/diarios/", body=NO_DATA)
        world.sandbox.faults.order("/v1/archive", status=503)
        assert life.tick("refresh_unsettled", LATE, succeeds=False)
        error = str(entry_of(world).last_error)
        assert "503" in error
        assert "no data from the stations" in error


def test_configured_station_without_data_is_named_everywhere(world: World) -> None:
    with reader(world) as client:
        life = Life(world, "weather", client)
        world.sandbox.faults.order("/estacion/3129", body=NO_DATA)
        assert life.tick("refresh_unsettled", LATE)
        life.all_say("settled", 1)
        assert entry_of(world).source == "sandbox:aemet"
        assert entry_of(world).provenance["stations_without_data"] == ["3129"]
        assert "no data from 3129" in status_of(world)
        assert not life.check("configured_stations")
        assert life.check("first_source")
        served = client.get(f"/api/v1/cities/madrid/months/{MONTH}")
        assert "3129" in served.text

        world.sandbox.faults.clear()
        assert life.tick("recheck_settled", LATE + 30 * DAY)
        assert life.check("configured_stations")
        assert "stations_without_data" not in entry_of(world).provenance


def test_unsettled_month_is_downloaded_again_only_where_its_validators_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads: list[str] = []
    download = HttpClient.download

    def counted(client: HttpClient, url: str, *arguments: Any, **options: Any) -> Response:
        downloads.append(url)
        return download(client, url, *arguments, **options)

    monkeypatch.setattr(HttpClient, "download", counted)
    published = CLOSED + 7 * DAY
    with reader(world) as client:
        life = Life(world, "traffic", client)
        assert life.tick("refresh_unsettled", published)
        life.all_say("provisional", 1)
        assert len(downloads) == 1
        assert life.tick("refresh_unsettled", published + DAY)
        life.all_say("settled", 1)
        assert len(downloads) == 1

        world.sandbox.publication.revisions = {MONTH: 1}
        assert life.tick("recheck_settled", published + 30 * DAY)
        life.all_say("provisional", 2, "revised")
        assert len(downloads) == 2
        (archived,) = world.archive.latest("traffic", "madrid", MONTH).files
        file = world.folder / "raw" / "traffic" / "madrid" / str(MONTH) / f"{archived.sha256}.bin"
        file.write_bytes(b"PK rotten")  # the source's word is worth nothing without the bytes
        assert life.tick("refresh_unsettled", published + 31 * DAY)
        life.all_say("settled", 2, "revised")
        assert len(downloads) == 3
