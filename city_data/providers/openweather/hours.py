"""OpenWeather's items, each of them one hour, as rows of the canonical frame.

Belongs here: the meaning of an answer's keys, and the hour of each item. Does not: requests (`__init__`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from city_data.providers.base import PermanentError
from city_data.providers.shared.cells import Cell, Field, Row
from city_data.providers.shared.duplicates import one_row_a_key
from city_data.providers.shared.numbers import JSON_NUMBERS
from city_data.providers.transport.documents import read_json

HOUR = timedelta(hours=1)
COLUMNS = (
    *("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description"),
    *("cloud_cover", "wind_gust"),
)
RAIN_RULE = "an hour whose successor has neither rain nor snow had none, by the source's protocol"
# °C: an answer with mostly higher temperatures is in kelvin, whose lowest natural value is 184.
_HOTTEST = 100.0
_WORDS, _LONGEST_WORDS = "description", 200
_HEAT, _RAIN, _WET, _WIND, _PRESSURE, _CLOUDS, _GUST = (
    Field.of_weather(name, name, JSON_NUMBERS) for name in COLUMNS if name != _WORDS
)
_ABSENT = "neither rain nor snow"
# The keys of an hour: other spellings of them mean the same.
_KEYS = {
    *("dt", "main", "temp", "humidity", "pressure", "sea_level", "wind", "speed", "gust", "clouds", "all"),
    *("rain", "snow", "1h", "weather"),
}
Item = Mapping[str, Any]


def items_of(name: str, body: bytes) -> list[Item]:
    """The hours of one answer; an item that is not an hour is empty. Raises PermanentError for an incomplete answer,
    for other units, and if most items are not hours."""
    document = json_object(body)
    items = document.get("list")
    if str(document.get("cod")) != "200" or not isinstance(items, list):
        raise PermanentError(f"{name} is not a list of hours: {' '.join(body[:200].decode('latin-1').split())}")
    if document.get("cnt") != len(items):
        raise PermanentError(f"{name} announces {document.get('cnt')} hours and has {len(items)}")
    read = [_with_plain_keys(item, name, row) for row, item in enumerate(items, start=1)]
    broken = [item for item, plain in zip(items, read, strict=True) if not plain]
    if len(broken) > len(items) / 2:
        raise PermanentError(f"{name} has mostly items that are not hours, such as {str(broken[0])[:200]}")
    degrees = [heat for item in read if item and isinstance(heat := item["main"].get("temp"), int | float)]
    hot = [heat for heat in degrees if heat > _HOTTEST]
    if len(hot) > len(degrees) / 2:
        raise PermanentError(f"{name} has a temperature of {hot[0]}: in kelvin instead of °C")
    return read


def stamp_of(item: Item) -> datetime | None:
    """The item's time; None if it has none."""
    try:
        return datetime.fromtimestamp(item["dt"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def by_hour(answers: Sequence[tuple[str, Sequence[Item]]], rejected: Counter[str]) -> dict[datetime, Row]:
    """One row for each whole hour. Old answers had times in between, whose hour is unknown: they are rejected."""
    rows: list[tuple[datetime, Row]] = []
    for name, items in answers:
        for row, item in enumerate(items, start=1):
            stamp = stamp_of(item)
            if stamp is None:
                rejected["no_hour"] += 1
            elif stamp != whole_hour(stamp):
                rejected["off_the_hour"] += 1
            else:
                rows.append((stamp, _cells(item, name, row)))
    return one_row_a_key(rows, rejected)


def used_row(hour: datetime, hours: Mapping[datetime, Row]) -> Row:
    """The hour's cells from its own item, and its rain from the next item, which has the rain of the hour before."""
    row = {name: cell for name, cell in hours[hour].items() if name != _RAIN.name}
    following = hours.get(hour + HOUR)
    if following is None:
        return row
    rain = following[_RAIN.name]
    return {**row, _RAIN.name: replace(rain, value=0.0) if rain.text == _ABSENT else rain}


def canonical_row(hour: datetime, row: Row) -> dict[str, Any]:
    """The values of a `used_row`."""
    by_absence = _RAIN.name in row and row[_RAIN.name].text == _ABSENT
    flags = {"modelled": True, **({"precipitation_by_absence": True} if by_absence else {})}
    return {"date": hour, **{name: row[name].value if name in row else None for name in COLUMNS}, "raw_data": flags}


def _cells(item: Item, name: str, row: int) -> Row:
    main = item["main"]
    # In the documentation's old example `pressure` is at the station's level, with `sea_level` beside it.
    pressure = main.get("sea_level", main.get("pressure"))
    return {
        _HEAT.name: _HEAT.read(main.get("temp"), name, row),
        _RAIN.name: _rain(item, name, row),
        _WET.name: _WET.read(main.get("humidity"), name, row),
        _WIND.name: _WIND.read(_of_block(item, "wind", "speed"), name, row),
        _PRESSURE.name: _PRESSURE.read(pressure, name, row),
        _WORDS: _words(item.get("weather"), name, row),
        _CLOUDS.name: _CLOUDS.read(_of_block(item, "clouds", "all"), name, row),
        _GUST.name: _GUST.read(_of_block(item, "wind", "gust"), name, row),
    }


def _rain(item: Item, name: str, row: int) -> Cell:
    """Rain and snow of the hour before, mm: `_ABSENT` if both keys are missing, which any other item of the hour
    overrides; `no_hourly_sum` if there is only a sum of three hours."""
    parts = [_of_block(item, kind, "1h") for kind in ("rain", "snow") if kind in item]
    if not parts:
        return Cell(None, _ABSENT, name, row)
    cells = [_RAIN.read(part, name, row) for part in parts]
    unknown = next((cell for cell in cells if cell.number is None), None)
    if unknown is not None:
        return unknown if unknown.reason else replace(unknown, reason="no_hourly_sum")
    return Cell(round(sum(cell.number or 0.0 for cell in cells), 2), "stated", name, row)


def _words(sky: object, name: str, row: int) -> Cell:
    """The first of several conditions, which the documentation calls the primary one."""
    first = sky[0] if isinstance(sky, list) and sky else None
    words = first.get("description") if isinstance(first, dict) else None
    if words is None:
        return Cell(None, "", name, row)
    if not isinstance(words, str) or not words.isprintable() or len(words) > _LONGEST_WORDS:
        return Cell(None, str(words), name, row, "unreadable")
    return Cell(words, words, name, row)


def _with_plain_keys(item: object, name: str, row: int) -> Item:
    """The item with its keys, and those of its blocks, as the documentation spells them; empty if it is not an hour."""
    plain = _plain(item, name, row) if isinstance(item, dict) else {}
    if not isinstance(plain.get("main"), dict) or stamp_of(plain) is None:
        return {}
    return {key: _plain(value, name, row) if isinstance(value, dict) else value for key, value in plain.items()}


def _plain(block: Mapping[str, Any], name: str, row: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in block.items():
        known = key if (spelled := key.strip().casefold()) not in _KEYS else spelled
        if known in values and values[known] != value:
            raise PermanentError(f"{name}: row {row} has two fields {known!r}: {str(block)[:200]}")
        values[known] = value
    return values


def _of_block(item: Item, name: str, key: str) -> object:
    """The value under a block's key. Anything else in the block's place is unreadable, a number too: it could be of
    another unit or period."""
    block = item.get(name)
    if block is None or isinstance(block, dict):
        return (block or {}).get(key)
    return [block]


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
    """The number of hours between the first and the last without an item."""
    return int((max(hours) - min(hours)) / HOUR) + 1 - len(hours) if hours else 0


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object; empty if the bytes are not one."""
    try:
        document = read_json(body, "latin-1")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def whole_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
