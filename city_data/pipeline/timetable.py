"""The timetable: the monthly tick that loads the month that has closed.

Belongs here: times of day that schedules, notices and metrics share. Does not: the schedules (defs/schedules.py).
"""

from datetime import UTC, datetime, time

from city_data.window import Month

MONTHLY_TICK = time(2, tzinfo=UTC)  # on day 1


def monthly_tick(moment: datetime) -> datetime:
    """The last tick of the monthly schedule before or at `moment` (aware)."""
    month = Month.at(moment, "UTC")
    tick = datetime.combine(month.first_day, MONTHLY_TICK)
    return tick if tick <= moment else datetime.combine((month - 1).first_day, MONTHLY_TICK)
