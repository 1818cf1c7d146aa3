"""The wire of history.openweathermap.org: hours by the week, its three errors, and the week that it stops at.

Belongs here: the route, its bodies, the lag, key order and spelling as recorded. Does not: the weather (climate.py).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from city_data import environment
from city_data.sandbox.base import Source
from city_data.sandbox.climate import Hours, Spot, altitude, weather
from city_data.window import Month

HOST = "history.openweathermap.org"
# A key that is known but has no subscription to this API.
UNSUBSCRIBED = "unsubscribed"
_LAG = timedelta(hours=2)
_WEEK_HOURS = 7 * 24
_KELVIN = 273.15
NO_DATA = b'{"message":"no data","cod":"404"}'
NO_SUBSCRIPTION = (
    b'{"cod":401, "message": "Please note that using One Call 3.0 requires a separate subscription to the One Call by '
    b"Call plan. Learn more here https://openweathermap.org/price. If you have a valid subscription to the One Call by "
    b"Call plan, but still receive this error, then please see https://openweathermap.org/faq#error401 for more "
    b'info."}'
)
_WRONG_KEY = (
    b'{"cod":401, "message": "Invalid API key. Please see https://openweathermap.org/faq#error401 for more info."}'
)
# By the WMO codes that the climate speaks: id, main, description, icon.
_SKIES: dict[int, tuple[int, str, str, str]] = {
    0: (800, "Clear", "clear sky", "01"),
    1: (801, "Clouds", "few clouds", "02"),
    2: (803, "Clouds", "broken clouds", "04"),
    3: (804, "Clouds", "overcast clouds", "04"),
    51: (300, "Drizzle", "light intensity drizzle", "09"),
    61: (500, "Rain", "light rain", "10"),
    63: (501, "Rain", "moderate rain", "10"),
    65: (502, "Rain", "heavy intensity rain", "10"),
    71: (600, "Snow", "light snow", "13"),
}


class OpenWeather(Source):
    hosts = (HOST,)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{HOST}/data/2.5/history/city", self.history)
        return router

    def history(self, request: Request) -> Response:
        """Hours from `start` to `end`, both included, of which no more than the first week is ever sent."""
        query = dict(request.query_params)
        if (refusal := self._refusal(query.get("appid", ""))) is not None:
            return _answer(401, refusal)
        try:
            north, east = float(query["lat"]), float(query["lon"])
            first, last = -(-int(query["start"]) // 3600), int(query["end"]) // 3600
        except (KeyError, ValueError) as error:
            return _answer(400, json.dumps({"cod": "400", "message": f"wrong {error}"}).encode())
        published = [
            hour
            for hour in range(first, min(last, first + _WEEK_HOURS - 1) + 1)
            if self._has(datetime.fromtimestamp(hour * 3600, UTC))
        ]
        if not published:
            return _answer(404, NO_DATA)
        hours = np.asarray(published, dtype=np.int64)
        metric = query.get("units") == "metric"
        items = _items(published, weather(Spot(north, east, altitude(north, east)), hours), metric)
        # The service does not number cities: every location is city 1.
        envelope = {
            "message": f"Count: {len(items)}",
            "cod": "200",
            "city_id": 1,
            "calctime": 0.0123,
            "cnt": len(items),
        }
        return _answer(200, json.dumps({**envelope, "list": items}, separators=(",", ":")).encode())

    def _has(self, moment: datetime) -> bool:
        publication = self.publication
        return Month.of(moment.date()) not in publication.unpublished and moment <= publication.clock() - _LAG

    def _refusal(self, key: str) -> bytes | None:
        if key == UNSUBSCRIBED:
            return NO_SUBSCRIPTION
        return None if key and key == self.setting.keys.get(environment.OPENWEATHER_API_KEY.name, key) else _WRONG_KEY


def _answer(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json; charset=utf-8")


def _items(stamps: list[int], hours: Hours, metric: bool) -> list[dict[str, Any]]:
    shift = 0.0 if metric else _KELVIN
    return [_item(stamp, hours, index, shift) for index, stamp in enumerate(stamps)]


def _item(stamp: int, hours: Hours, index: int, shift: float) -> dict[str, Any]:
    degrees, wind = round(float(hours.temperature[index]) + shift, 2), round(float(hours.wind[index]), 2)
    code, fallen = int(hours.code[index]), round(float(hours.precipitation[index]), 2)
    number, main, words, icon = _SKIES[code]
    icon += "d" if 6 <= stamp % 24 < 19 else "n"
    item: dict[str, Any] = {
        "dt": stamp * 3600,
        "main": {
            "temp": degrees,
            "feels_like": round(degrees - 0.2, 2),
            "pressure": round(float(hours.pressure[index])),
            "humidity": round(float(hours.humidity[index])),
            "temp_min": degrees,
            "temp_max": degrees,
        },
        "wind": {"speed": wind, "deg": stamp * 37 % 360, "gust": round(wind * 1.4, 2)},
        "clouds": {"all": round(100 * float(hours.cloud[index]))},
        "weather": [{"id": number, "main": main, "description": words, "icon": icon}],
    }
    if fallen > 0:
        item["snow" if code == 71 else "rain"] = {"1h": fallen}
    return item
