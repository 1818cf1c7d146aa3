"""The publication calendar of the sandbox: each source's lag, months withheld for a test, the start of history.

Belongs here: every decision that depends on `as_of`. Does not: the published data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from city_data.window import Month

HISTORY_MONTHS = 30
AEMET_LAG = timedelta(days=4)
OPEN_METEO_LAG = timedelta(days=5)
OPENWEATHER_LAG = timedelta(hours=2)
MADRID_LAG = timedelta(days=6)
METEO_FRANCE_LAG = timedelta(days=1)
MADRID_OPEN_LAG = timedelta(days=2)
BARCELONA_LAG = timedelta(days=3)
PARIS_WINDOW_MONTHS = 14
LYON_LAG = timedelta(hours=3)
TIMEZONE = "Europe/Madrid"
FRANCE = "Europe/Paris"
ZURICH = "Europe/Zurich"


@dataclass
class Publication:
    """`clock` gives the moment; `unpublished` months are withheld by every source; `revisions` counts how often each
    source has changed a month since it first published it. All may change while serving.

    With `list_open_month`, Madrid lists a month from its third day on, partial until it has closed for six days.
    """

    clock: Callable[[], datetime]
    unpublished: set[Month] = field(default_factory=set)
    list_open_month: bool = True
    revisions: dict[Month, int] = field(default_factory=dict)

    @classmethod
    def at(
        cls,
        as_of: datetime | Callable[[], datetime],
        unpublished: Iterable[Month] = (),
        list_open_month: bool = True,
    ) -> Publication:
        if isinstance(as_of, datetime):
            moment = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
            return cls(lambda: moment, set(unpublished), list_open_month)
        return cls(as_of, set(unpublished), list_open_month)

    @property
    def today(self) -> date:
        return self.clock().astimezone(UTC).date()

    def revision(self, month: Month) -> int:
        return self.revisions.get(month, 0)

    @property
    def first_month(self) -> Month:
        return Month.of(self.today) - HISTORY_MONTHS

    def aemet_has(self, day: date) -> bool:
        month = Month.of(day)
        return self.first_month <= month and month not in self.unpublished and day <= self.today - AEMET_LAG

    def open_meteo_has(self, day: date) -> bool:
        return Month.of(day) not in self.unpublished and day <= self.today - OPEN_METEO_LAG

    def openweather_has(self, moment: datetime) -> bool:
        return Month.of(moment.date()) not in self.unpublished and moment <= self.clock() - OPENWEATHER_LAG

    def meteo_france_hours(self) -> NDArray[np.int64]:
        """The stamps that are out, as hours since 1970: the files are written anew every day."""
        days = (self.first_month.first_day, self.today - METEO_FRANCE_LAG)
        first, last = ((day - date(1970, 1, 1)).days * 24 for day in days)
        hours = np.arange(first + 1, last + 1)
        for month in self.unpublished:
            start, end = (int(moment.timestamp()) // 3600 for moment in month.bounds(FRANCE))
            hours = hours[(hours <= start) | (hours > end)]
        return hours

    def madrid_last_day(self, month: Month) -> date | None:
        """The last day in the month's file, None where no file is listed."""
        if month in self.unpublished or not self.first_month <= month <= Month.of(self.today):
            return None
        if self.today >= (month + 1).first_day + MADRID_LAG:
            return month.last_day
        last = min(month.last_day, self.today - MADRID_OPEN_LAG)
        return last if self.list_open_month and last >= month.first_day else None

    def madrid_months(self) -> list[tuple[Month, date]]:
        """Every month listed, with the last day in its file, oldest first."""
        listed = []
        for month in self.first_month.until(Month.of(self.today) + 1):
            last = self.madrid_last_day(month)
            if last is not None:
                listed.append((month, last))
        return listed

    def paris_hours(self) -> tuple[datetime, datetime]:
        """The first and last end of an hour in the current feed: some fourteen months, up to today's midnight (UTC)."""
        first = Month.of(self.today) - (PARIS_WINDOW_MONTHS - 1)
        return first.bounds(FRANCE)[0] + timedelta(hours=1), datetime.combine(self.today, datetime.min.time(), UTC)

    def paris_years(self) -> list[int]:
        """The years in the archive: each appears in the February after the year after it."""
        return list(range(2010, self.today.year - (1 if self.today.month >= 2 else 2)))

    def lyon_until(self) -> datetime:
        """The start of the first interval that is not out yet."""
        return self.clock() - LYON_LAG

    def zurich_last_day(self) -> date:
        """The last local day of the motor counts: yesterday's."""
        return self.clock().astimezone(ZoneInfo(ZURICH)).date() - timedelta(days=1)

    def zurich_running_hour(self) -> datetime:
        """The beginning of the hour that the pedestrians' file, written at :18, was written in."""
        return (self.clock().astimezone(UTC) - timedelta(minutes=18)).replace(minute=0, second=0, microsecond=0)

    def zurich_months(self) -> list[Month]:
        """Every month with data, the open one included, oldest first."""
        months = self.first_month.until(Month.of(self.zurich_last_day()) + 1)
        return [month for month in months if month not in self.unpublished]

    def barcelona_months(self) -> list[Month]:
        """Every month listed, oldest first: closed ones only."""
        closed = Month.of(self.today - BARCELONA_LAG)
        return [month for month in self.first_month.until(closed) if month not in self.unpublished]
