"""The wire of openholidaysapi.data's files of school vacations, as GitHub serves them.

Belongs here: paths, columns, invented vacations by rules of the kind that ministries decree. Does not: holidays, which
no server is called for.

A file ends with the lessons of the last school year that is decreed: those of next year are out from June on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from dateutil.easter import easter
from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response

from city_data.sandbox.base import Source

HOST = "raw.githubusercontent.com"
_SRC = f"/{HOST}/openpotato/openholidaysapi.data/main/src"
_YEARS, _DECREED_IN = 5, 6
_MONDAY, _SATURDAY, _SUNDAY = 0, 5, 6
_HEADER = ("Id", "Country", "StartDate", "EndDate", "Type", "RegionalScope", "Name")
_ZONES = (
    ("ZA", "AR", "BF", "NA"),
    ("ZB", "BT", "CV", "GE", "HF", "NO", "PC", "PL"),
    ("ZC", "IF", "OC"),
)
_GRADES = (
    "PT 9.º%2C 11.º e 12.º anos,EN 9th%2C 11th and 12th grades",
    "PT 5.º%2C 6.º%2C, 7.º%2C 8.º e 10.º anos,EN 5th to 8th and 10th grades",
    "PT Educação pré-escolar e 1.º%2C 2.º%2C 3.º e 4.º anos,EN Pre-school and 1st to 4th grades",
)


@dataclass(frozen=True)
class _Line:
    """A vacation, or the end of lessons where `last` is None."""

    name: str
    first: date
    last: date | None
    places: Sequence[str] = ()
    comment: str = ""


class OpenHolidays(Source):
    hosts = (HOST,)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"{_SRC}/countries.csv", self.countries)
        router.add_api_route(f"{_SRC}/{{country}}/holidays/{{file}}", self.file)
        return router

    def countries(self) -> Response:
        return PlainTextResponse("IsoCode;Name;OfficialLanguages\nES;EN Spain,ES España;ES\n")

    def file(self, country: str, file: str) -> Response:
        """The file of a country, or of one of its regions where it has one for each."""
        parts = file.removeprefix("holidays.school").removesuffix(".csv").strip(".")
        if not file.startswith("holidays.school") or (country, bool(parts)) not in _CALENDARS:
            return PlainTextResponse("404: Not Found", 404)
        text = _text(country.upper(), parts.upper(), self._school_years())
        return Response(text.encode("utf-8-sig"), media_type="text/plain; charset=utf-8")

    def _school_years(self) -> range:
        """The school years that are out, by the year in which they begin."""
        today = self.publication.today
        last = today.year if today.month >= _DECREED_IN else today.year - 1
        return range(last - _YEARS, last + 1)


def _text(country: str, region: str, years: range) -> str:
    calendar = _CALENDARS[country.lower(), bool(region)]
    places = (region,) if region else ()
    lines = [line for year in years for line in calendar(year, places, year == years[-1])]
    extra = {"FR": ["Subdivisions", *[""] * 6], "PT": ["Comment"]}.get(country, ["Subdivisions"])
    rows = [";".join((*_HEADER, *extra))]
    for line in sorted(lines, key=lambda line: line.first):
        tail = {"FR": [",".join(line.places), *[""] * 6], "PT": [line.comment]}.get(country, [",".join(line.places)])
        scope = "Regional" if line.places else "National"
        kind = "EndOfLessons" if line.last is None else "School"
        key = f"{country} {line.first} {line.name} {tail}"
        cells = (uuid.uuid5(uuid.NAMESPACE_URL, key), country, line.first, line.last or "", kind, scope, line.name)
        rows.append(";".join([*map(str, cells), *tail]))
    return "\n".join(rows) + "\n"


def _spain(year: int, places: Sequence[str], is_last: bool) -> Iterator[_Line]:
    yield _Line(
        "ES Día no lectivo,EN Non-teaching day",
        _from(_MONDAY, date(year, 11, 1)),
        _from(_MONDAY, date(year, 11, 1)),
        places,
    )
    yield _Line(
        "ES Vacaciones de Navidad,EN Christmas holidays",
        _from(_SATURDAY, date(year, 12, 19)),
        date(year + 1, 1, 7),
        places,
    )
    spring = easter(year + 1)
    yield _Line(
        "ES Vacaciones de Semana Santa,EN Easter holidays",
        spring - timedelta(days=8),
        spring + timedelta(days=1),
        places,
    )
    summer = _from(_SATURDAY, date(year + 1, 6, 19))
    if is_last:
        yield _Line("ES Fin de lecciones,EN End of lessons", summer - timedelta(days=1), None, places)
    else:
        yield _Line("ES Vacaciones de verano,EN Summer holidays", summer, date(year + 1, 9, 7), places)


def _portugal(year: int, places: Sequence[str], is_last: bool) -> Iterator[_Line]:
    yield _Line(
        "PT Férias de Natal,EN Christmas holidays", _from(_MONDAY, date(year, 12, 16)), date(year + 1, 1, 3), places
    )
    carnival = easter(year + 1) - timedelta(days=48)
    yield _Line("PT Férias de Carnaval,EN Carnival holidays", carnival, carnival + timedelta(days=2), places)
    spring = easter(year + 1)
    yield _Line(
        "PT Férias de Páscoa,EN Easter holidays", spring - timedelta(days=13), spring + timedelta(days=1), places
    )
    for weeks, grades in enumerate(_GRADES):
        summer = _from(_SATURDAY, date(year + 1, 6, 5)) + timedelta(weeks=weeks)
        if is_last:
            yield _Line("PT Fim das aulas,EN End of lessons", summer - timedelta(days=1), None, places, grades)
        else:
            yield _Line("PT Férias de verão,EN Summer holidays", summer, date(year + 1, 9, 10), places, grades)


def _france(year: int, places: Sequence[str], is_last: bool) -> Iterator[_Line]:  # noqa: ARG001  zones are its own
    everywhere = [place for zone in _ZONES for place in zone]
    yield _weeks("FR Vacances de la Toussaint,EN All Saints Holidays", _from(_SUNDAY, date(year, 10, 18)), everywhere)
    yield _weeks("FR Vacances de Noël,EN Christmas Holidays", _from(_SUNDAY, date(year, 12, 19)), everywhere)
    for turn, zone in enumerate(_ZONES[year % 3 :] + _ZONES[: year % 3]):
        weeks = timedelta(weeks=turn)
        yield _weeks("FR Vacances d'hiver,EN Winter Holidays", _from(_SUNDAY, date(year + 1, 2, 7)) + weeks, zone)
        yield _weeks("FR Vacances de printemps,EN Spring Holidays", _from(_SUNDAY, date(year + 1, 4, 4)) + weeks, zone)
    summer = _from(_SUNDAY, date(year + 1, 7, 4))
    if is_last:
        yield _Line("FR Fin des cours,EN End of lessons", summer - timedelta(days=1), None, everywhere)
    else:
        yield _Line("FR Vacances d'été,EN Summer Holidays", summer, date(year + 1, 8, 31), everywhere)


def _switzerland(year: int, places: Sequence[str], is_last: bool) -> Iterator[_Line]:
    yield _weeks("DE Herbst,EN Autumn", _from(_MONDAY, date(year, 10, 4)), places)
    yield _weeks("DE Winter,EN Christmas", _from(_MONDAY, date(year, 12, 20)), places)
    yield _weeks("DE Frühling,EN Spring", _from(_MONDAY, date(year + 1, 4, 19)), places)
    summer = _from(_MONDAY, date(year + 1, 7, 12))
    if is_last:
        yield _Line("DE Schulschluss,EN End of lessons", summer - timedelta(days=3), None, places)
    else:
        yield _Line("DE Sommer,EN Summer", summer, summer + timedelta(days=33), places)


_CALENDARS = {("es", True): _spain, ("pt", False): _portugal, ("fr", False): _france, ("ch", True): _switzerland}


def _weeks(name: str, first: date, places: Sequence[str]) -> _Line:
    """Two weeks."""
    return _Line(name, first, first + timedelta(days=14), places)


def _from(weekday: int, day: date) -> date:
    """The first such weekday on or after a day."""
    return day + timedelta(days=(weekday - day.weekday()) % 7)
