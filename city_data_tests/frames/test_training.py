"""The join of one month in any timezone and resolution: the grid is complete, and no value is invented."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution, expected_stamps
from city_data.frames.canonical import canonical_frame
from city_data.frames.grids import Grid, fewest_hours, grid_stamps
from city_data.frames.leads import Lead
from city_data.frames.training import Part, resolution_of, training_frame
from city_data.frames.training_columns import MASK, schema, training_columns
from city_data.store.versions import decode_frame, encode_batch, frame_batch
from city_data.window import Month
from city_data_tests.frames.clocks import row_of

MADE = datetime(2026, 11, 1, tzinfo=UTC)
ZONES = ["Europe/Madrid", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]
RESOLUTIONS: list[Resolution] = ["daily", "hourly"]
GRIDS: list[Grid] = ["daily", "dayparts", "hourly"]


def town(zone: str) -> City:
    place = {"latitude": 0.0, "longitude": 0.0, "radius_km": 1.0, "timezone": zone}
    return City.model_validate({"city_id": "town", "name": "Town", "country": "ES", "enabled": True, **place})


def part(name: DatasetName, month: Month, zone: str, resolution: Resolution, values: dict[int, float]) -> Part:
    """Rows where `values` (by position in the month) say so; of the dataset's first column."""
    stamps = expected_stamps(month, zone, resolution)
    in_month = {n: value for n, value in values.items() if n < len(stamps)}
    dates = pd.DatetimeIndex([stamps[n] for n in in_month], tz="UTC").as_unit("us")
    column = DATASETS[name].column_names[0]
    frame = pd.DataFrame({"date": dates, column: list(in_month.values()), "source": "test"})
    canonical = canonical_frame(frame, DATASETS[name])
    table = decode_frame(encode_batch(frame_batch(canonical, DATASETS[name], MADE, MADE)), DATASETS[name])
    return Part(DATASETS[name], table, resolution)


@settings(max_examples=40)
@given(
    st.builds(Month, st.integers(2015, 2035), st.integers(1, 12)),
    st.sampled_from(ZONES),
    st.sampled_from(GRIDS),
    st.sampled_from(RESOLUTIONS),
    st.dictionaries(st.integers(0, 744), st.integers(-40, 40).map(float), max_size=60),
)
def test_grid_has_every_row_and_only_stored_values(
    month: Month, zone: str, grid: Grid, stored_as: Resolution, values: dict[int, float]
) -> None:
    stored = part("weather", month, zone, stored_as, values)
    frame = training_frame(town(zone), [month], grid, {"weather": stored})
    assert frame.schema == schema(grid)
    assert frame["date"].to_pylist() == grid_stamps(month, zone, grid)
    days = frame["local_date"].to_pylist()
    assert days == [date.astimezone(ZoneInfo(zone)).date() for date in frame["date"].to_pylist()]
    assert list(dict.fromkeys(days)) == month.days()
    for column in (one for one in training_columns(grid) if one.nullable and f"{one.name}{MASK}" in frame.schema.names):
        if not column.name.endswith("_holiday"):
            assert frame[f"{column.name}{MASK}"].to_pylist() == [v is None for v in frame[column.name].to_pylist()]
    assert frame["traffic_volume"].null_count == frame.num_rows
    rows = dict(zip(*stored.table.select(["date", "temperature"]).to_pydict().values(), strict=True))
    by_day = {date.astimezone(ZoneInfo(zone)).date(): value for date, value in rows.items()}
    cells = list(zip(frame["date"].to_pylist(), days, frame["temperature"].to_pylist(), strict=True))
    if stored_as == "daily":
        assert all(value == by_day.get(day) for _, day, value in cells)
    elif grid == "hourly":
        assert all(value == rows.get(date) for date, _, value in cells)
    else:
        place = row_of(grid, zone)
        counts = Counter(map(place, rows))
        for (date, _, value), fewest in zip(cells, fewest_hours(month, zone, grid), strict=True):
            assert (value is not None) == (counts[place(date)] >= fewest)


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 17), min_size=1, max_size=4, unique=True).map(sorted),
    st.sampled_from(ZONES),
    st.sampled_from(GRIDS),
    st.sampled_from(RESOLUTIONS),
    st.lists(st.dictionaries(st.integers(0, 744), st.integers(-40, 40).map(float), max_size=60), min_size=4),
)
def test_months_joined_together_have_the_rows_of_each_by_itself(
    ordinals: list[int], zone: str, grid: Grid, stored_as: Resolution, values: list[dict[int, float]]
) -> None:
    """Also where months between them are left out, and where one has no part."""
    months = [Month(2025, 1) + n for n in ordinals]
    parts = {
        month: part("weather", month, zone, stored_as, of_month)
        for month, of_month in zip(months, values, strict=False)
        if of_month
    }
    alone = [
        training_frame(town(zone), [month], grid, {"weather": parts[month]} if month in parts else {})
        for month in months
    ]
    whole: dict[DatasetName, Part] = {}
    if parts:
        tables = [one.table for one in parts.values()]
        whole["weather"] = Part(DATASETS["weather"], pa.concat_tables(tables), stored_as)
    frame = training_frame(town(zone), months, grid, whole)
    assert frame.equals(pa.concat_tables(alone))


@pytest.mark.parametrize("grid", GRIDS)
def test_hourly_weather_serves_every_grid(grid: Grid) -> None:
    month, zone = Month(2026, 10), "Europe/Madrid"
    stored = part("weather", month, zone, "hourly", {n: float(n) for n in range(745)})
    rows: list[dict[str, Any]] = training_frame(town(zone), [month], grid, {"weather": stored}).to_pylist()
    assert {row["weather_resolution"] for row in rows} == {"hourly"}
    if grid == "daily":
        assert [row["temperature"] for row in rows[:2]] == [11.5, 35.5]
        assert rows[24]["temperature"] == sum(range(576, 601)) / 25  # the day of 25 hours
    elif grid == "dayparts":
        assert [row["daypart"] for row in rows[:5]] == ["night", "morning", "noon", "afternoon", "evening"]
        assert [row["temperature"] for row in rows[:5]] == [2.5, 8.0, 12.5, 16.5, 21.0]
        assert [row["temperature"] for row in rows[120:122]] == [579.0, 585.0]  # a night of seven hours, then five
    else:
        assert [row["temperature"] for row in rows] == [float(n) for n in range(745)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("dataset", ["weather", "forecast"])
def test_extremes_follow_from_hours_in_frames_of_observations_and_of_forecasts(
    dataset: DatasetName, grid: Grid
) -> None:
    """Both frames have the same columns, so a model finds in one what it learnt from in the other."""
    month, zone, known = Month(2026, 10), "Europe/Madrid", DATASETS[dataset]
    dates = pd.DatetimeIndex(month.hours(zone)).as_unit("us")
    hours = pd.DataFrame({"date": dates, "lead_days": 3, "temperature": range(len(dates)), "source": "test"})
    table = decode_frame(encode_batch(frame_batch(canonical_frame(hours, known), known, MADE, MADE)), known)
    stored = Part(known, table, "hourly", Lead(days=3) if known.key_columns else None)
    frame = training_frame(town(zone), [month], grid, {"weather": stored})
    lowest, highest = (frame[f"temperature_{name}"].to_pylist() for name in ("min", "max"))
    if grid == "hourly":
        assert lowest == highest == [None] * 745, "nobody knows an hour's extremes"
        return
    assert (lowest[1], highest[1]) == ((24.0, 47.0) if grid == "daily" else (6.0, 10.0))
    assert frame["temperature_min_missing"].to_pylist() == [False] * frame.num_rows
    assert frame["wind_gust"].null_count == frame.num_rows


def test_resolution_follows_from_the_expected_rows() -> None:
    for month in (Month(2026, 2), Month(2026, 3), Month(2026, 10)):
        for resolution in RESOLUTIONS:
            assert resolution_of(len(expected_stamps(month, "Europe/Madrid", resolution)), month) == resolution


def test_hour_belongs_to_the_local_day_in_which_it_begins() -> None:
    frame = training_frame(town("Asia/Kolkata"), [Month(2026, 10)], "hourly", {})
    first = frame.to_pylist()[0]
    assert first["date"] == datetime(2026, 9, 30, 19, tzinfo=UTC)  # half past midnight
    assert first["hour"] == 0
    assert frame.num_rows == 744
    assert frame["date"][-1].as_py() - first["date"] == timedelta(hours=743)
