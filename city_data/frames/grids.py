"""The grids of a frame: the hours, the parts of the days, or the days of a month, on the city's clocks.

Belongs here: the parts' names and bounds, the stamps of a grid, the hours of its rows. Does not: how hours become one
value (daily.py), or joining (training.py).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import Literal, TypeVar
from zoneinfo import ZoneInfo

from city_data.datasets import expected_stamps
from city_data.frames.daily import MINIMUM_HOURS
from city_data.window import Month

Grid = Literal["daily", "dayparts", "hourly"]
Moment = TypeVar("Moment", datetime, int)

# Each part's first hour on the city's clocks; it ends where the next begins, the last one at midnight.
DAYPARTS = {"night": 0, "morning": 6, "noon": 11, "afternoon": 15, "evening": 19}
# A part needs this share of its hours: one of its four to seven hours may be missing, as four of a day's 24 may.
LEAST_SHARE = 0.75
_NAMES, _FIRST_HOURS = list(DAYPARTS), list(DAYPARTS.values())

DAYPARTS_TEXT = ", ".join(
    f"{name} ({first}-{last})" for (name, first), last in zip(DAYPARTS.items(), [*_FIRST_HOURS[1:], 24], strict=True)
)


def daypart(local: datetime) -> str:
    """The part of the day that a time on the city's clocks lies in."""
    return _NAMES[bisect_right(_FIRST_HOURS, local.hour) - 1]


@lru_cache(maxsize=256)  # of two years they take 20 ms to count on the city's clocks, twice for each new frame
def grid_stamps(month: Month, timezone: str, grid: Grid) -> list[datetime]:
    """The `date` of every row of the month, UTC."""
    if grid != "dayparts":
        return expected_stamps(month, timezone, grid)
    zone = ZoneInfo(timezone)
    return [
        datetime(day.year, day.month, day.day, hour, tzinfo=zone).astimezone(UTC)
        for day in month.days()
        for hour in _FIRST_HOURS
    ]


def day_of(timezone: str) -> Callable[[datetime], date]:
    """A function that gives the day of a moment on the city's clocks."""
    zone = ZoneInfo(timezone)
    return lambda moment: moment.astimezone(zone).date()


def row_bounds(edges: Sequence[Moment], hours: Sequence[Moment]) -> list[tuple[int, int]]:
    """For each row of a grid the positions in `hours`, which are sorted, of its first hour and of the one after its
    last. `edges` are the beginnings of the rows, then the end of the last: an hour belongs to the row it begins in."""
    return list(pairwise(bisect_left(hours, edge) for edge in edges))


def fewest_hours(month: Month, timezone: str, grid: Grid) -> list[int]:
    """How many hours with a value each row of the grid needs, if it is made of hours."""
    stamps = grid_stamps(month, timezone, grid)
    if grid == "daily":
        return [MINIMUM_HOURS] * len(stamps)
    bounds = row_bounds([*stamps, month.bounds(timezone)[1]], month.hours(timezone))
    return [ceil((end - start) * LEAST_SHARE) for start, end in bounds]
