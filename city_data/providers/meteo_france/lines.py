"""Meteo-France's hourly lines as cells, of the department files and of DPClim.

Belongs here: the columns by name, their quality codes, and stamps (ends of hours). Does not: downloads
(bulk_files.py, orders.py), or the city's hour (hours.py).
Format: `H_descriptif_champs.csv` of the data set; the two products differ in two names and in the decimal mark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache

from city_data.providers.base import Payload, PermanentError
from city_data.providers.shared.cells import Cell, Field, Row
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.providers.shared.stations import ALTITUDE_BOUNDS, STATION_PRESSURE_BOUNDS, reduced_pressure
from city_data.providers.shared.wmo_codes import WORDS

HOUR = timedelta(hours=1)
# The columns of station and stamp in the department files, and in DPClim.
NAMES = (("NUM_POSTE", "AAAAMMJJHH"), ("POSTE", "DATE"))
_DECIMALS = {NAMES[0]: ".", NAMES[1]: ","}
VALUES = {"temperature": "T", "precipitation": "RR1", "humidity": "U", "wind_speed": "FF"}
SEA_LEVEL, CODE = "PMER", "WW"
_AT_STATION, _ALTITUDE = "PSTAT", "ALTI"
NEEDED = (*VALUES.values(), SEA_LEVEL)
# Columns that not every file has.
OPTIONAL = {"temperature_min": "TN", "temperature_max": "TX", "wind_gust": "FXI", "snowfall": "HNEIGEFI1"}
SUNSHINE, CLOUDS = "INS", "N"
# Eighths of the sky; 9 is a sky that fog or snow hides.
OCTAS, _HIDDEN = 8, "9"
_MINUTES = 60
# 0 definite, 1 validated, 9 passed the first filters. A doubtful value, 2, awaits a verdict: until then it is NULL.
_QUALITY, _USABLE, _DOUBTFUL = NumberFormat(), (0, 1, 9), 2
STAMP = re.compile(r"[0-9]{10}")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class Line:
    """A readable line of a file: `start` is the start of its hour in UTC, `cells` are those in use."""

    number: int
    station: str
    start: datetime
    cells: Mapping[str, str]


@dataclass(frozen=True)
class BrokenLine:
    """An unreadable line. `reason` is `broken_line` or `no_hour`."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True)
class HourlyFile:
    """One file's lines and header; `layout` names its columns of station and stamp."""

    name: str
    fields: Sequence[str]
    columns: Sequence[str]
    layout: tuple[str, str]
    lines: Sequence[tuple[int, str]]

    def __iter__(self) -> Iterator[Line | BrokenLine]:
        for number, text in self.lines:
            yield self._line(number, text)

    @cached_property
    def _in_use(self) -> dict[str, int]:
        """The position of each column in use: a department file has ten times as many."""
        names = [*self.layout, *(prefix + field.name for field in _FIELDS[self.layout] for prefix in ("", "Q"))]
        return {name: self.columns.index(name) for name in names if name in self.columns}

    def row(self, line: Line) -> Row:
        """The line's cells of the fields in use."""
        return {field.name: _read(field, line, self.name) for field in _FIELDS[self.layout]}

    def _line(self, number: int, text: str) -> Line | BrokenLine:
        values = text.split(";")
        if len(values) != len(self.columns):
            return BrokenLine(number, text, "broken_line")
        cells = {name: bare(values[position]) for name, position in self._in_use.items()}
        start = _start(cells[self.layout[1]])
        if start is None:
            return BrokenLine(number, text, "no_hour")
        return Line(number, cells[self.layout[0]].zfill(8), start, cells)


def with_pressure(row: Row) -> Row:
    """The row with a `pressure` reduced from the station's, if the one at sea level is missing."""
    at_station, altitude = row[_AT_STATION].number, row[_ALTITUDE].number
    temperature = row[VALUES["temperature"]].number
    if row[SEA_LEVEL].value is not None or at_station is None or altitude is None or temperature is None:
        return row
    return {**row, "pressure": reduced_pressure(at_station, altitude, temperature, row[_AT_STATION])}


def stamp_text(moment: datetime) -> str:
    """The stamp of a moment: `AAAAMMJJHH`, UTC."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H")


def bare(cell: str) -> str:
    """A cell, or a column's name, without blanks and quotes around it."""
    return cell.strip().strip('"').strip()


def columns_of(header: str) -> list[str]:
    """The names of a header line as the format's description spells them."""
    return [bare(name).upper() for name in header.removeprefix("\ufeff").removeprefix("ï»¿").split(";")]


def open_file(payload: Payload) -> HourlyFile:
    """The payload as an hourly file. Raises PermanentError for anything else."""
    header, *lines = _LINE_END.split(_text(payload))
    columns = columns_of(header)
    begins = header[:100]
    layout = next((names for names in NAMES if set(names) <= set(columns)), None)
    if layout is None:
        wanted = " or ".join("/".join(names) for names in NAMES)
        raise PermanentError(f"{payload.name} has no columns {wanted}; it begins {begins!r}")
    if missing := [column for column in NEEDED if column not in columns]:
        lacking = ", ".join(missing)
        raise PermanentError(f"{payload.name} is not an hourly file: it lacks {lacking}; it begins {begins!r}")
    if twice := sorted({name for name in columns if columns.count(name) > 1 and name}):
        raise PermanentError(f"{payload.name} has more than one column {', '.join(twice[:5])}; it begins {begins!r}")
    numbered = [(number, line) for number, line in enumerate(lines, start=2) if line.strip(' \t;"')]
    return HourlyFile(payload.name, [bare(name) for name in header.split(";")], columns, layout, numbered)


def _fields(layout: tuple[str, str]) -> tuple[Field, ...]:
    number_format = NumberFormat(decimal=_DECIMALS[layout])
    return (
        *(Field.of_weather(column, name, number_format) for column, name in VALUES.items()),
        Field.of_weather("pressure", SEA_LEVEL, number_format),
        *(Field.of_weather(column, name, number_format) for column, name in OPTIONAL.items()),
        Field(SUNSHINE, number_format, 0, _MINUTES),
        Field(CLOUDS, replace(number_format, missing=number_format.missing | {_HIDDEN}), 0, OCTAS),
        Field(_AT_STATION, number_format, *STATION_PRESSURE_BOUNDS),
        Field(_ALTITUDE, replace(number_format, counts=True), *ALTITUDE_BOUNDS),
        Field(CODE, number_format, 0, math.inf),
    )


_FIELDS = {layout: _fields(layout) for layout in NAMES}


def _read(field: Field, line: Line, file: str) -> Cell:
    """The field's cell, without a value if its quality code is doubtful or unknown."""
    cell = field.read(line.cells.get(field.name, ""), file, line.number)
    if cell.value is None and not cell.reason:
        return cell
    if (reason := _doubt(line.cells.get(f"Q{field.name}", ""))) is not None:
        return replace(cell, value=None, reason=reason)
    if field.name == CODE and cell.number is not None and cell.number not in WORDS:
        return replace(cell, value=None, reason="unknown_code")
    return cell


@lru_cache(maxsize=256)
def _doubt(quality: str) -> str | None:
    """The reason to null a value by its quality code; None for a usable code, and without a code."""
    try:
        code = _QUALITY.parse(quality)
    except NotANumber:
        return "unknown_quality"
    if code is None or code in _USABLE:
        return None
    return "doubtful" if code == _DOUBTFUL else "unknown_quality"


def _text(payload: Payload) -> str:
    body = payload.path.read_bytes()
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")  # only names of stations are not ASCII


def _start(text: str) -> datetime | None:
    """The start of the hour that ends at the stamp; None for an invalid stamp."""
    try:
        return datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=UTC) - HOUR if STAMP.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None
