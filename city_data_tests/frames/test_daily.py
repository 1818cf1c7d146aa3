"""Hours aggregated into days; the rule itself is tested with the training frame and the reader."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from city_data.datasets import DATASETS, WEATHER
from city_data.frames.daily import daily


def test_column_missing_from_the_hourly_source_is_null_in_daily_rows() -> None:
    """An hourly fallback need not have every column of the dataset, such as one that was added later."""
    hours = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24)]
    frame = pd.DataFrame({"date": pd.DatetimeIndex(hours), "temperature": 20.0, "source": "open_meteo"})
    days = daily(frame, WEATHER, "UTC")
    assert list(days["temperature"]) == [20.0]
    assert days[["precipitation", "humidity", "wind_speed", "pressure"]].isna().all(axis=None)


def test_rules_fit_their_columns() -> None:
    for dataset in DATASETS.values():
        for column in dataset.columns:
            assert column.weight is None or column.weight in dataset.column_names
            assert (column.day_rule == "worst") <= bool(column.allowed)
            assert (column.day_rule == "sum") <= (column.kind == "number")
