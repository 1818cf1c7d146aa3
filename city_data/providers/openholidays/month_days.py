"""The holidays of a month's days as a document: what the library and the town's list say at the time of a fetch.

Belongs here: writing that document, and reading it back strictly. Does not: school vacations (schools.py), or the
holidays themselves (calendar_days.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic

from city_data.calendar_days import CalendarDay, Holiday, calendar_day
from city_data.days_off import MOST_DAYS, DayOff, Surroundings, surroundings
from city_data.local_holidays import LocalHolidays
from city_data.providers.base import Location, Payload, PermanentError, Request
from city_data.providers.openholidays.school_lines import CONTROL
from city_data.providers.transport.documents import read_json
from city_data.strict_model import StrictModel
from city_data.window import Month

NAME = "days.json"
LIBRARY, _LIBRARY_PAGE = "holidays", "https://holidays.readthedocs.io/"


def _without_control(text: str) -> str:
    if CONTROL.search(text):
        raise ValueError("the text has control characters")
    return text


_Text = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_without_control)]


_Days = Annotated[int, pydantic.Field(ge=0, le=MOST_DAYS)]


class Level(StrictModel, strict=True):
    """The holiday of one level. `source` is who says so, also of an ordinary day; None where nothing is known."""

    name: _Text | None
    is_known: bool
    source: _Text | None

    @pydantic.model_validator(mode="after")
    def _named_is_known(self) -> Self:
        if not self.is_known and self.name is not None:
            raise ValueError(f"{self.name!r} is named, and yet not known")
        return self


class Day(StrictModel, strict=True):
    """A local day. `school_vacation` is the library's, which knows vacations of few countries; the last three depend on
    the days around it, see days_off.py."""

    date: datetime.date
    is_weekend: bool
    public: Level
    country: Level
    region: Level
    town: Level
    school_vacation: _Text | None
    days_to_holiday: _Days | None
    days_since_holiday: _Days | None
    is_bridge_day: bool | None


class MonthDays(StrictModel, strict=True):
    """Every day of a month in order. `origin` names the library's version, the place and the town's list."""

    origin: dict[str, _Text | None]
    days: tuple[Day, ...]


def write(request: Request, into: Path) -> Payload:
    """The document of a month's days in the folder `into`."""
    location = request.location
    town = location.local_holidays
    origin: dict[str, str | None] = {
        "library": f"{LIBRARY} {version(LIBRARY)}",
        "country": location.country,
        "region": location.region,
        "local_holidays": None if town is None else _line(f"{town.years} {town.digest}: {town.source}"),
    }
    known = cache(partial(_calendar_day, location=location))
    around = surroundings(request.month.days(), lambda day: _day_off(known(day)))
    days = tuple(_day(day, known(day), around[day], town) for day in request.month.days())
    path = into / NAME
    path.write_text(MonthDays(origin=origin, days=days).model_dump_json(indent=1), encoding="utf-8")
    return Payload(path.name, path, _LIBRARY_PAGE, _parameters(origin, request.month), "application/json")


def read(payload: Payload, month: Month) -> MonthDays:
    """Raises PermanentError for another document, or one of other days than the month's."""
    body = payload.path.read_bytes()
    try:
        read_json(body)  # refuses one key with two values
        document = MonthDays.model_validate_json(body)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise PermanentError(f"{payload.name} is not a month's days: {where}: {first['msg']}") from error
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}") from error
    if [day.date for day in document.days] != month.days():
        raise PermanentError(f"{payload.name} has not exactly the days of {month}")
    return document


def _calendar_day(day: datetime.date, location: Location) -> CalendarDay:
    return calendar_day(day, location.country or "", location.region, location.local_holidays)


def _day(day: datetime.date, known: CalendarDay, around: Surroundings, town: LocalHolidays | None) -> Day:
    return Day(
        date=day,
        is_weekend=known.is_weekend,
        public=_level(known.public_holiday, _joined(known, day, town)),
        country=_level(known.country_holiday, LIBRARY),
        region=_level(known.region_holiday, LIBRARY),
        town=_level(known.town_holiday, _town_source(day, town)),
        school_vacation=known.school_vacation,
        **asdict(around),
    )


def _day_off(day: CalendarDay) -> DayOff:
    holiday = day.public_holiday
    return DayOff(day.is_weekend, holiday.name is not None if holiday.is_known else None)


def _level(holiday: Holiday, source: str | None) -> Level:
    name = None if holiday.name is None else _line(holiday.name)
    return Level(name=name, is_known=holiday.is_known, source=source if holiday.is_known else None)


def _joined(known: CalendarDay, day: datetime.date, town: LocalHolidays | None) -> str:
    """The sources of the levels that name the day, or else of all that know it."""
    levels = (
        (known.country_holiday, LIBRARY),
        (known.region_holiday, LIBRARY),
        (known.town_holiday, _town_source(day, town)),
    )
    named = [source for level, source in levels if source and level.name is not None]
    return "; ".join(dict.fromkeys(named or [source for level, source in levels if source and level.is_known]))


def _town_source(day: datetime.date, town: LocalHolidays | None) -> str | None:
    source = None if town is None else town.source_of(day)
    return None if source is None else _line(source)


def _line(text: str) -> str:
    """The registry's texts may stand on several lines."""
    return " ".join(text.split())


def _parameters(origin: Mapping[str, Any], month: Month) -> dict[str, str]:
    return {**{name: value for name, value in origin.items() if value is not None}, "month": str(month)}
