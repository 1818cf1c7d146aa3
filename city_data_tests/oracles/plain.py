"""What the oracles of weather share: decimals, limits, the middle of several values, and a month on a city's clocks."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Values = dict[datetime, dict[str, float | None]]
LIMITS = {
    "temperature": (-60, 60),
    "precipitation": (0, 700),
    "humidity": (0, 100),
    "wind_speed": (0, 75),
    "pressure": (850, 1090),
    "temperature_min": (-60, 60),
    "temperature_max": (-60, 60),
    "cloud_cover": (0, 100),
    "wind_gust": (0, 95),
    "snowfall": (0, 300),
    "hours_of_a_day": (0, 16),
    "minutes_of_an_hour": (0, 60),
    "seconds_of_an_hour": (0, 3600),
    "octas": (0, 8),
    "at_station": (450, 1100),
    "altitude": (-500, 9000),
    "quality": (0, 9),
}
COLUMNS = (
    *("temperature", "precipitation", "humidity", "wind_speed", "pressure"),
    *("temperature_min", "temperature_max", "sunshine_duration", "cloud_cover", "wind_gust", "snowfall"),
)


class CannotTell(Exception):
    """The bytes are no such month: a parser has to refuse them, or to say of everything in them that it is missing."""


def json_of(body: bytes, *encodings: str) -> Any:
    """The first encoding in which the bytes can be read is theirs."""
    for encoding in encodings:
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CannotTell(str(error)) from error
    raise CannotTell("in no known encoding")


def number(value: object, mark: str, kind: str) -> float | None:
    """What a cell says, if it is a number of the format and within the limits of its kind."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        bare = value.strip(" \t\r\n\u00a0\u202f")
        if re.fullmatch("[+-]?[0-9]+(" + re.escape(mark) + "[0-9]+)?", bare) is None:
            return None
        if kind == "altitude" and re.search(re.escape(mark) + "[0-9]{3}$", bare):
            return None  # metres, perhaps of a thousand
        made = float(bare.replace(mark, "."))
    elif isinstance(value, int | float):
        try:
            made = float(value)
        except OverflowError:
            return None
    else:
        return None
    low, high = LIMITS[kind]
    return made if math.isfinite(made) and low <= made <= high else None


def times(value: float | None, factor: float) -> float | None:
    """In another unit."""
    return None if value is None else value * factor


def middle(values: Iterable[float | None]) -> float | None:
    """Of several different values of one hour: the lower of the two in the middle."""
    known = sorted({value for value in values if value is not None})
    return known[(len(known) - 1) // 2] if known else None


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def sea_level(pressure: float | None, altitude: float | None, temperature: float | None) -> float | None:
    """WMO-No. 8: the hydrostatic equation over a column of air that is 3.25 K a km warmer in its middle."""
    if pressure is None or altitude is None or temperature is None:
        return None
    kelvin = temperature + 273.15 + altitude * 0.00325
    made = round(pressure * math.exp(9.80665 * altitude / (287.05 * kelvin)), 2)
    return made if 850 <= made <= 1090 else None


def midnight(day: date, zone: str) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def bounds(request: Any) -> tuple[datetime, datetime]:
    """The local month: from its first midnight up to the next one's."""
    year, month = request.month.year, request.month.month
    following = date(year + month // 12, month % 12 + 1, 1)
    return midnight(date(year, month, 1), request.location.timezone), midnight(following, request.location.timezone)


def merged(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    """Several rows of one station and hour as one."""
    return {name: middle(row.get(name) for row in rows) for name in {name for row in rows for name in row}}


def grouped(rows: Iterable[tuple[Any, dict[str, float | None]]]) -> dict[Any, dict[str, float | None]]:
    groups: dict[Any, list[dict[str, float | None]]] = {}
    for key, row in rows:
        groups.setdefault(key, []).append(row)
    return {key: merged(same) for key, same in groups.items()}


def city(stations: dict[Any, dict[str, float | None]], stamp: Callable[[Any], datetime]) -> Values:
    """Rows by (time, station) as the city's: the mean of the stations that have a value."""
    times: dict[Any, list[dict[str, float | None]]] = {}
    for (time, _), row in stations.items():
        times.setdefault(time, []).append(row)
    return {
        stamp(time): {name: mean(row.get(name) for row in rows) for name in COLUMNS} for time, rows in times.items()
    }


HOUR = timedelta(hours=1)
