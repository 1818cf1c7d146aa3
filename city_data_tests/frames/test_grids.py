"""The parts of a day: their bounds on the city's clocks, on days of any length, and how many hours each needs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from city_data.frames.grids import DAYPARTS, daypart, fewest_hours, grid_stamps, row_bounds
from city_data.window import Month
from city_data_tests.frames.clocks import row_of

ZONES = ["Europe/Madrid", "America/New_York", "America/Santiago", "Asia/Kolkata", "Asia/Beirut", "Australia/Lord_Howe"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("month", [Month(2026, 3), Month(2026, 4), Month(2026, 9), Month(2026, 10), Month(2026, 11)])
def test_parts_cover_every_month_without_a_gap(zone: str, month: Month) -> None:
    stamps = grid_stamps(month, zone, "dayparts")
    start, end = month.bounds(zone)
    place = row_of("dayparts", zone)
    assert [place(stamp) for stamp in stamps] == [(day, part) for day in month.days() for part in DAYPARTS]
    assert stamps[0] == start
    assert all(timedelta(hours=3) < after - before < timedelta(hours=8) for before, after in pairwise([*stamps, end]))
    hours = month.hours(zone)
    bounds = row_bounds([*stamps, end], hours)
    assert [place(stamp) for stamp, bound in zip(stamps, bounds, strict=True) for _ in hours[slice(*bound)]] == [
        place(hour) for hour in hours
    ]  # an hour belongs to the part in which it begins


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 5), (date(2026, 6, 1), 6), (date(2026, 10, 25), 7)])
def test_night_has_the_hours_that_the_clocks_give_it(day: date, hours: int) -> None:
    zone = "Europe/Madrid"
    month = Month.of(day)
    counts = Counter(map(row_of("dayparts", zone), month.hours(zone)))
    assert [counts[day, part] for part in DAYPARTS] == [hours, 5, 4, 4, 5]
    first = (day.day - 1) * len(DAYPARTS)
    assert fewest_hours(month, zone, "dayparts")[first : first + len(DAYPARTS)] == [hours - 1, 4, 3, 3, 4]


@pytest.mark.parametrize(
    ("clock", "part"),
    [("00:00", "night"), ("05:59", "night"), ("06:00", "morning"), ("10:59", "morning"), ("11:00", "noon"),
     ("14:59", "noon"), ("15:00", "afternoon"), ("18:59", "afternoon"), ("19:00", "evening"), ("23:59", "evening")],
)  # fmt: skip
def test_part_of_a_time_on_the_clock(clock: str, part: str) -> None:
    assert daypart(datetime.fromisoformat(f"2026-10-25T{clock}").replace(tzinfo=ZoneInfo("Europe/Madrid"))) == part


def test_parts_of_a_short_day_begin_on_the_clocks_hours() -> None:
    stamps = grid_stamps(Month(2026, 3), "Europe/Madrid", "dayparts")[28 * 5 : 29 * 5]
    assert stamps[0] == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert stamps[1:] == [datetime(2026, 3, 29, hour, tzinfo=UTC) for hour in (4, 9, 13, 17)]
