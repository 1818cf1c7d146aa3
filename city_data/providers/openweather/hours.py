"""OpenWeather's items, each of them one hour, as rows of the canonical frame.

Belongs here: what an answer's keys mean, and which item tells of which hour. Does not: how they are asked for
(openweather.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from city_data.providers.base import PermanentError
from city_data.providers.shared.numbers import number
from city_data.providers.transport.documents import read_json

HOUR = timedelta(hours=1)
COLUMNS = ("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description")
# Of a place on earth, °C: above it the answer is in kelvin, whose lowest natural value is 184.
_HOTTEST = 100.0
RAIN_RULE = "an hour whose successor has neither rain nor snow had none, by the source's protocol"
Item = Mapping[str, Any]


def items_of(name: str, body: bytes) -> list[Item]:
    """The hours of one answer. Raises PermanentError where it is no whole answer in our units."""
    document = json_object(body)
    items = document.get("list")
    if str(document.get("cod")) != "200" or not isinstance(items, list):
        raise PermanentError(f"{name} is no list of hours: {' '.join(body[:200].decode('latin-1').split())}")
    if document.get("cnt") != len(items):
        raise PermanentError(f"{name} says that it has {document.get('cnt')} hours and holds {len(items)}")
    for item in items:
        if not isinstance(item, dict) or not isinstance(item.get("main"), dict):
            raise PermanentError(f"{name} holds what is no hour: {str(item)[:200]}")
        degrees = item["main"].get("temp")
        if isinstance(degrees, int | float) and degrees > _HOTTEST:
            raise PermanentError(f"{name} tells a temperature of {degrees}: in kelvin, not in °C as was asked")
    return items


def stamp_of(item: Item) -> datetime:
    try:
        return datetime.fromtimestamp(item["dt"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise PermanentError(f"an hour has no time: {str(item)[:200]}") from error


def by_hour(items: Sequence[Item], rejected: Counter[str]) -> dict[datetime, Item]:
    """The first item of each whole hour; old answers had times in between, whose hour nothing tells."""
    hours: dict[datetime, Item] = {}
    for item in items:
        stamp = stamp_of(item)
        if stamp != whole_hour(stamp):
            rejected["off_the_hour"] += 1
        elif stamp in hours:
            rejected["duplicate"] += 1
        else:
            hours[stamp] = item
    return hours


def row(hour: datetime, hours: Mapping[datetime, Item], nulled: Counter[str]) -> dict[str, Any]:
    """The hour from its own item, and its rain from the next one's, which tells that of the hour before."""
    item, following = hours[hour], hours.get(hour + HOUR)
    main, sky = item["main"], item.get("weather")
    # The documentation's old example has the station's level in `pressure`, and then the sea's beside it.
    pressure = main.get("sea_level", main.get("pressure"))
    flags: dict[str, Any] = {"modelled": True}
    if following is not None and "rain" not in following and "snow" not in following:
        flags["precipitation_by_absence"] = True
    return {
        "date": hour,
        "temperature": number(main.get("temp"), "temperature", nulled),
        "precipitation": None if following is None else _precipitation(following, nulled),
        "humidity": number(main.get("humidity"), "humidity", nulled),
        "wind_speed": number(_block(item, "wind").get("speed"), "wind_speed", nulled),
        "pressure": number(pressure, "pressure", nulled),
        "description": _words(sky),
        "raw_data": flags,
    }


def _precipitation(item: Item, nulled: Counter[str]) -> float | None:
    """Rain and snow of the hour before, mm: none where neither key is there, unknown where a sum of three hours is."""
    total = 0.0
    for name in ("rain", "snow"):
        if name not in item:
            continue
        fallen = _block(item, name).get("1h")
        amount = number(fallen, "precipitation", nulled)
        if amount is None:
            if fallen is None:
                nulled["no_hourly_sum:precipitation"] += 1
            return None
        total += amount
    return round(total, 2)


def _block(item: Item, name: str) -> Mapping[str, Any]:
    block = item.get(name)
    return block if isinstance(block, dict) else {}


def _words(sky: object) -> str | None:
    """The first of several conditions, which the documentation calls the primary one."""
    first = sky[0] if isinstance(sky, list) and sky else None
    words = first.get("description") if isinstance(first, dict) else None
    return words if isinstance(words, str) else None


def fields(items: Sequence[Item]) -> list[str]:
    """The keys of all items, those of a block as `block.key`."""
    return sorted(
        {
            f"{name}.{key}" if key else name
            for item in items
            for name, value in item.items()
            for key in (value if isinstance(value, dict) else ("",))
        }
    )


def missing(hours: Mapping[datetime, object]) -> int:
    """How many hours between the first and the last have no item."""
    return int((max(hours) - min(hours)) / HOUR) + 1 - len(hours) if hours else 0


def json_object(body: bytes) -> Mapping[str, Any]:
    """Empty where the bytes are not a JSON object."""
    try:
        document = read_json(body, "latin-1")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
