"""Hours made into days: the rule itself is held by the training frame's and the reader's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd

from city_data.frames.daily import daily


def test_column_missing_from_the_hourly_source_is_null_in_daily_rows() -> None:
    """An hourly fallback need not have every column of the dataset, such as one that was added later."""
    hours = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24)]
    frame = pd.DataFrame({"date": pd.DatetimeIndex(hours), "temperature": 20.0, "source": "open_meteo"})
    days = daily(frame, "UTC")
    assert list(days["temperature"]) == [20.0]
    assert days[["precipitation", "humidity", "wind_speed", "pressure"]].isna().all(axis=None)
