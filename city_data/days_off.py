"""Distances to public holidays and bridge days, from the weekend and the holidays of each day.

Belongs here: their definitions. Does not: the holidays themselves (calendar_days.py).

- `days_to_holiday` counts the local days to the next public holiday, `days_since_holiday` those since the last one;
  both are 0 on a public holiday.
- A bridge day is a single working day between two days off, at least one of which is a public holiday: the Friday after
  a Thursday's holiday, the Monday before a Tuesday's. A day off is a public holiday or a day of the country's weekend.
- Whatever depends on a day of which nobody knows whether it is a holiday is None: a nearer holiday may lie there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import reduce

Truth = bool | None  # None where it is not known
# No country is a year without a public holiday: a longer way ends as not known.
MOST_DAYS = 366
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DayOff:
    """Whether a day is of the country's weekend, and a public holiday."""

    is_weekend: Truth
    is_holiday: Truth

    @property
    def is_off(self) -> Truth:
        return _any((self.is_weekend, self.is_holiday))


@dataclass(frozen=True)
class Surroundings:
    """The columns of a day that depend on the days around it."""

    days_to_holiday: int | None
    days_since_holiday: int | None
    is_bridge_day: Truth


def surroundings(days: Sequence[date], day_off: Callable[[date], DayOff]) -> dict[date, Surroundings]:
    """Those of `days`, which follow each other; `day_off` also knows, or does not know, the days around them."""
    to_holiday = _distances(days[::-1], day_off, _DAY)
    since_holiday = _distances(days, day_off, -_DAY)
    return {day: Surroundings(to_holiday[day], since_holiday[day], _is_bridge(day, day_off)) for day in days}


def _distances(days: Sequence[date], day_off: Callable[[date], DayOff], step: timedelta) -> dict[date, int | None]:
    """The number of steps from each day to a holiday; each of `days` lies one step before the one listed before it."""
    counts: dict[date, int | None] = {}
    distance = _distance(days[0] + step, day_off, step) if days else None
    for day in days:
        distance = _nearer(day_off(day).is_holiday, distance)
        counts[day] = distance
    return counts


def _distance(day: date, day_off: Callable[[date], DayOff], step: timedelta) -> int | None:
    walked = [day_off(day).is_holiday]
    while walked[-1] is False and len(walked) <= MOST_DAYS:
        day += step
        walked.append(day_off(day).is_holiday)
    return reduce(lambda distance, is_holiday: _nearer(is_holiday, distance), reversed(walked), None)


def _nearer(is_holiday: Truth, beyond: int | None) -> int | None:
    """A day's distance, from that of the day beyond it."""
    if is_holiday:
        return 0
    return None if is_holiday is None or beyond is None else beyond + 1


def _is_bridge(day: date, day_off: Callable[[date], DayOff]) -> Truth:
    today, before, after = day_off(day), day_off(day - _DAY), day_off(day + _DAY)
    is_working = None if today.is_off is None else not today.is_off
    return _all((is_working, before.is_off, after.is_off, _any((before.is_holiday, after.is_holiday))))


def _any(truths: Iterable[Truth]) -> Truth:
    listed = list(truths)
    return True if True in listed else None if None in listed else False


def _all(truths: Iterable[Truth]) -> Truth:
    listed = list(truths)
    return False if False in listed else None if None in listed else True
