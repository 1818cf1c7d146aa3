"""Drift of a source against the month before: reported with its figures, and never a reason to block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from city_data.datasets import WEATHER
from city_data.frames.checks import Outcome
from city_data.pipeline import drift
from city_data_tests.api.rows import ON_REQUEST
from city_data_tests.world import World

CELL = {"latitude": 40.5, "longitude": -3.75}
BEFORE = drift.MonthProfile(
    provider="aemet",
    fields=("fecha", "prec", "tmed"),
    bytes=30_000,
    received=90,
    expected_rows=30,
    whole=True,
    means={
        "temperature": 20.0,
        "humidity": 50.0,
        "precipitation": 0.1,
        "traffic_volume": 300.0,
        "temperature_min": 12.0,
        "sunshine_duration": 600.0,
        "cloud_cover": 30.0,
        "wind_gust": 10.0,
        "snowfall": 0.1,
    },
    spreads={
        "temperature": 3.0,
        "humidity": 9.0,
        "precipitation": 0.3,
        "traffic_volume": 120.0,
        "temperature_min": 3.0,
        "snowfall": 0.5,
    },
    columns={"temperature": 1.0, "pressure": 0.9, "description": 0.6, "words": 0.95},
    used_share=0.95,
    origin={"model": "usual", "grid_cell": CELL},
)


def told(**changes: Any) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in drift.evaluate(replace(BEFORE, **changes), BEFORE)}


def test_unchanged_month_and_first_month_show_no_drift() -> None:
    assert all(outcome.passed and not outcome.blocking for outcome in told().values())
    assert [outcome.passed for outcome in drift.evaluate(BEFORE, None)] == [True] * 6
    assert set(drift.REPORTED) == {*told(), "revision", "first_source", "configured_stations"}


@pytest.mark.parametrize(
    ("changes", "check", "said"),
    [
        ({"fields": ("fecha", "nuevo", "tmed")}, "schema_drift", "new: nuevo; gone: prec"),
        ({"bytes": 14_000}, "size_drift", "bytes 30,000 to 14,000"),
        ({"received": 45}, "size_drift", "received 90 to 45"),
        ({"received": 180}, "size_drift", "received 90 to 180"),
        ({"means": {"temperature": 293.1}}, "distribution_drift", "mean of temperature 20.0 to 293.1"),
        ({"means": {"traffic_volume": 140.0}}, "distribution_drift", "mean of traffic_volume 300.0 to 140.0"),
        ({"means": {"temperature_min": 285.1}}, "distribution_drift", "mean of temperature_min 12.0 to 285.1"),
        ({"means": {"wind_gust": 36.0}}, "distribution_drift", "mean of wind_gust 10.0 to 36.0"),  # km/h
        (
            {"means": {"sunshine_duration": 36_000.0}},
            "distribution_drift",
            "mean of sunshine_duration 600.0 to 36000.0",
        ),
        ({"spreads": {"temperature": 0.4}}, "distribution_drift", "spread of temperature 3.00 to 0.40"),
        ({"spreads": {"humidity": 28.0}}, "distribution_drift", "spread of humidity 9.00 to 28.00"),
        ({"columns": {"temperature": 1.0, "pressure": 0.0}}, "column_drift", "pressure 90.0% to 0.0%"),
        ({"columns": {"temperature": 0.4, "pressure": 0.9}}, "column_drift", "temperature 100.0% to 40.0%"),
        ({"columns": {"words": 0.1}}, "column_drift", "words 95.0% to 10.0%"),
        ({"used_share": 0.55}, "used_drift", "95.0% of the rows used, then 55.0%"),
        ({"origin": {"model": "other", "grid_cell": CELL}}, "origin_drift", "model usual to other"),
        ({"origin": {"model": "usual", "grid_cell": {**CELL, "latitude": 40.75}}}, "origin_drift", "'latitude': 40.75"),
    ],
)
def test_drift_is_reported_with_its_figures(changes: dict[str, Any], check: str, said: str) -> None:
    outcomes = told(**changes)
    assert said in outcomes[check].description
    assert [name for name, outcome in outcomes.items() if not outcome.passed] == [check]
    assert outcomes[check].metadata


@pytest.mark.parametrize(
    "changes",
    [
        {"expected_rows": 31, "received": 93, "bytes": 31_000},  # a longer month
        {"means": {"temperature": 12.0, "precipitation": 4.0}, "spreads": {"precipitation": 9.0}},  # autumn
        {"means": {"sunshine_duration": 240.0, "cloud_cover": 80.0, "wind_gust": 17.0}},  # the same
        {"means": {"temperature_min": 2.0, "snowfall": 4.0}, "spreads": {"snowfall": 9.0}},  # winter
        {"whole": False, "received": 9, "bytes": 3_000, "fields": ("fecha", "tmed")},  # a month that has only begun
        {"provider": "open_meteo", "fields": ("time",), "received": 792, "bytes": 60_000},  # the fallback's own format
        {"provider": "open_meteo", "fields": ("time",), "received": 792, "used_share": 0.3},
        {"columns": {"temperature": 0.6, "pressure": 0.9, "description": 0.0}},  # a month of less weather
        {"columns": {"pressure": 0.8}},  # a source that does not give the others
        {"origin": {}},  # a month of before origins were recorded
        {"provider": "open_meteo", "fields": ("time",), "received": 792, "origin": {"model": "other"}},
        {"whole": False, "columns": {"temperature": 0.1}, "used_share": 0.1, "received": 9, "bytes": 3_000},
    ],
)
def test_ordinary_differences_between_months_are_no_drift(changes: dict[str, Any]) -> None:
    assert [outcome.description for outcome in told(**changes).values() if not outcome.passed] == []


def test_months_loaded_before_rows_were_counted_are_still_compared(world: World) -> None:
    """Their ledger rows have no counts, and a coverage of another definition: of rows with any value, words too."""
    world.load("weather", "2026-08")
    entry = world.entry("weather", "2026-08")
    assert entry is not None
    old = replace(entry, received=0, used=0, rejected={}, nulled={}, days={}, coverage=1.0, provenance={})
    before = drift.profile_of(old, "Europe/Madrid")
    assert (before.used_share, before.columns) == (None, entry.column_coverage)
    now = drift.profile_of(entry, "Europe/Madrid")
    assert [outcome.name for outcome in drift.evaluate(now, before) if not outcome.passed] == []
    lost = replace(now, columns={**now.columns, "humidity": 0.0})
    assert [outcome.name for outcome in drift.evaluate(lost, before) if not outcome.passed] == ["column_drift"]


def test_mean_and_spread_ignore_columns_without_values() -> None:
    frame = pd.DataFrame({"temperature": [1.0, 3.0], "humidity": [None, 50.0], "precipitation": [None, None],
                          "wind_speed": [None, None], "pressure": [None, None],
                          **{name: [None, None] for name in ON_REQUEST}}, dtype="float64")  # fmt: skip
    assert drift.means(frame, WEATHER) == {"temperature": 2.0, "humidity": 50.0}
    assert drift.spreads(frame, WEATHER) == {"temperature": pytest.approx(2**0.5)}


def test_a_new_column_at_the_source_is_a_warning_of_the_run_and_the_month_is_published(world: World) -> None:
    world.load("weather", "2026-08")
    world.sandbox.faults.order("/opendata/sh/", extra_column="nuevo")
    (done,) = world.load("weather", "2026-09")
    assert (done.error, done.rows) == (None, 30)
    events = world.instance.all_logs(done.run_id)
    found = {
        event.dagster_event.asset_check_evaluation_data.check_name: event.dagster_event.asset_check_evaluation_data
        for event in events
        if event.dagster_event and event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    assert set(drift.REPORTED) <= set(found)
    schema = found["schema_drift"]
    assert (schema.passed, schema.blocking, schema.severity.value) == (False, False, "WARN")
    assert schema.description == "new: nuevo"
    assert found["size_drift"].passed
