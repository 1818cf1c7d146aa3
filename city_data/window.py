"""Months, time zones and the rolling window: the only place that does date arithmetic on months.

Belongs here: the `Month`, its half-open UTC bounds in a time zone, `as_of`, and the window of stored months.
Does not: the columns of a month (datasets.py), or the expiry of months that leave the window (pipeline/retention.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from city_data import environment
from city_data.errors import CityDataError, ConfigurationError

_MONTH_TEXT = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_FIRST_YEAR, _LAST_YEAR = 1970, 2999  # of CITY_DATA_AS_OF: every window around it lies within the calendar


class InvalidMonth(CityDataError, ValueError):
    """A text that names no calendar month."""


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month. What stretch of time it covers depends on a time zone: see `bounds`."""

    year: int
    month: int

    def __post_init__(self) -> None:
        date(self.year, self.month, 1)  # refuses an invalid month with the standard library's error

    @classmethod
    def parse(cls, text: str) -> Month:
        """`2026-10`, or the partition key `2026-10-01`. Raises InvalidMonth for anything else."""
        match = _MONTH_TEXT.fullmatch(text.removesuffix("-01") if len(text) == 10 else text)
        if match is None or match[1] == "0000":
            raise InvalidMonth(f"not a month: {text!r}; write YYYY-MM, such as 2026-10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, moment: date) -> Month:
        """The month that a date, or a datetime in its own time zone, lies in."""
        return cls(moment.year, moment.month)

    @classmethod
    def at(cls, moment: datetime, timezone: str) -> Month:
        """The month that an aware moment lies in, on the clocks of `timezone`."""
        return cls.of(moment.astimezone(ZoneInfo(timezone)))

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def __add__(self, months: int) -> Month:
        years, month = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, month + 1)

    def __sub__(self, months: int) -> Month:
        return self + -months

    def until(self, end: Month) -> Iterator[Month]:
        """Every month from this one up to `end`, which is left out."""
        month = self
        while month < end:
            yield month
            month = month + 1

    @property
    def first_day(self) -> date:
        return date(self.year, self.month, 1)

    @property
    def last_day(self) -> date:
        return (self + 1).first_day - timedelta(days=1)

    def days(self) -> list[date]:
        """Every calendar day of the month, in order."""
        return [self.first_day + timedelta(days=n) for n in range((self.last_day - self.first_day).days + 1)]

    def bounds(self, timezone: str) -> tuple[datetime, datetime]:
        """The month as a half-open UTC interval `[start, end)` on the clocks of `timezone`."""
        return day_bounds(self.first_day, timezone)[0], day_bounds(self.last_day, timezone)[1]

    def hours(self, timezone: str) -> list[datetime]:
        """The start of every hour of UTC that begins in the month: 743 or 745 of a 31-day month where clocks change.

        Sources stamp full hours of UTC everywhere, which a zone of a half-hour offset has at half past on its clocks.
        Counted from the month's own start, every hour of such a city was expected at a stamp that no source has.
        """
        start, end = self.bounds(timezone)
        full = start.replace(minute=0, second=0)
        first = full if full == start else full + timedelta(hours=1)
        return [first + timedelta(hours=n) for n in range(-((first - end) // timedelta(hours=1)))]

    def day_starts(self, timezone: str) -> list[datetime]:
        """The UTC start of every local day of the month."""
        return [day_bounds(day, timezone)[0] for day in self.days()]


@dataclass(frozen=True)
class Interval:
    """A half-open interval in UTC, which excludes `end`."""

    start: datetime
    end: datetime

    @property
    def days(self) -> float:
        return (self.end - self.start) / timedelta(days=1)


def day_bounds(day: date, timezone: str) -> tuple[datetime, datetime]:
    """A local calendar day as a half-open UTC interval: 23, 24 or 25 hours long."""
    zone = ZoneInfo(timezone)
    following = day + timedelta(days=1)
    return (
        datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC),
        datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC),
    )


@dataclass(frozen=True)
class Window:
    """The window of stored months: 24 complete ones and the open one. `first` and `open` are included."""

    first: Month
    open: Month

    def complete_months(self) -> list[Month]:
        return list(self.first.until(self.open))

    def months(self, ahead: int = 0) -> list[Month]:
        """From `first` to the open month, and `ahead` more."""
        return list(self.first.until(self.open + 1 + ahead))

    def __contains__(self, month: object) -> bool:
        return isinstance(month, Month) and self.first <= month <= self.open


def rolling_window(as_of: datetime, complete_months: int | None = None) -> Window:
    """The window at `as_of` (aware), by UTC's calendar, so that all cities share one set of partitions."""
    current = Month.at(as_of, "UTC")
    return Window(first=current - (complete_months or retention_months()), open=current)


def retention_months() -> int:
    """The number of complete months in the window: `CITY_DATA_RETENTION_MONTHS`, else 24. Raises ConfigurationError."""
    return environment.RETENTION_MONTHS.whole_number("a number of months from 1 to 240", 1, 240)


def as_of(otherwise: datetime | None = None) -> datetime:
    """The moment in `CITY_DATA_AS_OF` (ISO 8601; naive means UTC), else `otherwise`, else now.

    Raises ConfigurationError.
    """
    text = environment.AS_OF.get()
    if not text:
        return otherwise or datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"{environment.AS_OF}={text!r} is not an ISO 8601 time, such as 2026-11-24T09:00:00Z"
        ) from error
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ConfigurationError(f"{environment.AS_OF}={text!r} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
