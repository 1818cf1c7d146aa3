"""The wire of archive-api.open-meteo.com: hours by list of variables, with units, nulls and an error envelope.

Belongs here: the route, its body, the lag. Does not: the weather (climate.py).
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from city_data.errors import CityDataError
from city_data.sandbox.base import Source
from city_data.sandbox.climate import Hours, Spot, altitude, station_pressure, weather
from city_data.sandbox.noise import uniform
from city_data.window import Month

HOST = "archive-api.open-meteo.com"
LAG = timedelta(days=5)
_FIRST_DAY, _EPOCH = date(1940, 1, 1), date(1970, 1, 1)
_HOLE = 401
_WIND = {"kmh": ("km/h", 3.6), "ms": ("m/s", 1.0), "mph": ("mp/h", 2.236936), "kn": ("kn", 1.943844)}
_UNITS = {
    "temperature_2m": "°C",
    "precipitation": "mm",
    "relative_humidity_2m": "%",
    "wind_speed_10m": "",
    "pressure_msl": "hPa",
    "surface_pressure": "hPa",
    "weather_code": "wmo code",
}


class _Refused(CityDataError, ValueError):
    """A question that the service answers with 400."""


class OpenMeteo(Source):
    hosts = (HOST,)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{HOST}/v1/archive", self.archive)
        return router

    def archive(self, request: Request) -> JSONResponse:
        """One location gives an object, several a list."""
        query = dict(request.query_params)
        try:
            spots = _spots(query)
            answers = [self._location(query, spot) for spot in spots]
        except _Refused as refusal:
            return JSONResponse({"error": True, "reason": str(refusal)}, 400)
        for number, answer in enumerate(answers[1:], start=1):
            answer["location_id"] = number
        return JSONResponse(answers if len(answers) > 1 else answers[0])

    def _location(self, query: dict[str, str], spot: Spot) -> dict[str, Any]:
        first, last = (self._day(query, name) for name in ("start_date", "end_date"))
        if last < first:
            raise _Refused("End-date must be larger or equals than start-date.")
        zone, offset = self._zone(query.get("timezone", "GMT"))
        unit, factor = _wind_unit(query)
        begin = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) // 3600
        local = np.arange(begin, begin + ((last - first).days + 1) * 24)
        hours = local - offset // 3600
        values = _columns(weather(spot, hours), spot, factor)
        known = self._known(spot, hours // 24)
        variables = _variables(query)
        return {
            "latitude": round(spot.latitude / 0.0703) * 0.0703,
            "longitude": round(spot.longitude / 0.0703) * 0.0703,
            "generationtime_ms": 0.5,
            "utc_offset_seconds": offset,
            "timezone": zone,
            "timezone_abbreviation": "GMT" if offset == 0 else f"GMT{offset // 3600:+d}",
            "elevation": spot.altitude,
            "hourly_units": {"time": "iso8601"} | {name: _UNITS[name] or unit for name in variables},
            "hourly": {
                "time": [f"{datetime.fromtimestamp(int(hour) * 3600, UTC):%Y-%m-%dT%H:%M}" for hour in local],
                **{name: [v if ok else None for v, ok in zip(values[name], known, strict=True)] for name in variables},
            },
        }

    def _known(self, spot: Spot, days: NDArray[np.int64]) -> list[bool]:
        """By hour: False after the lag, and in the holes of a day that the archive really has."""
        published = {day: self._has(_EPOCH + timedelta(days=day)) for day in set(days.tolist())}
        holes = uniform(_HOLE, spot.region, days) <= 0.005
        return [published[day] and not hole for day, hole in zip(days.tolist(), holes.tolist(), strict=True)]

    def _has(self, day: date) -> bool:
        return Month.of(day) not in self.publication.unpublished and day <= self.publication.today - LAG

    def _day(self, query: dict[str, str], name: str) -> date:
        try:
            day = date.fromisoformat(query.get(name, ""))
        except ValueError:
            raise _Refused(f"Invalid date format for '{name}'. Make sure to use 'YYYY-MM-DD'") from None
        if not _FIRST_DAY <= day <= self.publication.today:
            allowed = f"{_FIRST_DAY} to {self.publication.today}"
            raise _Refused(f"Parameter '{name}' is out of allowed range from {allowed}")
        return day

    def _zone(self, name: str) -> tuple[str, int]:
        """Today's offset for all of history, as the real service does: any zone but GMT is a trap."""
        if name in ("GMT", "UTC"):
            return "GMT", 0
        name = "Europe/Madrid" if name == "auto" else name
        if name not in available_timezones():
            raise _Refused(f"Invalid timezone: {name}")
        offset = self.publication.clock().astimezone(ZoneInfo(name)).utcoffset() or timedelta()
        return name, int(offset.total_seconds())


def _spots(query: dict[str, str]) -> list[Spot]:
    try:
        north, east = ([float(part) for part in query[name].split(",")] for name in ("latitude", "longitude"))
    except (KeyError, ValueError):
        raise _Refused("Parameter 'latitude' and 'longitude' must have the same number of elements") from None
    if len(north) != len(east):
        raise _Refused("Parameter 'latitude' and 'longitude' must have the same number of elements")
    for latitude in north:
        if not -90 <= latitude <= 90 or math.isnan(latitude):
            raise _Refused(f"Latitude must be in range of -90 to 90°. Given: {latitude}.")
    return [Spot(n, e, altitude(n, e)) for n, e in zip(north, east, strict=True)]


def _variables(query: dict[str, str]) -> list[str]:
    variables = [name for name in query.get("hourly", "").split(",") if name]
    for name in variables:
        if name not in _UNITS:
            raise _Refused(f"Data corrupted at path ''. Cannot initialize variable from invalid String value {name}.")
    return variables


def _wind_unit(query: dict[str, str]) -> tuple[str, float]:
    name = query.get("wind_speed_unit", "kmh")
    if name not in _WIND:
        raise _Refused(f"Data corrupted at path ''. Cannot initialize WindspeedUnit from invalid String value {name}.")
    return _WIND[name]


def _columns(hours: Hours, spot: Spot, wind_factor: float) -> dict[str, list[float] | list[int]]:
    at_station = station_pressure(hours.pressure, spot.altitude, hours.temperature)
    return {
        "temperature_2m": np.round(hours.temperature, 1).tolist(),
        "precipitation": hours.precipitation.tolist(),
        "relative_humidity_2m": np.round(hours.humidity).astype(int).tolist(),
        "wind_speed_10m": np.round(hours.wind * wind_factor, 2).tolist(),
        "pressure_msl": np.round(hours.pressure, 1).tolist(),
        "surface_pressure": np.round(at_station, 1).tolist(),
        "weather_code": hours.code.tolist(),
    }
