"""Zurich's hours, computed again from the answers' bytes, one series and one hour at a time.

Belongs here: the portal's records, the pedestrians' lines, and the rules of both as documented. Does not: any product
module.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median_low
from typing import Any
from zoneinfo import ZoneInfo

from city_data_tests.oracles.plain import CannotTell, json_of
from city_data_tests.oracles.received import Received
from city_data_tests.oracles.station_hours import Flow, hours_of, local_face, volumes

MOTORWAYS = {"Z024", "Z033", "Z079", "Z080", "Z110"}
STREET = {"329", "330", "331"}
HOUR = timedelta(hours=1)
Told = dict[tuple[str, int], list[float]]
_BLANKS = " \t\r\n\u00a0\u202f"
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_LOCAL = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):00(?::00)?(?:\.0+)?")
_EXACT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.0+)?(Z|[+-][0-9:]{2,6})")


def month(payloads: Sequence[Received], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """Vehicles and persons of every hour up to the last with either."""
    pages = [payload for payload in payloads if not payload.name.endswith(".csv")]
    files = [payload for payload in payloads if payload.name.endswith(".csv")]
    hours = hours_of(request)
    vehicles, strata = _vehicles(pages, hours, request.location.timezone)
    persons = _persons(files, hours, request.as_of)
    weights = {"streets": 208 / 217, "motorways": 9 / 217}
    driven = _estimate(vehicles, strata, weights, hours, request.location.timezone)
    walked = _estimate(persons, dict.fromkeys(STREET, "all"), {"all": 1.0}, hours, request.location.timezone)
    counted = {slot for _, slot in persons}
    needed = max(1, 0.7 * len(counted))
    if any(sum((site, slot) in persons for slot in counted) < needed for site in STREET):
        walked = {}
    return {
        hours[slot]: {"traffic_volume": driven.get(slot), "pedestrian_count": walked.get(slot)}
        for slot in driven.keys() | walked.keys()
    }


def _estimate(
    flow: Flow, strata: dict[str, str], weights: dict[str, float], hours: Sequence[datetime], timezone: str
) -> dict[int, float | None]:
    judged = sorted({slot for _, slot in flow})
    week_hours = {}
    for slot, moment in enumerate(hours[: judged[-1] + 1] if judged else []):
        week_hours[slot] = moment.astimezone(ZoneInfo(timezone)).weekday() * 24 + local_face(moment, timezone)[1]
    return volumes(flow, strata, weights, week_hours, judged)


def _vehicles(pages: Iterable[bytes], hours: Sequence[datetime], timezone: str) -> tuple[Flow, dict[str, str]]:
    rows = [record for page in pages for record in _records(page)]
    if all(type(row.get("_id")) is int for row in rows):
        rows.sort(key=lambda row: row["_id"])
        rows = [row for n, row in enumerate(rows) if not any(_same(row, other) for other in _twins(rows, n))]
    slots: dict[datetime, list[int]] = {}
    for slot, hour in enumerate(hours):
        slots.setdefault(hour.astimezone(ZoneInfo(timezone)).replace(tzinfo=None), []).append(slot)
    lines: dict[str, list[tuple[datetime | None, dict[str, Any]]]] = {}
    for row in rows:
        if _word(row["MSID"]):
            lines.setdefault(_word(row["MSID"]), []).append((_face(_word(row["MessungDatZeit"])), row))
    told: Told = {}
    sites: dict[str, list[str]] = {}
    for series, line in lines.items():
        for place, (face, row) in enumerate(line):
            slot = (
                None
                if face is None
                else _slot(slots.get(face, []), [n for n, (f, _) in enumerate(line) if f == face], place)
            )
            if slot is None or _word(row["AnzFahrzeugeStatus"]).lower() != "gemessen":
                continue
            value = _number(row["AnzFahrzeuge"])
            if value is not None and 0 <= value <= 20_000:
                told.setdefault((series, slot), []).append(value)
                site = _word(row.get("ZSID")) or series.split("M")[0]
                sites.setdefault(series, []).append(site)
    # The site that most rows name; of two the first by name.
    of = {series: max(sorted(set(named)), key=named.count) for series, named in sites.items()}
    strata = {series: "motorways" if site in MOTORWAYS else "streets" for series, site in of.items()}
    return {key: median_low(set(values)) for key, values in told.items()}, strata


def _slot(slots: Sequence[int], places: Sequence[int], place: int) -> int | None:
    """Two hours of one face are told apart by exactly two rows, one after the other."""
    if len(slots) == 2:
        return slots[places.index(place)] if len(places) == 2 and places[1] - places[0] == 1 else None
    return slots[0] if slots else None


def _twins(rows: Sequence[dict[str, Any]], n: int) -> Iterator[dict[str, Any]]:
    """Earlier rows with the same number."""
    for other in reversed(rows[:n]):
        if other["_id"] != rows[n]["_id"]:
            return
        yield other


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    words = ("MSID", "ZSID", "MessungDatZeit", "AnzFahrzeugeStatus")
    values = [row["AnzFahrzeuge"] for row in (one, other)]
    alike = str(values[0]) == str(values[1]) if isinstance(values[0], list | dict) else values[0] == values[1]
    return alike and all(_word(one.get(name)) == _word(other.get(name)) for name in words)


def _records(page: bytes) -> list[dict[str, Any]]:
    document = json_of(page.removeprefix(b"\xef\xbb\xbf"), "utf-8")
    result = document.get("result") if isinstance(document, dict) else None
    records = result.get("records") if isinstance(result, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CannotTell("no records")
    if any(name not in record for record in records for name in ("MSID", "MessungDatZeit", "AnzFahrzeuge",
                                                                 "AnzFahrzeugeStatus")):  # fmt: skip
        raise CannotTell("other columns")
    return records


def _word(value: object) -> str:
    return "" if value is None else str(value).strip()


def _face(text: str) -> datetime | None:
    match = _LOCAL.fullmatch(text)
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}:00") if match else None
    except ValueError:
        return None


def _number(cell: object) -> float | None:
    if isinstance(cell, str):
        bare = cell.strip(_BLANKS)
        if re.fullmatch(r"[+-]?[0-9]+\.[0-9]{3}", bare):
            raise CannotTell("thousands, or a fraction?")
        number = float(bare) if _NUMBER.fullmatch(bare) else math.inf
    elif isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    else:
        number = float(cell) if abs(cell) <= 2**53 else math.inf
    return number if math.isfinite(number) else None


def _persons(files: Iterable[bytes], hours: Sequence[datetime], as_of: datetime) -> Flow:
    told: Told = {}
    place = {hour: slot for slot, hour in enumerate(hours)}
    for file in files:
        header, *lines = file.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
        names = [name.lower() for name in _cells(header)]
        wanted = ("timestamp", "location_id", "pedestrians_count", "collection_type")
        if any(names.count(name) != 1 for name in wanted):
            raise CannotTell("other columns")
        rows = [dict(zip(names, cells, strict=True)) for cells in map(_cells, lines) if len(cells) == len(names)]
        stamps = [_moment(row["timestamp"]) for row in rows]
        newest = max((stamp for stamp in stamps if stamp is not None), default=None)
        for row, stamp in zip(rows, stamps, strict=True):
            if stamp is None or stamp == newest or stamp + HOUR > as_of or stamp not in place:
                continue
            after = stamp >= datetime(2022, 3, 3, tzinfo=UTC)
            if row["location_id"] in STREET and after and row["collection_type"].lower() == "measured":
                value = _number(row["pedestrians_count"]) if row["pedestrians_count"] else None
                if value is not None and 0 <= value <= 100_000:
                    told.setdefault((row["location_id"], place[stamp]), []).append(value)
    return {key: median_low(set(values)) for key, values in told.items()}


def _cells(line: str) -> list[str]:
    text = line.rstrip("\r\n")
    return [
        cell.strip(' \t\r"\xa0\u202f') for cell in (next(csv.reader([text]), []) if '"' in text else text.split(","))
    ]


def _moment(text: str) -> datetime | None:
    match = _EXACT.fullmatch(text)
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3]}").astimezone(UTC) if match else None
    except (ValueError, OverflowError):
        return None
