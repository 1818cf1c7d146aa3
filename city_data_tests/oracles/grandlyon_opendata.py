"""Lyon's pedestrians, computed again from the tables' bytes, one channel and one hour at a time.

Belongs here: tables of the national schema, and the rules of a site's hour as documented. Does not: any product module.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import median_low
from typing import Any
from zoneinfo import ZoneInfo

from city_data_tests.oracles.plain import CannotTell
from city_data_tests.oracles.station_hours import PANEL_SHARE, hours_of, local_face, volumes

HOUR, SPIKE = 3600, 20_000
DECORATION = ' \t\r"\xa0\u202f'
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:\.0+)? ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
)
Row = dict[str, Any]
Channels = dict[str, tuple[str, list[str], int | None] | None]
Passages = dict[tuple[str, int], dict[tuple[int, int], list[float]]]  # by channel and hour: by start and length


def month(payloads: Sequence[bytes], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """The pedestrians of every hour up to the last with a count."""
    tables = [table for payload in payloads if (table := list(_records(payload)))]
    channels: Channels = {}
    for table in tables:
        for row in table if "mobility_type" in table[0] else ():
            known = (_text(row["site_id"]), sorted(_kinds(row["mobility_type"])), _step(row.get("time_step")))
            if name := _text(row["channel_id"]):
                channels[name] = known if channels.setdefault(name, known) == known else None
    hours = hours_of(request)
    passages: Passages = {}
    for table in tables:
        for row in table if "mobility_type" not in table[0] else ():
            _add(passages, row, channels, int(hours[0].timestamp()), len(hours))
    flow = {key: value for key, parts in passages.items() if (value := _an_hour(parts)) is not None}
    if not flow:
        return {}
    reached = hours[: max(hour for _, hour in flow) + 1]
    week_hours = {}
    for slot, moment in enumerate(reached):
        face = local_face(moment, request.location.timezone)[1]
        week_hours[slot] = moment.astimezone(ZoneInfo(request.location.timezone)).weekday() * 24 + face
    judged = sorted({hour for _, hour in flow})
    sites = {name: known[0] for name, known in channels.items() if known}
    counted = {channel: sum(c == channel for c, _ in flow) for channel, _ in flow}
    lacking = {sites[name] for name, times in counted.items() if times < max(1, PANEL_SHARE * len(judged))}
    kept = {name: "all" for name in counted if sites[name] not in lacking}
    whole = {key: value for key, value in flow.items() if key[0] in kept}
    means = volumes(whole, kept, {"all": 1.0}, week_hours, judged)
    size = len(kept) / max(1, len({sites[name] for name in kept}))
    return {
        reached[slot]: {"pedestrian_count": None if (mean := means[slot]) is None else mean * size}
        for slot in range(len(reached))
    }


def _add(passages: Passages, row: Row, channels: Channels, begin: int, hours: int) -> None:
    known = channels.get(_text(row.get("channel_id")))
    if known is None or known[1] != ["PEDESTRIAN"]:
        return
    start = _moment(row.get("start_datetime"))
    if start is None or not 0 <= start - begin < hours * HOUR:
        return
    end, length = row.get("end_datetime"), known[2]
    if end is not None and not (isinstance(end, str) and not end.strip(DECORATION)):
        until = _moment(end)
        if until is None:
            return
        length = until - start
    count = _number(row.get("count"))
    if length is None or length <= 0 or HOUR % length or (start - begin) % length or count is None:
        return
    if count >= 0 and count * HOUR / length <= SPIKE:
        parts = passages.setdefault((_text(row["channel_id"]), (start - begin) // HOUR), {})
        parts.setdefault((start, length), []).append(count)


def _an_hour(parts: dict[tuple[int, int], list[float]]) -> float | None:
    """The sum of the intervals of one length, that which covers most; None where they cover too little."""
    covered: dict[int, int] = {}
    for _, length in parts:
        covered[length] = covered.get(length, 0) + length
    best = max(covered, key=lambda length: (covered[length], length))
    if covered[best] < HOUR * 3 / 4:
        return None
    total = sum(median_low(set(counts)) for (_, length), counts in parts.items() if length == best)
    return total * HOUR / covered[best]


def _records(payload: bytes) -> Iterator[Row]:
    try:
        text = payload.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = payload.decode("latin-1")
    if text.lstrip()[:1] in ("{", "["):
        rows = [row for row in json.loads(payload.decode("utf-8-sig"))["values"] if isinstance(row, dict)]
        names = ("channel_id", "site_id", "mobility_type", "time_step", "start_datetime", "end_datetime", "count")
        for row in rows:
            yield {name: value for field, value in row.items() if (name := field.strip(DECORATION).lower()) in names}
        return
    head, *lines = text.split("\n")
    mark = max((";", ",", "\t"), key=head.count)
    columns = [cell.strip(DECORATION).lower() for cell in _cells(head, mark)]
    if "channel_id" not in columns or not {"mobility_type", "start_datetime"} & set(columns):
        raise CannotTell("another table")
    for line in lines:
        cells = _cells(line, mark)
        if line.strip(DECORATION) and len(cells) == len(columns):
            yield dict(zip(columns, cells, strict=True))


def _cells(line: str, mark: str) -> list[str]:
    """A carriage return within a line is a character of its cell, as any other; the csv module refuses one."""
    bare = line.rstrip("\r")
    if '"' not in bare:
        return bare.split(mark)
    try:
        return next(csv.reader([bare], delimiter=mark))
    except csv.Error:
        return []


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip(DECORATION) if isinstance(value, str) else ""


def _kinds(value: Any) -> set[str]:
    words = value if isinstance(value, list) else _text(value).split(",")
    return {word for word in (_text(one).upper() for one in words) if word}


def _step(value: Any) -> int | None:
    try:
        number = _number(value)
    except CannotTell:
        return None
    return int(number) if number is not None and 0 < number < 1e15 and number == int(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        bare = value.strip(DECORATION + "\n")
        if re.fullmatch(r"[+-]?[0-9]+\.[0-9]{3}", bare):
            raise CannotTell("thousands, or a fraction?")
        return float(bare) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", bare) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else None


def _moment(value: Any) -> int | None:
    match = _STAMP.fullmatch(value.strip(DECORATION)) if isinstance(value, str) else None
    if match is None:
        return None
    try:
        return int(datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3]}").astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None
