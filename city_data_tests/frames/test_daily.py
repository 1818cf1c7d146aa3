"""Hours aggregated into days; the rule itself is tested with the training frame and the reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.datasets import DATASETS, FORECAST, WEATHER
from city_data.frames.daily import OF_HOURS, daily, day_columns, period_columns


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
            assert (column.extreme_of is not None) <= (column.day_rule in ("min", "max"))
            assert column.extreme_of is None or dataset.column(column.extreme_of).unit == column.unit


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


TEMPERATURES = st.floats(-60, 60).map(lambda value: round(value, 2))
DAY_OF_HOURS = st.lists(st.tuples(st.none() | TEMPERATURES, st.none() | TEMPERATURES), min_size=24, max_size=24)
MEASURED = st.lists(st.tuples(TEMPERATURES, st.none()), min_size=24, max_size=24)


@given(
    st.lists(DAY_OF_HOURS | MEASURED, min_size=1, max_size=3), st.sampled_from(["temperature_min", "temperature_max"])
)
def test_extremes_of_a_period_are_its_own_or_those_of_its_hours(
    days: list[list[tuple[float | None, float | None]]], name: str
) -> None:
    pairs = [pair for day in days for pair in day]
    hours = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(len(pairs))]
    columns: dict[str, list[float | None]] = {column: [None] * len(pairs) for column in WEATHER.column_names}
    columns |= {"temperature": [one for one, _ in pairs], name: [own for _, own in pairs]}
    made = day_columns(WEATHER, hours, {**columns, "source": ["test"] * len(pairs)}, "UTC")
    for n, day in enumerate(days):
        others, own = ([value for value in values if value is not None] for values in zip(*day, strict=True))
        known = own or others
        expected = None if len(known) < 20 else (min if name == "temperature_min" else max)(known)
        assert made[name][n] == expected
        is_made = expected is not None and not own
        assert made[OF_HOURS][n].get(name) == ("temperature" if is_made else None)
        if is_made and made["temperature_min"][n] is not None:
            assert made["temperature_min"][n] <= made["temperature"][n] <= made["temperature_max"][n]


def test_part_of_a_day_has_the_extremes_of_its_hours() -> None:
    """Hours of forecasts have no columns of extremes at all."""
    temperatures = [10.0 + n for n in range(24)]
    hours = {name: [None] * 24 for name in FORECAST.column_names} | {"temperature": temperatures, "source": ["a"] * 24}
    parts = [(0, 6), (6, 11), (11, 15), (15, 19), (19, 24)]
    columns = period_columns(WEATHER, parts, hours, [5, 4, 3, 3, 4])
    assert columns["temperature_min"] == [10.0, 16.0, 21.0, 25.0, 29.0]
    assert columns["temperature_max"] == [15.0, 20.0, 24.0, 28.0, 33.0]
    assert columns["wind_gust"] == [None] * 5, "no gust is the mean wind of an hour"


def test_days_name_their_extremes_of_hours_in_their_details() -> None:
    frame = pd.DataFrame({"date": pd.DatetimeIndex(HOURS), "temperature": [float(n) for n in range(24)], "source": "a"})
    (day,) = daily(frame, WEATHER, "UTC").to_dict("records")
    assert (day["temperature_min"], day["temperature_max"]) == (0.0, 23.0)
    assert day["raw_data"][OF_HOURS] == {"temperature_min": "temperature", "temperature_max": "temperature"}
    (measured,) = daily(frame.assign(temperature_min=-1.0, temperature_max=30.0), WEATHER, "UTC").to_dict("records")
    assert (measured["temperature_min"], measured["temperature_max"]) == (-1.0, 30.0)
    assert OF_HOURS not in measured["raw_data"]
