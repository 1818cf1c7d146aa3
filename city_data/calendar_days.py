"""Calendar features of a local day: weekday, weekend, public holiday, school vacation.

Belongs here: the `holidays` library's answers (https://holidays.readthedocs.io), by country and region, and where its
knowledge ends. Does not: months and time zones (window.py), or joining days with data (frames/training.py).

A value that the library does not know is None, never False. Names are in the country's own language, whatever this
machine's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from typing import Any

_PUBLIC, _SCHOOL = "public", "school"
_USUAL_WEEKEND = frozenset({5, 6})
# With fewer school days off in a year the library knows single days and no vacations (Bulgaria 1, Laos 9, Israel 21),
# or not all of that year (France of 2017). Every country whose vacations it has gives 70 or more.
_FEWEST_OF_A_SCHOOL_YEAR = 60


@dataclass(frozen=True)
class CalendarDay:
    """`weekday` is 0 for Monday. `public_holiday` is its name, None for an ordinary day, and for any day of a year and
    country without `holidays_known`. `school_free`: whether pupils have vacations, None where that is not known."""

    weekday: int
    is_weekend: bool
    public_holiday: str | None
    holidays_known: bool
    school_free: bool | None


def calendar_day(day: date, country: str, region: str | None) -> CalendarDay:
    """`country` is ISO 3166-1 alpha-2, `region` one of `regions(country)`; without it, only what all regions share."""
    year = _year(country, region, day.year)
    return CalendarDay(
        weekday=day.weekday(),
        is_weekend=day.weekday() in year.weekend,
        public_holiday=year.public.get(day) if year.public is not None else None,
        holidays_known=year.public is not None,
        school_free=day in year.school if year.school is not None else None,
    )


def regions(country: str) -> tuple[str, ...]:
    """The library's subdivisions of a country: ISO 3166-2 codes without the country prefix, and other zones such as
    France's school zones. Empty for an unknown country."""
    calendar = _country(country)
    return tuple(calendar.subdivisions) if calendar is not None else ()


def method() -> str:
    """The library and its version: another version may know more."""
    return f"holidays {version('holidays')}"


@dataclass(frozen=True)
class _Year:
    weekend: frozenset[int]
    public: Mapping[date, str] | None
    school: Mapping[date, str] | None


@lru_cache(maxsize=4_096)
def _year(country: str, region: str | None, year: int) -> _Year:
    calendar = _country(country)
    if calendar is None:
        return _Year(_USUAL_WEEKEND, None, None)
    weekend = frozenset(calendar.weekend)
    if not calendar.start_year <= year <= calendar.end_year:
        return _Year(weekend, None, None)
    public = _days(calendar, region, year, _PUBLIC)
    school = _days(calendar, region, year, _SCHOOL) if _SCHOOL in calendar.supported_categories else {}
    return _Year(weekend, public, school if len(school) >= _FEWEST_OF_A_SCHOOL_YEAR else None)


def _days(calendar: Any, region: str | None, year: int, category: str) -> dict[date, str]:
    """The holidays of one year. A fresh object a year: the library's own objects accumulate every year looked up."""
    return dict(calendar(years=year, subdiv=region, categories=(category,), language=calendar.default_language))


def _country(country: str) -> Any:
    import holidays

    return getattr(holidays, country, None)
