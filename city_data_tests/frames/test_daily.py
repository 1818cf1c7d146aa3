"""Hours aggregated into days; the rule itself is tested with the training frame and the reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from city_data.datasets import DATASETS, WEATHER
from city_data.frames.daily import daily, day_columns


def test_column_missing_from_the_hourly_source_is_null_in_daily_rows() -> None:
    """An hourly fallback need not have every column of the dataset, such as one that was added later."""
    hours = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24)]
    frame = pd.DataFrame({"date": pd.DatetimeIndex(hours), "temperature": 20.0, "source": "open_meteo"})
    frame["snowfall"] = [None] * 24
    days = daily(frame, WEATHER, "UTC")
    assert list(days["temperature"]) == [20.0]
    assert days[["precipitation", "humidity", "wind_speed", "pressure", "snowfall"]].isna().all(axis=None)


def test_rules_fit_their_columns() -> None:
    for dataset in DATASETS.values():
        for column in dataset.columns:
            assert column.weight is None or column.weight in dataset.column_names
            assert (column.day_rule == "worst") <= bool(column.allowed)
            assert (column.day_rule in ("sum", "min", "max")) <= (column.kind == "number")


HOURS = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("temperature_min", -3.5),
        ("temperature_max", 19.5),
        ("sunshine_duration", 190.5),
        ("cloud_cover", 8.28),
        ("wind_gust", 19.5),
        ("snowfall", 190.5),
        ("temperature", 8.28),
    ],
)
def test_day_follows_the_rule_of_its_column(column: str, value: float) -> None:
    numbers = [-3.5 + number for number in range(24)]
    numbers[5] = float("nan")
    frame = pd.DataFrame({"date": pd.DatetimeIndex(HOURS), column: numbers, "source": "test"})
    assert list(daily(frame, WEATHER, "UTC")[column]) == [value]


@pytest.mark.parametrize("column", ["temperature_min", "wind_gust", "sunshine_duration"])
def test_day_of_fewer_than_20_hours_has_no_value_by_any_rule(column: str) -> None:
    frame = pd.DataFrame({"date": pd.DatetimeIndex(HOURS[:19]), column: [1.0] * 19, "source": "test"})
    assert daily(frame, WEATHER, "UTC")[column].isna().all()


def test_hours_of_a_day_are_counted_in_the_columns_of_a_record() -> None:
    """A column on request does not change the records of those who do not name it."""
    temperature = [1.0] * 21 + [None] * 3
    columns: dict[str, list[float | None]] = {name: [None] * 24 for name in WEATHER.column_names}
    columns |= {"temperature": temperature, "cloud_cover": [50.0] * 24}
    assert day_columns(WEATHER, HOURS, {**columns, "source": ["test"] * 24}, "UTC")["hours"] == [21]
