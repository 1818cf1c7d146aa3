"""The gate over HTTP from the sandbox, through Dagster, into the ledger. Its rules on frames: test_gate.py."""

from __future__ import annotations

from datetime import timedelta

import pytest

from city_data.store.ledger import MonthEntry
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.world import AS_OF, World

SEPTEMBER = Month(2026, 9)
MADRID = "Europe/Madrid"


AEMET = {"path": "/opendata/sh/"}
ARCHIVE = {"path": "/v1/archive"}


def loaded(world: World, city_id: str, month: str = "2026-09") -> MonthEntry:
    world.enable(city_id)
    world.load("weather", month, city_id=city_id)
    entry = world.entry("weather", month, city_id=city_id)
    assert entry is not None
    return entry


def findings(world: World) -> dict[str, str]:
    """The checks of the last run that did not pass."""
    run = world.instance.get_runs(limit=1)[0]
    found = [
        event.dagster_event.asset_check_evaluation_data
        for event in world.instance.all_logs(run.run_id)
        if event.dagster_event and event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    return {check.check_name: str(check.description) for check in found if not check.passed}


@pytest.mark.parametrize(("city_id", "where"), [("madrid", AEMET), ("lisbon", ARCHIVE)])
def test_month_whose_numbers_do_not_parse_is_refused(world: World, city_id: str, where: dict[str, str]) -> None:
    world.sandbox.faults.order(**where, swap_decimals=True)
    entry = loaded(world, city_id)
    assert (entry.state, entry.version) == ("failed", None)
    for word in (city_id, "2026-09"):
        assert word in str(entry.last_error)


@pytest.mark.parametrize(
    ("city_id", "where", "column"), [("madrid", AEMET, "tmed"), ("lisbon", ARCHIVE, "temperature_2m")]
)
def test_one_implausible_value_is_nulled_and_counted_and_many_refuse(
    world: World, city_id: str, where: dict[str, str], column: str, no_waiting: None
) -> None:
    world.sandbox.faults.order(**where, outlier_column=column, outliers=1)
    entry = loaded(world, city_id)
    assert (entry.version, entry.last_error) == (1, None)
    odd = sum(count for key, count in entry.nulled.items() if key.startswith("implausible:"))
    assert 1 <= odd <= 3  # each of Madrid's three stations has one, on one or more days
    start, end = SEPTEMBER.bounds(world.feed("weather", city_id).city.timezone)
    frame = read_series(world.database, "weather", city_id, start, end)
    assert frame["temperature"].dropna().between(-10, 45).all()
    world.sandbox.faults.clear()
    world.sandbox.faults.order(**where, outlier_column=column, outliers=60)
    world.at(AS_OF + timedelta(days=1))
    after = loaded(world, city_id)
    assert (after.version, after.content_sha256) == (1, entry.content_sha256)
    assert "implausible" in str(after.last_error)


def test_emptied_column_is_published_and_reported(world: World) -> None:
    world.load("weather", "2026-08")
    world.sandbox.faults.order(**AEMET, empty_column="hrMedia")
    entry = loaded(world, "madrid")
    assert (entry.state, entry.column_coverage["humidity"]) == ("settled", 0.0)
    assert entry.empty_columns == ["humidity"]
    assert entry.coverage == pytest.approx(0.8, abs=0.02)
    found = findings(world)
    assert found["promised_columns"] == "without one value: humidity"
    assert "humidity 100.0% to 0.0%" in found["column_drift"]


def test_month_with_shifted_timestamps_fails(world: World) -> None:
    world.sandbox.faults.order(**ARCHIVE, shift_minutes=30)
    entry = loaded(world, "lisbon")
    assert (entry.state, entry.version) == ("failed", None)


def test_fallback_hours_are_checked_before_they_are_averaged_into_days(world: World) -> None:
    """Days are means: an hour of -999 among 24 made a plausible day of -21 degrees."""
    world.monkeypatch.delenv("AEMET_API_KEY")
    world.sandbox.faults.order(**ARCHIVE, outlier_column="temperature_2m", outliers=3)
    entry = loaded(world, "madrid")
    assert (entry.version, entry.rows) == (1, 30)
    assert sum(count for key, count in entry.nulled.items() if key.startswith("implausible:")) > 0
    start, end = SEPTEMBER.bounds(MADRID)
    frame = read_series(world.database, "weather", "madrid", start, end)
    assert frame["temperature"].dropna().between(5, 35).all()
    world.sandbox.faults.clear()
    world.sandbox.faults.order(**ARCHIVE, shift_minutes=30)
    world.at(AS_OF + timedelta(days=1))
    assert loaded(world, "madrid", "2026-08").last_error is not None


def test_forecast_hours_of_a_modelled_source_are_counted_and_not_published(world: World) -> None:
    world.sandbox.faults.order(**ARCHIVE, fill_nulls=True)
    entry = loaded(world, "lisbon", "2026-11")
    assert (entry.version, entry.last_error) == (1, None)
    assert entry.last_date is not None
    assert entry.last_date <= AS_OF
    assert entry.rejected["future"] > 0
    assert entry.received == entry.used + sum(entry.rejected.values())
