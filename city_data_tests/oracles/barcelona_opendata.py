"""Barcelona's city-hours, computed again from the CSV's bytes segment by segment.

Belongs here: the city's rows of states, and the rules of the mean state as documented. Does not: any product module.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median_low
from typing import Any

from city_data_tests.oracles.station_hours import hours_of, local_face

CARRY_S, HOUR_S = 7200, 3600
PANEL_SHARE = MINIMUM_COVERAGE = 0.5
LEVELS = ((1.5, "low"), (2.5, "medium"), (3.5, "high"), (5.0, "severe"))
_WHOLE = re.compile(r"(?:\+?|-(?=0+(?:\.|$)))([0-9]+)(?:\.(?!0{3}$)0+)?")  # a point before three digits is ambiguous

Row = tuple[int, int, int]  # segment, second of the month, state


def month(payloads: Sequence[bytes], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """The congestion level of every hour that the file reaches."""
    (payload,) = payloads
    hours = hours_of(request)
    faces = [(day - 1) * 24 + hour for day, hour in (local_face(moment, request.location.timezone) for moment in hours)]
    rows, blank = _moments(list(_rows(payload, request)), faces)
    changes = _changes(rows)
    last = max((second for _, second, _ in rows), default=0)
    whole = len(hours) * HOUR_S
    reach = whole if rows and whole - last <= CARRY_S else last
    known: dict[int, dict[int, list[tuple[int, int]]]] = {segment: {} for segment in changes}
    for segment, states in changes.items():
        seconds = sorted(states)
        for place, second in enumerate(seconds):
            following = seconds[place + 1] if place + 1 < len(seconds) else reach
            if states[second]:
                _spread(known[segment], second, min(following, second + CARRY_S, reach), states[second])
    for slot in blank:
        for by_hour in known.values():
            by_hour.pop(slot, None)
    best = max((_total(by_hour) for by_hour in known.values()), default=0)
    panel = [by_hour for by_hour in known.values() if _total(by_hour) >= max(1, PANEL_SHARE * best)]
    return {hours[slot]: {"congestion_level": _level(panel, slot)} for slot in range(-(-reach // HOUR_S))}


def _rows(payload: bytes, request: Any) -> Iterable[Row]:
    """Segment, second on the clock's face, and state of every row of the month."""
    lines = payload.decode("utf-8-sig", "replace").split("\n")
    columns = [cell.lower() for cell in _cells(lines[0])]
    for line in lines[1:]:
        cells = _cells(line)
        if any(cells[len(columns) :]):
            continue  # cells beyond the header: which one was inserted is not known
        row = dict(zip(columns, cells, strict=False))
        segment, state = _whole(row.get("idtram", "")), _whole(row.get("estatactual", ""))
        stamp = _stamp(row.get("data", ""))
        if segment is None or not 1 <= segment <= 1_000_000 or stamp is None:
            continue
        day, hour, minute, second = (int(stamp[place : place + 2]) for place in (6, 8, 10, 12))
        inside = stamp[:6] == f"{request.month.year:04d}{request.month.month:02d}"
        inside &= 1 <= day <= request.month.last_day.day and hour < 24 and minute < 60 and second < 60
        if inside and state is not None and state <= 6:
            yield segment, ((day - 1) * 24 + hour) * HOUR_S + minute * 60 + second, state


def _stamp(text: str) -> str | None:
    """Fourteen digits: year, month, day, hour, minute and second, which may be left out."""
    bare = re.sub(r"\.0+$", "", text)
    for pattern in (r"(\d{14})", r"(\d{12})", r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):?(?:(?<=:)(\d\d)|(?<!:))"):
        if match := re.fullmatch(pattern, bare, re.ASCII):
            return "".join(part or "" for part in match.groups()).ljust(14, "0")
    return None


def _cells(line: str) -> list[str]:
    return [cell.strip(' \t\r"\xa0\u202f') for cell in line.split(",")]


def _whole(text: str) -> int | None:
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def _moments(rows: list[Row], faces: Sequence[int]) -> tuple[list[Row], list[int]]:
    """Seconds on the clock's face become seconds that passed; and the slots that nothing is known of.

    In the doubled hour the second pass begins where the file's clock goes back, if it does so once.
    """
    second_pass: set[int] = set()
    blank = []
    for face in {face for face in faces if faces.count(face) == 2}:
        near = [index for index, (_, second, _) in enumerate(rows) if abs(second // HOUR_S - face) <= 1]
        back = [place for place in range(1, len(near)) if rows[near[place]][1] < rows[near[place - 1]][1]]
        inside = {index for index in near if rows[index][1] // HOUR_S == face}
        if len(back) == 1 and {near[back[0] - 1], near[back[0]]} <= inside:
            second_pass |= inside & set(near[back[0] :])
        elif inside:
            blank.append(faces.index(face) + 1)
    placed = []
    for index, (segment, second, state) in enumerate(rows):
        if second // HOUR_S in faces:
            slot = faces.index(second // HOUR_S) + (index in second_pass)
            placed.append((segment, slot * HOUR_S + second % HOUR_S, state))
    return placed, blank


def _changes(rows: Sequence[Row]) -> dict[int, dict[int, int]]:
    """Each segment's state by second. A state wins over 0, no data; of several the lower median counts."""
    told: dict[int, dict[int, list[int]]] = {}
    for segment, second, state in rows:
        told.setdefault(segment, {}).setdefault(second, []).append(state)
    return {
        segment: {second: median_low({s for s in states if s} or {0}) for second, states in by_second.items()}
        for segment, by_second in told.items()
    }


def _spread(by_hour: dict[int, list[tuple[int, int]]], start: int, end: int, state: int) -> None:
    """Add the stretch's seconds to the hours that it touches."""
    while start < end:
        stop = min(end, (start // HOUR_S + 1) * HOUR_S)
        by_hour.setdefault(start // HOUR_S, []).append((stop - start, state))
        start = stop


def _total(by_hour: Mapping[int, list[tuple[int, int]]]) -> int:
    return sum(seconds for stretches in by_hour.values() for seconds, _ in stretches)


def _level(panel: Sequence[Mapping[int, list[tuple[int, int]]]], slot: int) -> str | None:
    stretches = [stretch for by_hour in panel for stretch in by_hour.get(slot, [])]
    seconds = sum(length for length, _ in stretches)
    driven = [(length, state) for length, state in stretches if state != 6]
    if not driven or seconds / (len(panel) * HOUR_S) < MINIMUM_COVERAGE:
        return None
    mean = sum(length * state for length, state in driven) / sum(length for length, _ in driven)
    return next(level for most, level in LEVELS if mean <= most)
