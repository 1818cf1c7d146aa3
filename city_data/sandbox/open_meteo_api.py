"""The protocol of Open-Meteo's APIs: places, units and zones of a question, and the shape of an answer.

Belongs here: what its archive and its forecasts have in common. Does not: variables and their values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from fastapi import Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from city_data.errors import CityDataError
from city_data.sandbox.base import Source
from city_data.sandbox.climate import Spot, altitude

_WIND = {"kmh": ("km/h", 3.6), "ms": ("m/s", 1.0), "mph": ("mp/h", 2.236936), "kn": ("kn", 1.943844)}


class Refused(CityDataError, ValueError):
    """A question that the service answers with 400."""


class OpenMeteoApi(Source):
    """A server of one of the APIs."""

    def answered(self, request: Request, location: Callable[[dict[str, str], Spot], dict[str, Any]]) -> JSONResponse:
        """One location gives an object, several a list."""
        query = dict(request.query_params)
        try:
            answers = [location(query, spot) for spot in spots(query)]
        except Refused as refusal:
            return JSONResponse({"error": True, "reason": str(refusal)}, 400)
        for number, one in enumerate(answers[1:], start=1):
            one["location_id"] = number
        return JSONResponse(answers if len(answers) > 1 else answers[0])

    def zone(self, name: str) -> tuple[str, int]:
        """Today's offset for all of history, as the real service does: any zone but GMT is a trap."""
        if name in ("GMT", "UTC"):
            return "GMT", 0
        name = "Europe/Madrid" if name == "auto" else name
        if name not in available_timezones():
            raise Refused(f"Invalid timezone: {name}")
        offset = self.publication.clock().astimezone(ZoneInfo(name)).utcoffset() or timedelta()
        return name, int(offset.total_seconds())


def spots(query: dict[str, str]) -> list[Spot]:
    try:
        north, east = ([float(part) for part in query[name].split(",")] for name in ("latitude", "longitude"))
    except (KeyError, ValueError):
        raise Refused("Parameter 'latitude' and 'longitude' must have the same number of elements") from None
    if len(north) != len(east):
        raise Refused("Parameter 'latitude' and 'longitude' must have the same number of elements")
    for latitude in north:
        if not -90 <= latitude <= 90 or math.isnan(latitude):
            raise Refused(f"Latitude must be in range of -90 to 90°. Given: {latitude}.")
    return [Spot(n, e, altitude(n, e)) for n, e in zip(north, east, strict=True)]


def hours_of(query: dict[str, str], oldest: date, newest: date) -> NDArray[np.int64]:
    """The requested days' hours since 1970, by the clocks of the requested zone; days lie from `oldest` to `newest`."""
    first, last = (_day(query, name, oldest, newest) for name in ("start_date", "end_date"))
    if last < first:
        raise Refused("End-date must be larger or equals than start-date.")
    begin = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) // 3600
    return np.arange(begin, begin + ((last - first).days + 1) * 24)


def _day(query: dict[str, str], name: str, oldest: date, newest: date) -> date:
    try:
        day = date.fromisoformat(query.get(name, ""))
    except ValueError:
        raise Refused(f"Invalid date format for '{name}'. Make sure to use 'YYYY-MM-DD'") from None
    if not oldest <= day <= newest:
        raise Refused(f"Parameter '{name}' is out of allowed range from {oldest} to {newest}")
    return day


def variables(query: dict[str, str], known: Collection[str]) -> list[str]:
    names = [name for name in query.get("hourly", "").split(",") if name]
    for name in names:
        if name not in known:
            raise Refused(f"Data corrupted at path ''. Cannot initialize variable from invalid String value {name}.")
    return names


def wind_unit(query: dict[str, str]) -> tuple[str, float]:
    name = query.get("wind_speed_unit", "kmh")
    if name not in _WIND:
        raise Refused(f"Data corrupted at path ''. Cannot initialize WindspeedUnit from invalid String value {name}.")
    return _WIND[name]


def answer(
    spot: Spot,
    cell: float,
    zone: tuple[str, int],
    local: NDArray[np.int64],
    columns: Mapping[str, tuple[str, list[Any]]],
) -> dict[str, Any]:
    """One location's answer: `local` hours since 1970 on the clocks of `zone`, a name and its offset in seconds, and
    each variable's unit and values. `cell` is the width of the model's cells in degrees."""
    name, offset = zone
    return {
        "latitude": round(spot.latitude / cell) * cell,
        "longitude": round(spot.longitude / cell) * cell,
        "generationtime_ms": 0.5,
        "utc_offset_seconds": offset,
        "timezone": name,
        "timezone_abbreviation": "GMT" if offset == 0 else f"GMT{offset // 3600:+d}",
        "elevation": spot.altitude,
        "hourly_units": {"time": "iso8601"} | {name: unit for name, (unit, _) in columns.items()},
        "hourly": {
            "time": [f"{datetime.fromtimestamp(int(hour) * 3600, UTC):%Y-%m-%dT%H:%M}" for hour in local],
            **{name: values for name, (_, values) in columns.items()},
        },
    }
