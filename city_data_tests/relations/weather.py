"""Generated months of weather in the wire formats of AEMET, Open-Meteo, OpenWeather and Meteo-France.

Belongs here: rows of a month, with the oddities that sources have, and their bytes. Does not: what must not change
them (the tests), which values are right (oracles).
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from city_data.providers import discover
from city_data.providers.aemet import AemetSettings
from city_data.providers.base import Location, Provider, Request, Settings
from city_data.providers.meteo_france import MeteoFranceSettings
from city_data.window import Month
from city_data_tests.sandbox.asking import AS_OF, MADRID

Row = dict[str, Any]
# One plain month, one of 29 days, and those in which clocks change.
MONTHS = ("2026-09", "2024-02", "2025-10", "2026-03")
PARIS = Location("paris", 48.8566, 2.3522, "Europe/Paris")
KOLKATA = Location("kolkata", 22.57, 88.36, "Asia/Kolkata")
STATIONS = ("3195", "3129")
POSTS = ("75114001", "75106001")
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Wire:
    """One format. `rows` makes a month's rows of a seed, `encode` their bytes."""

    name: str
    provider_name: str
    place: Location
    settings: Settings
    rows: Callable[[Request, random.Random], list[Row]]
    encode: Callable[[Sequence[Row]], bytes]

    @property
    def provider(self) -> Provider:
        return discover()[self.provider_name]

    def request(self, month: str) -> Request:
        return Request(self.place, Month.parse(month), self.settings, AS_OF)


def decimal(value: float, mark: str = ",") -> str:
    return f"{value:.1f}".replace(".", mark)


def hours(request: Request, margin: int = 3) -> list[datetime]:
    """Every full hour in UTC of the month's first and last day and of a day on which clocks change, and some on either
    side of the month: the other days are alike, and hundreds of months are made."""
    zone = ZoneInfo(request.location.timezone)
    days = request.month.days()
    midnights = [datetime(day.year, day.month, day.day, tzinfo=zone) for day in (*days, days[-1] + timedelta(days=1))]
    spans = [
        (start.astimezone(UTC).replace(minute=0), end.astimezone(UTC).replace(minute=0))
        for start, end in pairwise(midnights)
        if start in (midnights[0], midnights[-2]) or start.utcoffset() != end.utcoffset()
    ]
    spans = [(spans[0][0] - margin * _HOUR, spans[0][1]), *spans[1:-1], (spans[-1][0], spans[-1][1] + margin * _HOUR)]
    return [start + n * _HOUR for start, end in spans for n in range(int((end - start) / _HOUR))]


def _aemet_rows(request: Request, chance: random.Random) -> list[Row]:
    rows = []
    for station, height in zip(STATIONS, ("667", "609"), strict=True):
        for day in request.month.days():
            row = {"fecha": str(day), "indicativo": station, "nombre": f"MADRID, {station} Ñ", "altitud": height}
            heat = chance.uniform(-5, 35)
            values = {
                "tmed": decimal(heat),
                "prec": chance.choice(["0,0", "Ip", "Acum", "-0,3", decimal(chance.uniform(0, 40))]),
                "hrMedia": str(chance.randint(20, 100)),
                "velmedia": decimal(chance.uniform(0, 12)),
                "tmin": decimal(heat - chance.uniform(0, 9)),
                "tmax": decimal(heat + chance.uniform(0, 9)),
                "racha": decimal(chance.uniform(3, 30)),
                "sol": decimal(chance.uniform(0, 14)),
                "presMax": decimal(chance.uniform(938, 950)),
                "presMin": decimal(chance.uniform(925, 938)),
            }
            rows.append(row | {name: text for name, text in values.items() if chance.random() > 0.05})
    return rows


def _open_meteo_rows(request: Request, chance: random.Random) -> list[Row]:
    rows = []
    for stamp in hours(request):
        values: Row = {
            "temperature_2m": round(chance.uniform(-5, 35), 1),
            "precipitation": round(max(0.0, chance.uniform(-2, 2)), 2),
            "relative_humidity_2m": chance.randint(20, 100),
            "wind_speed_10m": round(chance.uniform(0, 12), 2),
            "pressure_msl": round(chance.uniform(980, 1040), 1),
            "weather_code": chance.choice([0, 1, 2, 3, 45, 61, 63, 95]),
            "sunshine_duration": round(max(0.0, chance.uniform(-3600, 3600)), 2),
            "cloud_cover": chance.randint(0, 100),
            "wind_gusts_10m": round(chance.uniform(0, 30), 2),
            "snowfall": round(max(0.0, chance.uniform(-2, 2)), 2),
        }
        rows.append({"time": f"{stamp:%Y-%m-%dT%H:%M}", **_with_holes(values, chance, None)})
    return rows


def _openweather_rows(request: Request, chance: random.Random) -> list[Row]:
    rows = []
    for stamp in hours(request, margin=1):
        main = {
            "temp": round(chance.uniform(-5, 35), 2),
            "pressure": chance.randint(980, 1040),
            "humidity": chance.randint(20, 100),
        }
        sky = {
            "id": 500,
            "main": "Rain",
            "description": chance.choice(["light rain", "overcast clouds"]),
            "icon": "10d",
        }
        item: Row = {"dt": int(stamp.timestamp()), "main": {k: v for k, v in main.items() if chance.random() > 0.03}}
        item |= {"wind": {"speed": round(chance.uniform(0, 12), 2), "deg": 10}, "weather": [sky]}
        if chance.random() < 0.8:
            item["wind"]["gust"], item["clouds"] = round(chance.uniform(0, 30), 2), {"all": chance.randint(0, 100)}
        if chance.random() < 0.2:
            item[chance.choice(["rain", "snow"])] = {chance.choice(["1h", "1h", "3h"]): round(chance.uniform(0, 9), 2)}
        rows.append(item)
    return rows


def _meteo_france_rows(station_name: str, stamp_name: str, mark: str) -> Callable[[Request, random.Random], list[Row]]:
    quality = mark == "."

    def rows(request: Request, chance: random.Random) -> list[Row]:
        made = []
        for post, height in zip(POSTS, ("75", "801"), strict=True):
            for stamp in hours(request):
                values = {
                    "RR1": decimal(max(0.0, chance.uniform(-2, 2)), mark),
                    "FF": decimal(chance.uniform(0, 12), mark),
                    "T": decimal(chance.uniform(-5, 35), mark),
                    "U": str(chance.randint(20, 100)),
                    "TN": decimal(chance.uniform(-9, 25), mark),
                    "TX": decimal(chance.uniform(-5, 39), mark),
                    "FXI": decimal(chance.uniform(0, 30), mark),
                    "INS": str(chance.randint(0, 60)),
                    "N": str(chance.randint(0, 9)),
                    "HNEIGEFI1": decimal(max(0.0, chance.uniform(-2, 2)), mark),
                    "PMER": decimal(chance.uniform(980, 1040), mark) if height == "75" else "",
                    "PSTAT": decimal(chance.uniform(890, 940), mark),
                    "WW": chance.choice(["", "", "61", "3", "95"]),
                }
                row = {station_name: post, stamp_name: (stamp + _HOUR).strftime("%Y%m%d%H"), "NOM_USUEL": "SAINT-ÉLOI"}
                for name, text in _with_holes(values, chance, "").items():
                    row[name] = text
                    if quality:
                        row[f"Q{name}"] = chance.choice("019" if chance.random() > 0.02 else "2") if text else ""
                made.append(row | ({"ALTI": height} if quality else {}))
        return made

    return rows


def _with_holes(values: Mapping[str, Any], chance: random.Random, hole: object) -> Row:
    return {name: hole if chance.random() < 0.04 else value for name, value in values.items()}


def aemet_json(rows: Sequence[Row]) -> bytes:
    return json.dumps(list(rows), ensure_ascii=False, indent=1).encode("iso-8859-15", "replace")


def open_meteo_json(rows: Sequence[Row], place: Location = MADRID) -> bytes:
    units = ("°C", "mm", "%", "m/s", "hPa", "wmo code", "s", "%", "m/s", "cm")
    names = [*dict.fromkeys(name for row in rows for name in row)] or ["time"]
    known = [name for name in names if name != "time"][: len(units)]
    document = {
        "latitude": round(place.latitude + 0.03, 5),
        "longitude": round(place.longitude - 0.02, 5),
        "utc_offset_seconds": 0,
        "elevation": 655.0,
        "hourly_units": {"time": "iso8601", **dict(zip(known, units, strict=False))},
        "hourly": {name: [row.get(name) for row in rows] for name in names},
    }
    return json.dumps(document, ensure_ascii=False).encode()


def openweather_json(rows: Sequence[Row]) -> bytes:
    return json.dumps({"message": "", "cod": "200", "city_id": 1, "cnt": len(rows), "list": list(rows)}).encode()


def csv(rows: Sequence[Row], end: str = "\n") -> bytes:
    names = [*dict.fromkeys(name for row in rows for name in row)]
    lines = [";".join(names), *(";".join(str(row.get(name, "")) for name in names) for row in rows)]
    return (end.join(lines) + end).encode()


WIRES = {
    wire.name: wire
    for wire in (
        Wire("aemet", "aemet", MADRID, AemetSettings(stations=STATIONS), _aemet_rows, aemet_json),
        Wire("open_meteo", "open_meteo", MADRID, Settings(), _open_meteo_rows, open_meteo_json),
        Wire("openweather", "openweather", MADRID, Settings(), _openweather_rows, openweather_json),
        Wire("openweather half hours", "openweather", KOLKATA, Settings(), _openweather_rows, openweather_json),
        Wire(
            "meteo_france files",
            "meteo_france",
            PARIS,
            MeteoFranceSettings(department="75", stations=POSTS),
            _meteo_france_rows("NUM_POSTE", "AAAAMMJJHH", "."),
            csv,
        ),
        Wire(
            "meteo_france orders",
            "meteo_france",
            PARIS,
            MeteoFranceSettings(department="75", stations=POSTS),
            _meteo_france_rows("POSTE", "DATE", ","),
            lambda rows: csv(rows, "\r\n"),
        ),
    )
}
