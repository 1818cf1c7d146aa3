"""The wire of archive-api.open-meteo.com: hours by list of variables, with units, nulls and an error envelope.

Belongs here: the route, its body, the lag. Does not: the weather (climate.py).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from city_data.sandbox.climate import Hours, Spot, station_pressure, weather
from city_data.sandbox.noise import uniform
from city_data.sandbox.open_meteo_api import OpenMeteoApi, answer, hours_of, variables, wind_unit
from city_data.window import Month

HOST = "archive-api.open-meteo.com"
LAG = timedelta(days=5)
_FIRST_DAY, _EPOCH = date(1940, 1, 1), date(1970, 1, 1)
_HOLE = 401
_CELL = 0.0703
_UNITS = {
    "temperature_2m": "°C",
    "precipitation": "mm",
    "relative_humidity_2m": "%",
    "wind_speed_10m": "",
    "pressure_msl": "hPa",
    "surface_pressure": "hPa",
    "weather_code": "wmo code",
    "sunshine_duration": "s",
    "cloud_cover": "%",
    "wind_gusts_10m": "",
    "snowfall": "cm",
}


class OpenMeteo(OpenMeteoApi):
    hosts = (HOST,)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{HOST}/v1/archive", self.archive)
        return router

    def archive(self, request: Request) -> JSONResponse:
        return self.answered(request, self._location)

    def _location(self, query: dict[str, str], spot: Spot) -> dict[str, Any]:
        local = hours_of(query, _FIRST_DAY, self.publication.today)
        zone, offset = self.zone(query.get("timezone", "GMT"))
        unit, factor = wind_unit(query)
        hours = local - offset // 3600
        values = _columns(weather(spot, hours), spot, factor)
        known = self._known(spot, hours // 24)
        columns = {
            name: (_UNITS[name] or unit, [v if ok else None for v, ok in zip(values[name], known, strict=True)])
            for name in variables(query, _UNITS)
        }
        return answer(spot, _CELL, (zone, offset), local, columns)

    def _known(self, spot: Spot, days: NDArray[np.int64]) -> list[bool]:
        """By hour: False after the lag, and in the holes of a day that the archive really has."""
        published = {day: self._has(_EPOCH + timedelta(days=day)) for day in set(days.tolist())}
        holes = uniform(_HOLE, spot.region, days) <= 0.005
        return [published[day] and not hole for day, hole in zip(days.tolist(), holes.tolist(), strict=True)]

    def _has(self, day: date) -> bool:
        return Month.of(day) not in self.publication.unpublished and day <= self.publication.today - LAG


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
        "sunshine_duration": np.round(hours.sunshine * 60, 2).tolist(),
        "cloud_cover": np.round(hours.cloud * 100).astype(int).tolist(),
        "wind_gusts_10m": np.round(hours.gust * wind_factor, 2).tolist(),
        "snowfall": np.round(hours.snow, 2).tolist(),
    }
