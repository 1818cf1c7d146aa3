"""Answers of Open-Meteo's APIs: one location's hours as lists by variable, in GMT and the requested units; errors.

Belongs here: what its archive and its forecasts have in common. Does not: the variables, or how they become columns.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

from city_data.providers.base import Payload, PermanentError, Request, TransientError
from city_data.providers.shared.cells import Row
from city_data.providers.shared.duplicates import one_row_a_key
from city_data.providers.shared.numbers import JSON_NUMBERS, NotANumber
from city_data.providers.transport.documents import begins_json, read_json
from city_data.providers.transport.response import Response, accept_ok, refuse_broken_json, too_many_calls

Value = TypeVar("Value")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?")
# Degrees. ERA5's cells, the coarsest, are a quarter wide; near a shore the cell may be the neighbour on land.
_CELL = 0.375
_GMT = ("GMT", "UTC", "Etc/GMT", "Etc/UTC")


def judge(response: Response) -> None:
    """Errors are `{"error": true, "reason": ...}` with 400 or 429, and no Retry-After."""
    text = response.text("latin-1").strip()
    if response.status == 429:
        raise too_many_calls(response, text)
    accept_ok(response)
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not begins_json(text):
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")
    refuse_broken_json(response)


def read_document(payload: Payload, units: Mapping[str, str], added: Collection[str] = ()) -> Mapping[str, Any]:
    """The one location of an answer that has every variable of `units`, in its unit. Raises PermanentError.

    The `added` ones were not requested by earlier releases, whose archived answers lack them.
    """
    try:
        document = read_json(payload.path.read_bytes())
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}") from error
    if isinstance(document, list):
        if len(document) != 1:
            raise PermanentError(f"{payload.name} holds {len(document)} locations, not one")
        document = document[0]
    if not isinstance(document, dict) or document.get("error"):
        raise PermanentError(f"{payload.name} holds an error: {str(document)[:200]}")
    later = set(added) - set(payload.params.get("hourly", "").split(","))
    _check_shape(document, units, later)
    return document


def _check_shape(document: Mapping[str, Any], units: Mapping[str, str], optional: Collection[str]) -> None:
    hourly, named = document.get("hourly"), document.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(named, dict) or not isinstance(hourly.get("time"), list):
        raise PermanentError("the answer has no hourly block with times")
    if document.get("utc_offset_seconds") != 0:
        raise PermanentError(f"the answer is not in GMT but {document.get('utc_offset_seconds')} s from it")
    # The offset is that of the day of the request: in winter London's is 0 for the hours of last summer too.
    if (zone := document.get("timezone", "GMT")) not in _GMT:
        raise PermanentError(f"the answer is not in GMT but in the hours of {str(zone)[:40]!r}")
    for name, unit in units.items():
        if name not in hourly and name in optional:
            continue
        if name not in hourly:
            raise PermanentError(f"the answer lacks {name}; it has {', '.join(hourly)}")
        if named.get(name) != unit:
            raise PermanentError(f"{name} is in {named.get(name)!r}, not {unit!r}")
        if not isinstance(hourly[name], list) or len(hourly[name]) != len(hourly["time"]):
            raise PermanentError(f"{name} is not a list of one value for each of the {len(hourly['time'])} hours")


def check_axis(payload: Payload, document: Mapping[str, Any]) -> None:
    """Raises PermanentError if the axis is the requested one, moved by some hours: then it is another clock's."""
    requested = requested_days(payload)
    stamps = [read_stamp(text) for text in document["hourly"]["time"]]
    if requested and stamps:
        first = datetime.combine(requested[0], time(), UTC)
        last = datetime.combine(requested[-1], time(23), UTC)
        moved = min(stamps) - first
        if moved == max(stamps) - last and moved and not moved % _HOUR:
            raise PermanentError(f"{payload.name} has hours by another clock: from {min(stamps)}, not from {first} on")


def refuse_partial(payload: Payload) -> None:
    """Raises TransientError for an answer without any hour of a requested day: the service names them all, whether it
    has values or not, and an answer that breaks off may be a whole document."""
    try:
        document = read_json(payload.path.read_bytes())
    except ValueError:
        return  # for the parser to name
    document = document[0] if isinstance(document, list) and len(document) == 1 else document
    hourly = document.get("hourly") if isinstance(document, dict) else None
    stamps = hourly.get("time") if isinstance(hourly, dict) else None
    if not isinstance(stamps, list):
        return
    named = {str(stamp)[:10] for stamp in stamps}
    days = [str(day) for day in requested_days(payload)]
    missing = [day for day in days if day not in named]
    # An answer about other days altogether is no part of the requested one.
    if missing and (len(missing) < len(days) or not named):
        share = f"{len(missing)} of {len(days)} days are missing, such as {missing[0]}"
        raise TransientError(f"{payload.name} breaks off: {share}")


def requested_days(payload: Payload) -> Sequence[date]:
    """The days in GMT that the answer is to; none where they are not archived with it."""
    try:
        first, last = (date.fromisoformat(payload.params[name]) for name in ("start_date", "end_date"))
    except (KeyError, ValueError):
        return ()
    return [first + n * _DAY for n in range((last - first).days + 1)]


def check_location(name: str, document: Mapping[str, Any], request: Request) -> None:
    """Raises PermanentError if the answer is not for the location's grid cell or a neighbour of it."""
    cell, location = grid_cell(document), request.location
    north, east = cell["latitude"], cell["longitude"]
    if north is None or east is None:
        raise PermanentError(f"{name} does not name the location that it is about")
    apart = abs((east - location.longitude + 180) % 360 - 180) * math.cos(math.radians(location.latitude))
    if abs(north - location.latitude) > _CELL or apart > _CELL:
        raise PermanentError(
            f"{name} is about latitude {north}, longitude {east}, not about {location.latitude}, {location.longitude}"
        )


def check_period(stamps: Collection[datetime], received: int, start: datetime, end: datetime) -> None:
    """Raises PermanentError if an answer of so many hours is not about those from `start` to before `end`.

    Days are requested in UTC, so that some hours around a local month are in every answer.
    """
    far = sum(not start - _DAY <= stamp < end + _DAY for stamp in stamps)
    if received and (far > len(stamps) / 2 or not any(start <= stamp < end for stamp in stamps)):
        finding = f"they are {min(stamps)} to {max(stamps)}" if stamps else f"none of {received} is a full hour"
        raise PermanentError(f"the stamps are not the month's hours: {finding}")


def grid_cell(document: Mapping[str, Any]) -> dict[str, float | None]:
    """The model's cell that the answer is about."""
    cell: dict[str, float | None] = {}
    for key in ("latitude", "longitude", "elevation"):
        try:
            cell[key] = JSON_NUMBERS.parse(document.get(key))
        except NotANumber:
            cell[key] = None
    return cell


def hour_rows(
    documents: Sequence[tuple[str, Mapping[str, Any]]],
    cells_of: Callable[[Mapping[str, Any], str, int], Row],
    rejected: Counter[str],
) -> dict[datetime, Row]:
    """One row an hour, by its stamp. `cells_of` reads the hourly block of the named document at a position."""
    rows: list[tuple[datetime, Row]] = []
    for name, document in documents:
        hourly = document["hourly"]
        for position, text in enumerate(hourly["time"]):
            stamp = read_stamp(text)
            if stamp.minute or stamp.second:
                rejected["off_the_hour"] += 1
                continue
            rows.append((stamp, cells_of(hourly, name, position)))
    return one_row_a_key(rows, rejected)


def sums_moved(
    hours: Mapping[datetime, Mapping[str, Value]], sums: Collection[str]
) -> dict[datetime, Mapping[str, Value]]:
    """The rows with each hour's own sums, which stand at the next stamp, since they are those of the hour before.

    `sums` are variables such as rain; where the next stamp is missing, the row is without them.
    """
    moved: dict[datetime, Mapping[str, Value]] = {}
    for hour, row in hours.items():
        following: Mapping[str, Value] = hours.get(hour + _HOUR, {})
        own = {name: value for name, value in row.items() if name not in sums}
        moved[hour] = own | {name: value for name, value in following.items() if name in sums}
    return moved


def read_stamp(text: object) -> datetime:
    """A stamp of the time axis. GMT was requested, so another offset contradicts the answer itself."""
    try:
        stamp = datetime.fromisoformat(str(text)) if _ISO.fullmatch(str(text)) else None
    except ValueError:
        stamp = None
    if stamp is None:
        raise PermanentError(f"{text!r} is not a time")
    if stamp.utcoffset():
        raise PermanentError(f"the stamp {text!r} is not in GMT")
    return stamp.replace(tzinfo=UTC)
