"""Calendar features of a local day: weekday, weekend, holidays of country, region and town, school vacation.

Belongs here: the `holidays` library's answers (https://holidays.readthedocs.io), by country and region, joined with a
town's own feasts, and where that knowledge ends. Does not: the feasts themselves (local_holidays.py), months and time
zones (window.py), or joining days with data (frames/training.py).

A value that is not known is None, never False, level by level. Names are in the country's own language, whatever this
machine's is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from city_data.local_holidays import LocalHolidays

_PUBLIC, _SCHOOL = "public", "school"
_USUAL_WEEKEND = frozenset({5, 6})
# With fewer school days off in a year the library knows single days and no vacations (Bulgaria 1, Laos 9, Israel 21),
# or not all of that year (France of 2017). Every country whose vacations it has gives 70 or more.
_FEWEST_OF_A_SCHOOL_YEAR = 60
_BETWEEN_NAMES = "; "  # the library's own
# Where regions decide on their holidays anew each year, the last year whose decisions the library has, by its own
# documentation. Of later years it has guesses: Madrid's 2 May of 2027, a Sunday, on the Monday.
_LAST_DECIDED = {"ES": 2026}
# The last day of lessons that a ministry has decreed; the vacations that the library computes after it are guesses too.
_LAST_DECREED = {"FR": date(2028, 7, 4)}


@dataclass(frozen=True)
class Holiday:
    """The holiday of one level: `name` is None for an ordinary day, and for any day where `is_known` is false."""

    name: str | None
    is_known: bool


@dataclass(frozen=True)
class CalendarDay:
    """`weekday` is 0 for Monday. `public_holiday` joins the levels. `school_free`: whether pupils have vacations, None
    where that is not known; `school_vacation` is their name."""

    weekday: int
    is_weekend: bool
    public_holiday: Holiday
    country_holiday: Holiday
    region_holiday: Holiday
    town_holiday: Holiday
    school_free: bool | None
    school_vacation: str | None


def calendar_day(day: date, country: str, region: str | None, town: LocalHolidays | None = None) -> CalendarDay:
    """`country` is ISO 3166-1 alpha-2, `region` one of `regions(country)`, `town` the list of the town's own feasts.

    Without region or town, or before their decisions on a year, what these add is not known. A holiday that the town's
    list names is the town's alone, also where the library counts it to the region, as it does Lisbon's 13 June.
    """
    year = _year(country, region, town, day.year)
    school = year.school if day <= _LAST_DECREED.get(country, day) else None
    return CalendarDay(
        day.weekday(),
        day.weekday() in year.weekend,
        *year.named.get(day, year.ordinary),
        school_free=day in school if school is not None else None,
        school_vacation=school.get(day) if school is not None else None,
    )


def regions(country: str) -> tuple[str, ...]:
    """The library's subdivisions of a country: ISO 3166-2 codes without the country prefix, and other zones such as
    France's school zones. Empty for an unknown country."""
    calendar = _country(country)
    return tuple(calendar.subdivisions) if calendar is not None else ()


_Levels = tuple[Holiday, Holiday, Holiday, Holiday]  # public, country, region and town, as in CalendarDay


@dataclass(frozen=True)
class _Year:
    """`named` has the days with a holiday, `ordinary` what holds for every other day."""

    weekend: frozenset[int]
    named: Mapping[date, _Levels]
    ordinary: _Levels
    school: Mapping[date, str] | None


@lru_cache(maxsize=4_096)
def _year(country: str, region: str | None, town: LocalHolidays | None, year: int) -> _Year:
    calendar = _country(country)
    is_covered = calendar is not None and calendar.start_year <= year <= calendar.end_year
    is_decided = year <= _LAST_DECIDED.get(country, year)
    places = (region if is_decided else None, None)
    both, everywhere = (_days(calendar, place, year, _PUBLIC) if is_covered else {} for place in places)
    listed = town.of_year(year) if town is not None else None
    feasts = listed or {}
    has_region = is_decided and (region is not None or (is_covered and not calendar.subdivisions))
    is_known = (is_covered, is_covered and has_region, listed is not None)
    named = {
        day: _levels(_split(both, day), _split(everywhere, day), feasts.get(day, []), is_known)
        for day in {*both, *feasts}
    }
    school = _days(calendar, region, year, _SCHOOL) if is_covered and _SCHOOL in calendar.supported_categories else {}
    return _Year(
        weekend=frozenset(calendar.weekend) if calendar is not None else _USUAL_WEEKEND,
        named=named,
        ordinary=_levels([], [], [], is_known),
        school=school if len(school) >= _FEWEST_OF_A_SCHOOL_YEAR else None,
    )


def _levels(both: list[str], everywhere: list[str], here: list[str], is_known: tuple[bool, bool, bool]) -> _Levels:
    """A day's names of country and region, of the country without a region, and of the town, by level."""
    country = [name for name in everywhere if name in both]
    region = [name for name in both if name not in {*everywhere, *here}]
    name = _joined([*both, *here])
    levels = [Holiday(_joined(names), known) for names, known in zip((country, region, here), is_known, strict=True)]
    return (Holiday(name, name is not None or all(is_known)), levels[0], levels[1], levels[2])


def _days(calendar: Any, region: str | None, year: int, category: str) -> dict[date, str]:
    """The holidays of one year. A fresh object a year: the library's own objects accumulate every year looked up."""
    return dict(calendar(years=year, subdiv=region, categories=(category,), language=calendar.default_language))


def _split(days: Mapping[date, str], day: date) -> list[str]:
    return days[day].split(_BETWEEN_NAMES) if day in days else []


def _joined(names: list[str]) -> str | None:
    return _BETWEEN_NAMES.join(dict.fromkeys(names)) or None


def _country(country: str) -> Any:
    import holidays

    return getattr(holidays, country, None)
