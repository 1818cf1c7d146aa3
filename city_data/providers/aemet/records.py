"""AEMET's daily records as cells: strings with decimal commas, absent keys, words for rain.

Belongs here: the fields of AEMET's files. Does not: the calls (`__init__`), or the city's day (days.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from city_data.providers.base import Payload, PermanentError
from city_data.providers.shared.cells import Cell, Field, Row
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.shared.stations import ALTITUDE_BOUNDS, STATION_PRESSURE_BOUNDS
from city_data.providers.transport.documents import read_json

ENCODING = "iso-8859-15"
KNOWN_FIELDS = {
    "fecha", "indicativo", "nombre", "provincia", "altitud", "tmed", "prec", "tmin", "horatmin", "tmax", "horatmax",
    "dir", "velmedia", "racha", "horaracha", "sol", "presMax", "horaPresMax", "presMin", "horaPresMin", "hrMedia",
    "hrMax", "horaHrMax", "hrMin", "horaHrMin", "pintMax", "horaPIntMax",
}  # fmt: skip
# The service's own description of the fields spells them `presmax` and `hrmedia`.
_SPELLED = {name.casefold(): name for name in KNOWN_FIELDS}
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")  # at midnight is the same day
# AEMET leaves out the key of a missing value, so an empty text is unreadable.
_FORMAT = NumberFormat(decimal=",", missing=frozenset())
MEANS = {
    "temperature": "tmed",
    "precipitation": "prec",
    "humidity": "hrMedia",
    "wind_speed": "velmedia",
    "temperature_min": "tmin",
    "temperature_max": "tmax",
    "wind_gust": "racha",
}
EXTREMES, ALTITUDE = ("presMax", "presMin"), "altitud"
# Spain's longest day, in the north, has 15.5 hours.
SUNSHINE, LONGEST_SUNSHINE_H = "sol", 16
_RAIN = "prec"
_FIELDS = (
    *(Field.of_weather(column, name, _FORMAT) for column, name in MEANS.items()),
    *(Field(name, _FORMAT, *STATION_PRESSURE_BOUNDS) for name in EXTREMES),
    Field(SUNSHINE, _FORMAT, 0, LONGEST_SUNSHINE_H),
    Field(ALTITUDE, replace(_FORMAT, counts=True), *ALTITUDE_BOUNDS),
)
_SEVERAL = "varias"
TRACE, ACCUMULATED = "Ip", "Acum"
# A trace is less than 0.1 mm: `Ip`, or -0.3 where a field can only hold numbers. `Acum` marks rain of this day that
# was measured together with a later day's.
_WORDS_FOR_RAIN: Mapping[str, tuple[str, float | None, str]] = {
    "ip": (TRACE, 0.0, ""),
    "-0,3": (TRACE, 0.0, ""),
    "-0.3": (TRACE, 0.0, ""),
    "acum": (ACCUMULATED, None, "accumulated"),
}
DayOfStation = tuple[date, str]


@dataclass(frozen=True)
class Record:
    """A station's day."""

    day: date
    station: str
    name: str | None
    cells: Row


def records(payload: Payload) -> Sequence[Any]:
    """The payload's list of records. AEMET sends ISO-8859-15; copies saved elsewhere may be UTF-8, which is tried
    first."""
    body = payload.path.read_bytes()
    try:
        document = read_json(body, ENCODING)
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}; it begins {body[:60]!r}") from error
    if not isinstance(document, list):
        raise PermanentError(f"{payload.name} is not a list of days: {body[:200]!r}")
    return document


def record_of(item: object, file: str, row: int) -> Record | None:
    """One element of the list; None if it has no day or no station. Raises PermanentError if it has a known field
    twice."""
    values = _by_field(item, file, row) if isinstance(item, dict) else {}
    text, station = str(values.get("fecha", "")).strip(), str(values.get("indicativo", "")).strip().upper()
    try:
        day = date.fromisoformat(match[1]) if (match := _DAY.fullmatch(text)) else None
    except ValueError:
        day = None
    if day is None or not station:
        return None
    name = values.get("nombre")
    cells = {field.name: _read(field, values.get(field.name), file, row) for field in _FIELDS}
    if (word := _WORDS_FOR_RAIN.get(str(values.get(_RAIN)).strip().casefold())) is not None:
        cells[_RAIN] = Cell(word[1], word[0], file, row, word[2])
    return Record(day, station, name if isinstance(name, str) else None, cells)


def is_accumulated(row: Row) -> bool:
    """Whether the day's rain was measured with a later day's."""
    return row[_RAIN].text == ACCUMULATED


def without_accumulated(rows: Mapping[DayOfStation, Row], marked: Collection[DayOfStation]) -> dict[DayOfStation, Row]:
    """The rows without amounts of several days: those of a station's first measured day after one that is `marked`, by
    any of its rows, as accumulated."""
    days: dict[DayOfStation, Row] = {}
    pending: set[str] = set()
    for key in sorted(rows):
        row, station = rows[key], key[1]
        rain = row[_RAIN]
        if rain.value is None:
            pending |= {station} if key in marked else set()
        elif station in pending:
            pending.remove(station)
            if rain.number:  # nothing in all these days is nothing on this one
                row = {**row, _RAIN: replace(rain, value=None, text=ACCUMULATED, reason="accumulated")}
        days[key] = row
    return {key: days[key] for key in rows}


def is_known(name: str) -> bool:
    """Whether AEMET's description has a field of this name, in any case."""
    return name.strip().casefold() in _SPELLED


def _read(field: Field, value: object, file: str, row: int) -> Cell:
    """The cell; `several` where it says that the day has several values, as the hours of extremes do."""
    if isinstance(value, str) and value.strip().casefold() == _SEVERAL:
        return Cell(None, value, file, row, "several")
    return field.read(value, file, row)


def _by_field(item: Mapping[str, Any], file: str, row: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in item.items():
        name = _SPELLED.get(key.strip().casefold(), key)
        if name in values and values[name] != value:
            raise PermanentError(f"{file}: row {row} has two fields {name!r}: {str(item)[:200]}")
        values[name] = value
    return values
