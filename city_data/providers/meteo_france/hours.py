"""Meteo-France's hourly lines, of the department files and of DPClim, and how stations make a city's hour.

Belongs here: the columns, by name, their quality codes, and the hour that a stamp ends. Does not: how lines are got.
Format: `H_descriptif_champs.csv` of the data set; the two products differ in two names and in the decimal sign.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from city_data.providers.base import Payload, PermanentError
from city_data.providers.shared.stations import mean_of, sea_level_pressure
from city_data.providers.shared.wmo_codes import WORDS

HOUR = timedelta(hours=1)
NUMBERS = ("temperature", "precipitation", "humidity", "wind_speed", "pressure")
# Station and stamp: of the department files, of DPClim.
NAMES = (("NUM_POSTE", "AAAAMMJJHH"), ("POSTE", "DATE"))
_VALUES = {"temperature": "T", "precipitation": "RR1", "humidity": "U", "wind_speed": "FF"}
_SEA_LEVEL, _AT_STATION, _ALTITUDE, _CODE = "PMER", "PSTAT", "ALTI", "WW"
_NEEDED = (*_VALUES.values(), _SEA_LEVEL)
# 0 definite, 1 validated, 9 passed the first filters. A doubtful value, 2, awaits a verdict: until then it is NULL.
_USABLE, _DOUBTFUL = ("0", "1", "9", ""), "2"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?")
_STAMP = re.compile(r"[0-9]{10}")


@dataclass
class Reading:
    """The hours by their UTC start and station, and what became of every line."""

    hours: dict[datetime, dict[str, dict[str, Any]]] = field(default_factory=dict)
    received: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    nulled: Counter[str] = field(default_factory=Counter)
    fields: list[str] = field(default_factory=list)

    @property
    def used(self) -> int:
        return sum(len(stations) for stations in self.hours.values())

    @property
    def stations(self) -> list[str]:
        return sorted({station for stations in self.hours.values() for station in stations})

    @property
    def quality_codes(self) -> bool:
        """DPClim had none before 2025: its values are then told by nobody to be doubtful."""
        return any(f"Q{name}" in self.fields for name in _NEEDED)


def stamp_text(moment: datetime) -> str:
    """`AAAAMMJJHH`, UTC."""
    return moment.astimezone(UTC).strftime("%Y%m%d%H")


def read(payloads: Sequence[Payload], stations: Sequence[str], bounds: tuple[datetime, datetime]) -> Reading:
    """Every line of `stations` whose hour starts within `bounds`. Raises PermanentError for what is no hourly file."""
    reading = Reading()
    for payload in payloads:
        rows = csv.reader(io.StringIO(_text(payload), newline=""), delimiter=";", quoting=csv.QUOTE_NONE)
        header = [name.strip() for name in next(rows, [])]
        station, stamp = _layout(payload.name, header)
        reading.fields += [name for name in header if name not in reading.fields]
        for row in rows:
            if row:
                _collect(dict(zip(header, row, strict=False)), len(row) - len(header), reading, station, stamp)
    _drop(reading, stations, bounds)
    return reading


def city_hours(reading: Reading, stations: Sequence[str], source: str) -> Iterator[dict[str, Any]]:
    """The canonical rows by hour: each number the mean of the stations that have it, the words those of the first
    station, in the order of the settings, that reports any."""
    for start, found in sorted(reading.hours.items()):
        codes = (found[name].get("weather_code") for name in stations if name in found)
        code = next((code for code in codes if code is not None), None)
        yield {
            "date": start,
            **{name: mean_of(found.values(), name) for name in NUMBERS},
            "description": WORDS[code] if code is not None else None,
            "source": source,
            "raw_data": {"stations": {name: found[name] for name in sorted(found)}, "modelled": False},
        }


def _text(payload: Payload) -> str:
    body = payload.path.read_bytes()
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")  # only names of stations are not ASCII


def _layout(name: str, header: Sequence[str]) -> tuple[str, str]:
    layout = next((names for names in NAMES if set(names) <= set(header)), None)
    begins = ";".join(header)[:100]
    if layout is None:
        wanted = " or ".join("/".join(names) for names in NAMES)
        raise PermanentError(f"{name} has no columns {wanted}; it begins {begins!r}")
    if missing := [column for column in _NEEDED if column not in header]:
        raise PermanentError(f"{name} is no hourly file: it lacks {', '.join(missing)}; it begins {begins!r}")
    return layout


def _collect(cells: Mapping[str, str], surplus: int, reading: Reading, station_name: str, stamp_name: str) -> None:
    reading.received += 1
    if surplus:
        reading.rejected["broken_line"] += 1
        return
    station, text = cells[station_name].strip().zfill(8), cells[stamp_name].strip()
    start = _end_of_hour(text) - HOUR
    if station in reading.hours.get(start, {}):
        reading.rejected["duplicate"] += 1
    else:
        reading.hours.setdefault(start, {})[station] = _station_hour(cells, reading.nulled)


def _drop(reading: Reading, stations: Sequence[str], bounds: tuple[datetime, datetime]) -> None:
    """Reject what is not of the month, of another station, or says nothing."""
    for start, found in list(reading.hours.items()):
        for station, values in list(found.items()):
            if not bounds[0] <= start < bounds[1]:
                reason = "outside_month"
            elif station not in stations:
                reason = "other_station"
            elif all(values[name] is None for name in (*NUMBERS, "weather_code")):
                reason = "no_value"
            else:
                continue
            reading.rejected[reason] += 1
            del found[station]
        if not found:
            del reading.hours[start]


def _end_of_hour(text: str) -> datetime:
    if _STAMP.fullmatch(text):
        try:
            return datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=UTC)
        except ValueError:
            pass  # told below, as what is not ten digits
    raise PermanentError(f"{text!r} is no hour as AAAAMMJJHH")


def _station_hour(cells: Mapping[str, str], nulled: Counter[str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: _value(cells, column, nulled, negative=name == "temperature") for name, column in _VALUES.items()
    }
    flags = []
    values["pressure"] = _value(cells, _SEA_LEVEL, nulled)
    if values["pressure"] is None:
        at_station = _value(cells, _AT_STATION, nulled)
        altitude = _value(cells, _ALTITUDE, nulled, negative=True)
        if at_station is not None and altitude is not None and values["temperature"] is not None:
            values["pressure"] = round(sea_level_pressure(at_station, altitude, values["temperature"]), 2)
            flags.append("pressure_reduced")
    code = _value(cells, _CODE, nulled)
    if code is not None and code not in WORDS:
        nulled[f"unknown_code:{_CODE}"] += 1
        code = None
    values["weather_code"] = None if code is None else int(code)
    return {**values, **({"flags": flags} if flags else {})}


def _value(cells: Mapping[str, str], column: str, nulled: Counter[str], negative: bool = False) -> float | None:
    """None where the cell is empty, or (counted) where its quality code or its text does not allow a number."""
    text, quality = cells.get(column, "").strip(), cells.get(f"Q{column}", "").strip()
    if not text:
        return None
    if quality not in _USABLE:
        nulled[f"{'doubtful' if quality == _DOUBTFUL else 'unknown_quality'}:{column}"] += 1
        return None
    if not _NUMBER.fullmatch(text):
        nulled[f"not_a_number:{column}"] += 1
        return None
    value = float(text.replace(",", "."))
    if value < 0 and not negative:
        nulled[f"negative:{column}"] += 1
        return None
    return value
