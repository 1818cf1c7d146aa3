"""Coverage counts: by column, by month and by local day, and back again."""

from __future__ import annotations

import io
from datetime import date

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cli.days import print_days
from city_data.datasets import TRAFFIC, WEATHER, expected_stamps
from city_data.frames import canonical, coverage
from city_data.frames.coverage import Coverage
from city_data.window import Month
from city_data_tests.world import World

ZONE = "Europe/Madrid"
OCTOBER = Month(2025, 10)
GIVEN = {"traffic_volume", "average_speed", "congestion_level"}


def october(missing: set[int]) -> dict[str, object]:
    """Volume lacks the hours in `missing`, speed all, and the rows of the first day are not there at all."""
    stamps = expected_stamps(OCTOBER, ZONE, "hourly")
    volumes = [None if n in missing else 1.0 for n in range(len(stamps))]
    frame = pd.DataFrame({"date": pd.DatetimeIndex(stamps), "traffic_volume": volumes, "source": "test"}).iloc[24:]
    return coverage.by_day(canonical.canonical_frame(frame, TRAFFIC), TRAFFIC, GIVEN, OCTOBER, stamps, ZONE)


def test_days_are_local_and_the_october_dst_day_has_25_hours() -> None:
    days = october({24, 25, 743})
    assert days["expected"] == [25 if day == 26 else 24 for day in range(1, 32)]
    assert days["observed"]["traffic_volume"][:3] == [0, 22, 24]
    assert days["observed"]["traffic_volume"][25] == 25
    assert days["observed"]["traffic_volume"][30] == 23
    told = coverage.of_month(days, TRAFFIC)
    assert told["traffic_volume"] == Coverage(745, 745 - 24 - 3)
    assert told["average_speed"] == Coverage(745, 0)
    assert told["pedestrian_count"] == Coverage(0, 0)  # nobody promised it
    assert told["pedestrian_count"].percent is None
    by_day = dict(coverage.of_days(days, TRAFFIC, OCTOBER))
    assert by_day[date(2025, 10, 2)]["traffic_volume"] == Coverage(24, 22)
    assert set(by_day[date(2025, 10, 2)]) == GIVEN


@given(st.sets(st.integers(0, 744)))
def test_days_add_up_to_the_month(missing: set[int]) -> None:
    days = october(missing)
    total = sum(of["traffic_volume"].observed for _, of in coverage.of_days(days, TRAFFIC, OCTOBER))
    assert total == coverage.of_month(days, TRAFFIC)["traffic_volume"].observed
    assert total == 745 - len(missing | set(range(24)))


@pytest.mark.parametrize(("observed", "percent"), [(745, 100.0), (744, 99.86), (0, 0.0)])
def test_coverage_with_a_gap_never_rounds_to_full(observed: int, percent: float) -> None:
    assert Coverage(745, observed).percent == percent
    assert Coverage(100_000, 99_999).percent == 99.99


def test_empty_columns_are_those_of_measurements_that_the_source_gives() -> None:
    days = {"expected": [24, 24], "observed": {"temperature": [0, 1], "pressure": [0, 0], "description": [0, 0]}}
    assert coverage.empty_columns(days, WEATHER) == ["pressure"]
    assert coverage.empty_columns({}, WEATHER) == []


def test_column_on_request_is_counted_alone_and_never_missed() -> None:
    """Few stations have a sunshine recorder: their city's month is whole without one."""
    stamps = expected_stamps(OCTOBER, ZONE, "daily")
    given = {"temperature", "sunshine_duration", "snowfall"}
    frame = pd.DataFrame({"date": pd.DatetimeIndex(stamps), "temperature": 1.0, "source": "test"})
    frame["snowfall"] = [0.5] * 10 + [None] * 21
    month = canonical.canonical_frame(frame, WEATHER)
    assert coverage.share(month, WEATHER, given, len(stamps)) == 1.0
    days = coverage.by_day(month, WEATHER, given, OCTOBER, stamps, ZONE)
    assert coverage.empty_columns(days, WEATHER) == []
    assert coverage.of_month(days, WEATHER)["snowfall"] == Coverage(31, 10)
    assert coverage.of_month(days, WEATHER)["sunshine_duration"] == Coverage(31, 0)


def test_month_loaded_before_coverage_counts_has_none() -> None:
    assert coverage.of_month({}, WEATHER) == {}
    assert list(coverage.of_days({}, WEATHER, OCTOBER)) == []


def test_ledger_reader_terminal_and_dagster_report_the_same_counts(world: World) -> None:
    """Of a month whose source lacks a column, and gave a few bad values and repeated rows."""
    world.sandbox.faults.order("/opendata/sh/", outlier_column="prec", outliers=1, duplicates=True)
    world.load("weather", "2026-09")
    entry = world.entry("weather", "2026-09")
    assert entry is not None
    assert entry.received == entry.used + sum(entry.rejected.values())
    assert entry.nulled
    assert entry.rejected["duplicate"] > 0
    columns = coverage.of_month(entry.days, WEATHER)
    assert columns["temperature"].expected == 30
    assert 0 < columns["precipitation"].observed <= 30

    with TestClient(create_app(Settings.model_validate({"database_url": world.database_url}))) as client:
        url = "/api/v1/cities/madrid/data-availability"
        (told,) = client.get(url, params={"days": "true"}).json()["months"]["weather"]
        assert client.get(url).json()["months"]["weather"][0]["days"] is None
    assert told["columns"] == {
        name: {"expected": of.expected, "observed": of.observed, "percent": of.percent} for name, of in columns.items()
    }
    assert (told["received"], told["used"], told["rejected"]) == (entry.received, entry.used, dict(entry.rejected))
    assert told["nulled"] == dict(entry.nulled)
    assert (told["used_share"], told["empty_columns"]) == (entry.used_share, [])
    assert [day["date"] for day in told["days"]] == [str(day) for day in Month(2026, 9).days()]
    for name in ("temperature", "precipitation"):
        assert sum(day["columns"][name]["observed"] for day in told["days"]) == columns[name].observed

    text = io.StringIO()
    month = Month(2026, 9)
    print_days(Console(file=text, width=200), [world.feed("weather")], [month], {("madrid", "weather", month): entry})
    (line,) = [line for line in text.getvalue().splitlines() if " precipitation " in line]
    of = columns["precipitation"]
    *cells, days = line.split()
    assert cells == ["2026-09", "precipitation", str(of.observed), "of", "30", f"{of.percent:.2f}%"]
    assert (len(days), days.count("█")) == (30, of.observed)
    assert f"{entry.received} rows received = {entry.used} used" in text.getvalue()

    key = dg.AssetKey(["madrid", "weather_monthly"])
    (record,) = world.instance.fetch_materializations(key, limit=1).records
    assert record.asset_materialization is not None
    metadata = record.asset_materialization.metadata
    assert metadata["days"].value == entry.days
    assert f"| precipitation | {of.observed} | 30 | {of.percent:.2f} % |" in str(metadata["columns"].value)
    assert "| description | 0 | 0 | not given |" in str(metadata["columns"].value)
    assert metadata["received_rows"].value == entry.received


def test_daily_fallback_without_descriptions_is_not_expected_to_have_them(world: World) -> None:
    world.monkeypatch.delenv("AEMET_API_KEY")
    world.load("weather", "2026-09")
    entry = world.entry("weather", "2026-09")
    assert entry is not None
    told = coverage.of_month(entry.days, WEATHER)
    assert told["temperature"] == Coverage(30, 30)
    assert told["description"] == Coverage(0, 0)
    assert entry.received == entry.used + sum(entry.rejected.values()) > 720
