"""AEMET's month from its JSON lists of daily records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from city_data_tests.oracles.plain import (
    CannotTell,
    Values,
    city,
    grouped,
    json_of,
    mean,
    midnight,
    number,
    sea_level,
    times,
)

NUMBERS = {
    "tmed": "temperature",
    "prec": "precipitation",
    "hrmedia": "humidity",
    "velmedia": "wind_speed",
    "tmin": "temperature_min",
    "tmax": "temperature_max",
    "racha": "wind_gust",
    "sol": "hours_of_a_day",
    "presmax": "at_station",
    "presmin": "at_station",
    "altitud": "altitude",
}


def month(payloads: Sequence[bytes], request: Any) -> Values:
    rows = []
    for body in payloads:
        document = json_of(body, "utf-8-sig", "iso-8859-15")
        if not isinstance(document, list):
            raise CannotTell("no list")
        rows += [row for record in document if isinstance(record, dict) and (row := _row(record, request))]
    stations = grouped(rows)
    waiting: set[str] = set()  # stations whose rain of some days stands in a later day's number
    for _, station in sorted(stations):
        row = stations[_, station]
        if row["prec"] is None:
            waiting |= {station} if row["acum"] else set()
        elif station in waiting:
            waiting.remove(station)
            row["prec"] = None if row["prec"] > 0 else row["prec"]
    for row in stations.values():
        extremes = (row["presmax"], row["presmin"])
        both = None if None in extremes else mean(extremes)
        row["pressure"] = sea_level(both, row["altitud"], row["tmed"])
        row["sunshine_duration"] = times(row["sol"], 60)
        for name in ("tmed", "prec", "hrmedia", "velmedia", "tmin", "tmax", "racha"):
            row[NUMBERS[name]] = row[name]
    return city(stations, lambda day: midnight(day, request.location.timezone))


def _row(record: dict[str, Any], request: Any) -> Any:
    """Its day and station, and its numbers; nothing where it is another month's or another station's."""
    known: dict[str, Any] = {}
    for key, value in record.items():
        name = key.strip().casefold()
        if name not in (*NUMBERS, "fecha", "indicativo"):
            continue
        if name in known and known[name] != value:
            raise CannotTell(f"two fields {name}")
        known[name] = value
    text, station = str(known.get("fecha", "")).strip(), str(known.get("indicativo", "")).strip().upper()
    text = re.sub(r"[T ]00:00(:00(\.0+)?)?\Z", "", text)
    if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) or station not in request.settings.stations:
        return None
    try:
        day = date(*map(int, text.split("-")))
    except ValueError:
        return None
    if (day.year, day.month) != (request.month.year, request.month.month):
        return None
    values = {name: number(known.get(name), ",", kind) for name, kind in NUMBERS.items()}
    word = str(known.get("prec")).strip().casefold()
    if word in ("ip", "-0,3"):
        values["prec"] = 0.0
    values["acum"] = 1.0 if word == "acum" else None
    return (day, station), values
