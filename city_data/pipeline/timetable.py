"""The timetable: the monthly tick that loads the month that has closed, and the day from which a month is overdue.

Belongs here: times that schedules, checks, notices and metrics share. Does not: the schedules (defs/schedules.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from city_data.window import Month

if TYPE_CHECKING:
    from city_data.pipeline.feeds import Feed
    from city_data.store.ledger import MonthEntry

MONTHLY_TICK = time(2, tzinfo=UTC)  # on day 1
# A source may be a little late before an alert fires.
LATENESS = timedelta(days=3)


def monthly_tick(moment: datetime) -> datetime:
    """The last tick of the monthly schedule before or at `moment` (aware)."""
    month = Month.at(moment, "UTC")
    tick = datetime.combine(month.first_day, MONTHLY_TICK)
    return tick if tick <= moment else datetime.combine((month - 1).first_day, MONTHLY_TICK)


def is_overdue(feed: Feed, month: Month, entry: MonthEntry | None, moment: datetime) -> bool:
    """Whether the month is late: its provider's lag has passed, and it is neither stored nor `not_available`."""
    if entry is not None and (entry.has_data or entry.state == "not_available"):
        return False
    published = month.bounds(feed.city.timezone)[1] + feed.primary.provider.capabilities.lag
    return moment > published + LATENESS
