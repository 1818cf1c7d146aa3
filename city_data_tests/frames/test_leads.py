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


@pytest.mark.parametrize(
    ("zone", "changed"),
    [
        ("Europe/Madrid", date(2026, 10, 25)),
        ("Europe/Lisbon", date(2026, 10, 25)),
        ("Atlantic/Azores", date(2026, 10, 25)),
        ("Atlantic/Azores", date(2026, 3, 29)),
        ("America/Denver", date(2026, 11, 1)),
        ("Australia/Lord_Howe", date(2026, 4, 5)),
        ("Asia/Kolkata", date(2026, 10, 25)),
    ],
)
def test_value_is_of_the_newest_run_that_began_before_the_day_after(zone: str, changed: date) -> None:
    """A stored value is of the newest run that began so many times 24 hours before its hour, or before its end if it is
    an amount. At midnight runs begin in Lisbon in winter, and in Denver and on the Azores in summer: for the last hour
    of a day of 25 hours that is 24 hours before. In Madrid, where none does, no value is lost."""
    start, local = datetime(changed.year, changed.month, changed.day, tzinfo=UTC) - timedelta(days=2), day_of(zone)
    rows = [(start + timedelta(hours=n), lead) for n in range(24 * 11) for lead in LEADS]
    values = {name: [float(lead) for _, lead in rows] for name in FORECAST.column_names}
    table = pa.table({"date": [hour for hour, _ in rows], "lead_days": [lead for _, lead in rows], **values})

    def day_of_run(until: datetime, lead: int) -> date:
        began = until - timedelta(lead)
        return local(began - timedelta(hours=began.hour % 6))

    for choice in [*(Lead(days=days) for days in LEADS), Lead(on=changed - timedelta(days=1)), Lead(on=changed)]:
        columns = ("date", "lead_days", "temperature", "precipitation")
        chosen = choice.select(table, FORECAST, zone).select(columns)
        for hour, days, temperature, rain in zip(*chosen.to_pydict().values(), strict=True):
            for value, until in ((temperature, hour), (rain, hour + timedelta(hours=1))):
                known = [lead for lead in (days, days + 1) if day_of_run(until, lead) <= local(hour) - timedelta(days)]
                assert value == (known[0] if known[0] in LEADS else None), (hour, days)
