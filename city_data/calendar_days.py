"""What kind of day a day is where a city lies: weekday, weekend, public holiday, school-free.

Belongs here: the `holidays` library's answers (https://holidays.readthedocs.io), by country and region, and where its
knowledge ends. Does not: months and time zones (window.py), or joining days with data (frames/training.py).

What the library does not know is None, never "no". Names are in the country's own language, whatever this machine's is.
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
    """The regions of a country that the library tells apart: ISO 3166-2 codes without the country, and some zones that
    are no such regions, as France's school zones. Empty for a country that it does not know."""
    found = _country(country)
    return tuple(found.subdivisions) if found is not None else ()


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
    found = _country(country)
    if found is None:
        return _Year(_USUAL_WEEKEND, None, None)
    weekend = frozenset(found.weekend)
    if not found.start_year <= year <= found.end_year:
        return _Year(weekend, None, None)
    public = _days(found, region, year, _PUBLIC)
    school = _days(found, region, year, _SCHOOL) if _SCHOOL in found.supported_categories else {}
    return _Year(weekend, public, school if len(school) >= _FEWEST_OF_A_SCHOOL_YEAR else None)


def _days(found: Any, region: str | None, year: int, category: str) -> dict[date, str]:
    """A year's holidays alone: the library adds years that it is asked of later to what it has."""
    return dict(found(years=year, subdiv=region, categories=(category,), language=found.default_language))


def _country(country: str) -> Any:
    import holidays

    return getattr(holidays, country, None)
