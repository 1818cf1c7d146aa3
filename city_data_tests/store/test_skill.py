"""The skill of stored forecasts, beside one counted with plain Python from the same values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from itertools import product
from statistics import fmean
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from city_data.cities import City, load_registry
from city_data.datasets import DATASETS, DatasetName, expected_stamps
from city_data.frames.canonical import canonical_frame
from city_data.frames.grids import day_of
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.store.skill import LeftOut, Skill, read_skill
from city_data.window import Month
from city_data_tests.api.conftest import ZONE, month_load

FORECAST = DATASETS["forecast"]
LEADS = range(1, 8)
OCTOBER, NOVEMBER = Month(2025, 10), Month(2025, 11)  # the clocks change in October
Value = Callable[[datetime], float | None]


@pytest.fixture
def madrid() -> City:
    return load_registry().get("madrid")


def truth(hour: datetime) -> float:
    return 10 + (hour.day * 7 + hour.hour * 3) % 11


def forecast_of(hour: datetime, lead: int) -> float:
    return truth(hour) + lead / 10 * (1 if hour.hour % 3 else -1)


def store(database: Database, name: DatasetName, month: Month, rows: list[dict[str, Any]], expected: int) -> None:
    frame = canonical_frame(
        pd.DataFrame(rows).assign(date=[row["date"] for row in rows], source="test"), DATASETS[name]
    )
    load = month_load("traffic", str(month))
    replace_month(database, replace(load, dataset=name, frame=frame, expected_rows=expected))


def store_forecasts(database: Database, *months: Month) -> None:
    for month in months:
        rows = [
            {
                "date": pd.Timestamp(hour),
                "lead_days": lead,
                "temperature": forecast_of(hour, lead),
                "precipitation": 0.1,
            }
            for hour, lead in product(month.hours(ZONE), LEADS)
        ]
        store(database, "forecast", month, rows, len(rows))


def test_hours_are_paired_with_the_forecasts_of_the_same_hour(database: Database, madrid: City) -> None:
    store_forecasts(database, OCTOBER, NOVEMBER)
    for month in (OCTOBER, NOVEMBER):
        hours = month.hours(ZONE)
        rows = [{"date": pd.Timestamp(hour), "temperature": truth(hour) if hour.hour else None} for hour in hours]
        store(database, "weather", month, rows, len(hours))
    skill, left_out = read_skill(database, madrid, FORECAST)
    expected = []
    for lead, month in product(LEADS, (OCTOBER, NOVEMBER)):
        errors = [forecast_of(hour, lead) - truth(hour) for hour in month.hours(ZONE) if hour.hour]
        mae = fmean(map(abs, errors))
        expected.append(Skill("temperature", lead, month.month, round(fmean(errors), 4), round(mae, 4), len(errors)))
    assert skill == expected
    assert left_out == []


def test_month_without_statistics_is_not_compared_row_by_row(database: Database, madrid: City) -> None:
    store_forecasts(database, OCTOBER)
    hours = [{"date": pd.Timestamp(hour), "temperature": 1.0} for hour in OCTOBER.hours(ZONE)]
    store(database, "weather", OCTOBER, hours, len(hours))
    plans: list[str] = []

    def explain(connection: sa.Connection, _: object, statement: str, parameters: Any, *__: object) -> None:
        if "avg(" in statement:
            driver: Any = connection.connection.driver_connection
            plans.append("\n".join(line for (line,) in driver.execute(f"EXPLAIN {statement}", parameters)))

    sa.event.listen(database.engine, "before_cursor_execute", explain)
    assert len(read_skill(database, madrid, FORECAST, OCTOBER)[0]) == len(LEADS)
    assert len(plans) == 1
    assert "Hash Join" in plans[0] or "Merge Join" in plans[0]


def test_days_are_paired_with_the_same_hours_as_the_source_counts(database: Database, madrid: City) -> None:
    """Rain from 07 to 07 UTC, as AEMET's; temperature of the local day, one of which has 25 hours."""
    store_forecasts(database, OCTOBER, NOVEMBER)
    rows = [
        {
            "date": pd.Timestamp(start),
            "temperature": 15.0,
            "precipitation": 2.0,
            "raw_data": {"precipitation_day": "07-07 UTC"},
        }
        for start in expected_stamps(OCTOBER, ZONE, "daily")
    ]
    store(database, "weather", OCTOBER, rows, len(rows))
    skill, left_out = read_skill(database, madrid, FORECAST)
    local = day_of(ZONE)
    for lead in LEADS:
        days: dict[date, list[float]] = {}
        for hour in OCTOBER.hours(ZONE):
            days.setdefault(local(hour), []).append(forecast_of(hour, lead))
        errors = [fmean(values) - 15.0 for values in days.values()]
        mae = fmean(map(abs, errors))
        assert Skill("temperature", lead, 10, round(fmean(errors), 4), round(mae, 4), 31) in skill
        # 24 hours of 0.1 mm, also on the day of 25 hours: it is no local day.
        assert Skill("precipitation", lead, 10, 0.4, 0.4, 31) in skill
    assert len(skill) == 14
    assert left_out == []


def test_first_day_of_a_month_has_the_hours_that_are_of_the_month_before(database: Database, madrid: City) -> None:
    zone = "America/Sao_Paulo"  # a day of UTC begins at nine in the evening before
    for month in (OCTOBER, NOVEMBER):
        rows = [
            {"date": pd.Timestamp(hour), "lead_days": 1, "precipitation": 0.1, "temperature": None}
            for hour in month.hours(zone)
        ]
        store(database, "forecast", month, rows, len(rows) * len(LEADS))
    days = [
        {"date": pd.Timestamp(start), "precipitation": 2.0, "raw_data": {"precipitation_day": "00-00 UTC"}}
        for start in NOVEMBER.day_starts(zone)
    ]
    store(database, "weather", NOVEMBER, days, len(days))
    skill, _ = read_skill(database, madrid.model_copy(update={"timezone": zone}), FORECAST)
    assert skill == [Skill("precipitation", 1, 11, 0.4, 0.4, 30)]


def test_day_with_unknown_bounds_or_too_few_hours_has_no_pair(database: Database, madrid: City) -> None:
    month = Month(2026, 4)
    hours = month.hours(ZONE)
    kept = [hour for hour in hours if hour >= hours[5]]  # 19 hours of the first day
    rows = [
        {"date": pd.Timestamp(hour), "lead_days": lead, "temperature": 12.0, "precipitation": 0.0}
        for hour, lead in product(kept, LEADS)
    ]
    store(database, "forecast", month, rows, len(hours) * 7)
    days = [
        {
            "date": pd.Timestamp(start),
            "temperature": 11.0,
            "precipitation": 1.0,
            "raw_data": {"precipitation_day": "the rainy part"},
        }
        for start in expected_stamps(month, ZONE, "daily")
    ]
    store(database, "weather", month, days, len(days))
    skill, left_out = read_skill(database, madrid, FORECAST)
    assert skill == [Skill("temperature", lead, 4, 1.0, 1.0, 29) for lead in LEADS]
    assert left_out == [LeftOut("precipitation", "the rainy part", 30)]


def test_pairs_of_both_resolutions_count_together(database: Database, madrid: City) -> None:
    months = (Month(2025, 6), Month(2026, 6))
    for month, error in zip(months, (1.0, -2.0), strict=True):
        rows = [
            {"date": pd.Timestamp(hour), "lead_days": lead, "temperature": 20.0 + error}
            for hour, lead in product(month.hours(ZONE), LEADS)
        ]
        store(database, "forecast", month, rows, len(rows))
    hours = [{"date": pd.Timestamp(hour), "temperature": 20.0} for hour in months[0].hours(ZONE)]
    store(database, "weather", months[0], hours, 720)
    days = [{"date": pd.Timestamp(start), "temperature": 20.0} for start in months[1].day_starts(ZONE)]
    store(database, "weather", months[1], days, 30)
    skill, _ = read_skill(database, madrid, FORECAST)
    assert skill == [
        Skill("temperature", lead, 6, round((720 - 60) / 750, 4), round(780 / 750, 4), 750) for lead in LEADS
    ]


def test_city_without_pairs_has_no_skill(database: Database, madrid: City) -> None:
    assert read_skill(database, madrid, FORECAST) == ([], [])
