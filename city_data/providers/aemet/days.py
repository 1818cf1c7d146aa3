"""AEMET's daily records: strings with decimal commas, absent keys, words for rain; and how stations make a city's day.

Belongs here: what is in AEMET's files. Does not: how they are asked for, which is aemet.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import fmean
from typing import Any

from city_data.providers.base import Payload, PermanentError
from city_data.providers.shared.stations import mean_of, sea_level_pressure
from city_data.providers.transport.documents import read_json
from city_data.window import Month, day_bounds

ENCODING = "iso-8859-15"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:,[0-9]+)?")
_KNOWN_FIELDS = {
    "fecha", "indicativo", "nombre", "provincia", "altitud", "tmed", "prec", "tmin", "horatmin", "tmax", "horatmax",
    "dir", "velmedia", "racha", "horaracha", "sol", "presMax", "horaPresMax", "presMin", "horaPresMin", "hrMedia",
    "hrMax", "horaHrMax", "hrMin", "horaHrMin", "pintMax", "horaPIntMax",
}  # fmt: skip
# A trace is less than 0.1 mm: `Ip`, or -0.3 where a field can only hold numbers.
_TRACES, _ACCUMULATED = ("Ip", "-0,3"), "Acum"
_COLUMNS = {"temperature": "tmed", "humidity": "hrMedia", "wind_speed": "velmedia"}
COLUMNS = ("temperature", "precipitation", "humidity", "wind_speed", "pressure")


@dataclass
class Reading:
    """The days by date and station, and what was counted on the way."""

    days: dict[date, dict[str, dict[str, Any]]] = field(default_factory=dict)
    received: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    nulled: Counter[str] = field(default_factory=Counter)
    fields: set[str] = field(default_factory=set)
    known: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def used(self) -> int:
        return sum(len(stations) for stations in self.days.values())

    @property
    def unknown_fields(self) -> list[str]:
        return sorted(self.fields - _KNOWN_FIELDS)

    @property
    def stations(self) -> list[dict[str, Any]]:
        """The stations as their records tell of them, without coordinates, each with its share of the station-days."""
        days = Counter(station for stations in self.days.values() for station in stations)
        return [
            {"id": station, **self.known[station], "days": days[station], "weight": round(days[station] / self.used, 4)}
            for station in sorted(days)
        ]


def read(payloads: Sequence[Payload], month: Month) -> Reading:
    """Every station's days of the month. Raises PermanentError for what is no list of daily records."""
    reading = Reading()
    for payload in payloads:
        for record in records(payload):
            _collect(record, month, reading)
    return reading


def city_day(day: date, stations: Mapping[str, Mapping[str, Any]], timezone: str, source: str) -> dict[str, Any]:
    """The canonical row of a day: each value is the mean of the stations that have it."""

    return {
        "date": day_bounds(day, timezone)[0],
        **{name: mean_of(stations.values(), name) for name in COLUMNS},
        "source": source,
        "raw_data": {
            "stations": {name: stations[name] for name in sorted(stations)},
            "precipitation_day": "07-07 UTC",
            "modelled": False,
        },
    }


def records(payload: Payload) -> Sequence[Mapping[str, Any]]:
    """The wire is ISO-8859-15; copies saved by others are UTF-8, which valid UTF-8 gives away."""
    body = payload.path.read_bytes()
    try:
        document = read_json(body, ENCODING)
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}; it begins {body[:60]!r}") from error
    if not isinstance(document, list) or not all(isinstance(record, dict) for record in document):
        raise PermanentError(f"{payload.name} is not a list of days: {body[:200]!r}")
    return document


def _collect(record: Mapping[str, Any], month: Month, reading: Reading) -> None:
    reading.received += 1
    reading.fields.update(record)
    try:
        day, station = date.fromisoformat(str(record["fecha"])), str(record["indicativo"])
    except (KeyError, ValueError) as error:
        raise PermanentError(f"a record without `fecha` or `indicativo`: {str(record)[:200]}") from error
    if not month.first_day <= day <= month.last_day:
        reading.rejected["outside_month"] += 1
    elif station in reading.days.get(day, {}):
        reading.rejected["duplicate"] += 1
    else:
        reading.days.setdefault(day, {})[station] = _station_day(record, reading)
        altitude = number(record.get("altitud"), Counter(), "altitud", negative=True)
        reading.known.setdefault(station, {"name": record.get("nombre"), "altitude_m": altitude})


def _station_day(record: Mapping[str, Any], reading: Reading) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: number(record.get(key), reading.nulled, key, negative=name == "temperature")
        for name, key in _COLUMNS.items()
    }
    flags = []
    rain = record.get("prec")
    if rain in _TRACES:
        values["precipitation"] = 0.0  # under 0.1 mm, which the flag tells
        flags.append("trace_precipitation")
    elif rain == _ACCUMULATED:
        values["precipitation"] = None  # fell on this day, measured with a later one
        flags.append("accumulated_precipitation")
    else:
        values["precipitation"] = number(rain, reading.nulled, "prec")
    extremes = [number(record.get(key), reading.nulled, key) for key in ("presMax", "presMin")]
    altitude = number(record.get("altitud"), reading.nulled, "altitud", negative=True)
    values["pressure"] = None
    if None not in (*extremes, altitude, values["temperature"]):
        at_station = fmean(value for value in extremes if value is not None)
        values["pressure"] = round(sea_level_pressure(at_station, float(altitude or 0), values["temperature"]), 2)
        flags.append("pressure_reduced")
    return {**values, **({"flags": flags} if flags else {})}


def number(text: object, nulled: Counter[str], key: str, negative: bool = False) -> float | None:
    """AEMET's number, a string with a decimal comma; None where the key is absent or the text is none (counted)."""
    if text is None:
        return None
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()):
        nulled[f"not_a_number:{key}"] += 1
        return None
    value = float(text.strip().replace(",", "."))
    if value < 0 and not negative:
        nulled[f"negative:{key}"] += 1
        return None
    return value
