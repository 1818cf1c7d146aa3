"""Which forecast of a day a frame has."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.datasets import DATASETS
from city_data.frames.grids import day_of
from city_data.frames.leads import Lead

ZONE = "Europe/Madrid"
START = datetime(2026, 10, 20, tzinfo=UTC)
HOURS = [START + timedelta(hours=n) for n in range(24 * 12)]
LEADS = range(1, 8)
FORECAST = DATASETS["forecast"]


def stored(issued: date = date.max) -> pa.Table:
    """Every hour and lead, with values of the forecasts that were issued on that day or before."""
    rows = [(hour, lead) for hour in HOURS for lead in LEADS]
    known = [day_of(ZONE)(hour) - timedelta(lead) <= issued for hour, lead in rows]
    columns: dict[str, Any] = {
        "date": pa.array([hour for hour, _ in rows], pa.timestamp("us", tz="UTC")),
        "lead_days": [lead for _, lead in rows],
        **{name: pa.nulls(len(rows), pa.float64()) for name in FORECAST.column_names},
        "humidity": [50.0 if is_known else None for is_known in known],
        "precipitation": [float(lead) if is_known else None for (_, lead), is_known in zip(rows, known, strict=True)],
    }
    return pa.table(columns)


TABLE = stored()


@pytest.mark.parametrize("days", LEADS)
def test_fixed_lead_has_every_hour_once(days: int) -> None:
    chosen = Lead(days=days).select(TABLE, FORECAST, ZONE)
    assert chosen["date"].to_pylist() == HOURS
    assert set(chosen["lead_days"].to_pylist()) == {days}


@given(st.dates(date(2026, 10, 12), date(2026, 11, 3)))
def test_lead_of_a_day_counts_days_on_the_citys_clocks(today: date) -> None:
    """The clocks change on 25 October: the days are of 24 and 25 hours."""
    chosen = Lead(on=today).select(TABLE, FORECAST, ZONE)
    ahead = {hour: (day_of(ZONE)(hour) - today).days for hour in HOURS}
    assert dict(zip(*(chosen[name].to_pylist() for name in ("date", "lead_days")), strict=True)) == {
        hour: days for hour, days in ahead.items() if days in LEADS
    }


def test_forecast_that_is_not_stored_yet_leaves_its_place_to_an_older_one() -> None:
    today = date(2026, 10, 22)
    chosen = Lead(on=today).select(stored(today - timedelta(days=2)), FORECAST, ZONE)
    days = map(day_of(ZONE), chosen["date"].to_pylist())
    assert {(day, lead) for day, lead in zip(days, chosen["lead_days"].to_pylist(), strict=True)} == {
        (today + timedelta(days=n), n + 2) for n in range(1, 6)
    }


def test_amount_of_a_days_last_hour_is_known_a_day_longer() -> None:
    """It is the amount until midnight, three days before which it may be two days before the day."""
    local = day_of(ZONE)
    for days in (3, 7):
        chosen = Lead(days=days).select(TABLE, FORECAST, ZONE)
        for hour, rain, humidity in zip(
            *(chosen[n].to_pylist() for n in ("date", "precipitation", "humidity")), strict=True
        ):
            is_last = local(hour) != local(hour + timedelta(hours=1))
            assert rain == (days if not is_last else 4 if days == 3 else None)
            assert humidity == 50.0
