"""OpenWeather's month from the answers of its History API: items of an hour, rain told an hour late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from city_data_tests.oracles.plain import HOUR, CannotTell, Values, bounds, json_of, merged, number

UNKNOWN = object()
# The keys that are read, which may be spelled in other letters.
KEYS = {
    *("dt", "main", "temp", "humidity", "pressure", "sea_level", "wind", "speed", "gust", "clouds", "all"),
    *("rain", "snow", "1h", "weather"),
}


def month(payloads: Sequence[bytes], request: Any) -> Values:
    items: dict[datetime, list[dict[str, Any]]] = {}
    for body in payloads:
        document = json_of(body, "utf-8-sig", "latin-1")
        listed = document.get("list") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise CannotTell("no list of hours")
        for told in listed:
            item = _spelled(told) if isinstance(told, dict) else {}
            try:
                moment = datetime.fromtimestamp(item["dt"], UTC)
            except (KeyError, TypeError, ValueError, OverflowError, OSError):
                continue
            if not isinstance(item.get("main"), dict):
                continue
            if (moment.minute, moment.second, moment.microsecond) == (0, 0, 0):
                items.setdefault(moment, []).append(item)
    first, end = bounds(request)
    made: Values = {}
    for hour, same in items.items():
        if first <= hour < end:
            made[hour] = merged([_numbers(item) for item in same])
            made[hour]["precipitation"] = _rain(items[hour + HOUR]) if hour + HOUR in items else None
    return made


def _numbers(item: dict[str, Any]) -> dict[str, float | None]:
    main, wind, clouds = item["main"], item.get("wind"), item.get("clouds")
    return {
        "temperature": number(main.get("temp"), ".", "temperature"),
        "humidity": number(main.get("humidity"), ".", "humidity"),
        "wind_speed": number(wind.get("speed") if isinstance(wind, dict) else None, ".", "wind_speed"),
        "pressure": number(main.get("sea_level", main.get("pressure")), ".", "pressure"),
        "cloud_cover": number(clouds.get("all") if isinstance(clouds, dict) else None, ".", "cloud_cover"),
        "wind_gust": number(wind.get("gust") if isinstance(wind, dict) else None, ".", "wind_gust"),
    }


def _rain(items: list[dict[str, Any]]) -> float | None:
    """An amount that is told counts; where none is, one that is left open is unknown; else nothing fell."""
    amounts = [_amount(item) for item in items]
    told = merged([{"rain": amount} for amount in amounts if isinstance(amount, float)]) if amounts else {}
    if told.get("rain") is not None:
        return told["rain"]
    return None if UNKNOWN in amounts else 0.0


def _amount(item: dict[str, Any]) -> object:
    """The millimetres; UNKNOWN where rain is told without them; None where nothing is said of rain."""
    parts = [item[name] for name in ("rain", "snow") if name in item]
    amounts = [number(part.get("1h"), ".", "precipitation") if isinstance(part, dict) else None for part in parts]
    if not parts:
        return None
    return UNKNOWN if None in amounts else round(sum(amount or 0.0 for amount in amounts), 2)


def _spelled(told: dict[str, Any]) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for key, value in told.items():
        name = key.strip().casefold() if key.strip().casefold() in KEYS else key
        if name in item and item[name] != value:
            raise CannotTell(f"two fields {name}")
        item[name] = value
    return {name: _spelled(value) if isinstance(value, dict) else value for name, value in item.items()}
