"""Madrid's city-hours, computed again from the ZIP's bytes row by row.

Belongs here: the city's quarter-hour rows in every layout, and the rules of the city-hour as documented. Does not: any
product module.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median_low
from typing import Any

from city_data_tests.oracles.station_hours import hours_of, local_face, volumes

WEIGHTS = {"urban": 0.9, "m30": 0.1}
SPIKE, MOST_LOAD, MOST_SPEED = 20_000, 100, 200
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_AMBIGUOUS = re.compile(r"[+-]?[0-9]+\.[0-9]{3}")  # of a whole number: 1000, or 1?
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::\d\d(?:\.0+)?)?")
_SLASHED = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d{1,2}):(\d\d)(?::\d\d(?:\.0+)?)?")
_VALID = ("clean", "doubtful", "unmarked")

Place = tuple[int, int, int]  # station, slot, quarter
Found = tuple[float, float | None] | None  # the flow, and the load or speed


@dataclass(frozen=True)
class Row:
    """One quarter hour of one station, `index`-th of the file; `why` is one of `_VALID`, or the reason to leave it."""

    index: int
    station: int
    day: int
    hour: int
    quarter: int
    label: str | None
    why: str
    flow: float
    load: float | None
    speed: float | None

    @property
    def is_valid(self) -> bool:
        return self.why in _VALID

    def other(self, kind: str) -> float | None:
        """The load of an urban row, the speed of an M30 one: of a row that is labelled as its station is."""
        own = self.is_valid and self.label == kind
        return {"urban": self.load, "m30": self.speed}[kind] if own else None


def month(payloads: Sequence[bytes], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """Volume, congestion and speed of every hour up to the last with a valid quarter."""
    (payload,) = payloads
    hours = hours_of(request)
    faces = [local_face(moment, request.location.timezone) for moment in hours]
    rows = list(_rows(payload, request))
    kinds = _kinds(rows)
    there = set(faces)
    rows = [row for row in rows if row.station in kinds and (row.day, row.hour) in there]
    valid = {key: found for key, found in _placed(rows, faces, kinds).items() if found is not None}
    reach = max((slot for _, slot, _ in valid), default=-1) + 1
    flow: dict[tuple[str, int], float] = {}
    for station in kinds:
        for slot in range(reach):
            counted = [valid[station, slot, q][0] for q in range(4) if (station, slot, q) in valid]
            if len(counted) >= 3:
                flow[str(station), slot] = sum(counted) / len(counted)
    local = [moment.astimezone(_zone(request)) for moment in hours]
    week_hours = {slot: local[slot].weekday() * 24 + local[slot].hour for slot in range(reach)}
    stratum_of = {str(station): kind for station, kind in kinds.items()}
    made = volumes(flow, stratum_of, WEIGHTS, week_hours, range(reach))
    load, speed = (_means(valid, kinds, kind, reach) for kind in ("urban", "m30"))
    return {
        hours[slot]: {
            "traffic_volume": made[slot],
            "congestion_level": None if load[slot] is None else _level(load[slot] or 0.0),
            "average_speed": speed[slot],
        }
        for slot in range(reach)
    }


def _zone(request: Any) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(request.location.timezone)


def _rows(payload: bytes, request: Any) -> Iterable[Row]:
    """Every row of the month that names a station and a time."""
    wanted = f"{request.month.month:02d}-{request.month.year}.csv"
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        (name,) = (n for n in archive.namelist() if _base(n) == wanted and not n.startswith("__MACOSX/"))
        lines = archive.read(name).decode("utf-8-sig", "replace").split("\n")
    separator = ";" if ";" in lines[0] else ","
    columns = [cell.lower() for cell in _cells(lines[0], separator)]
    for index, line in enumerate(lines[1:]):
        cells = _cells(line, separator)
        if any(cells[len(columns) :]):
            continue  # a separator too many: no cell is certainly that of its column
        row = dict(zip(columns, cells, strict=False))
        made = _row(index, row, request)
        if made is not None:
            yield made


def _base(name: str) -> str:
    return name.rpartition("/")[2].lower()


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip(' \t\r"\xa0\u202f') for cell in line.split(separator)]


def _row(index: int, row: Mapping[str, str], request: Any) -> Row | None:
    name = row.get("id", row.get("idelem", ""))
    station = None if _AMBIGUOUS.fullmatch(name) else _number(name)
    if station is None or station != int(station) or not 1 <= station <= 1_000_000:
        return None
    stamp = row.get("fecha", "")
    if iso := _ISO.fullmatch(stamp):
        year, month, day, hour, minute = map(int, iso.groups())
    elif slashed := _SLASHED.fullmatch(stamp):
        day, month, year, hour, minute = map(int, slashed.groups())
    else:
        return None
    if (year, month) != (request.month.year, request.month.month) or hour > 23 or minute > 59:
        return None
    flow = _number(row.get("intensidad", ""))
    load, speed = _number(row.get("carga", "")), _number(row.get("vmed", ""))
    return Row(
        index,
        int(station),
        day,
        hour,
        minute // 15,
        _label(row.get("tipo_elem", "")),
        _why(row, flow),
        flow or 0.0,
        load if load is not None and 0 <= load <= MOST_LOAD else None,
        speed if speed is not None and 0 < speed <= MOST_SPEED else None,
    )


def _number(text: str) -> float | None:
    """In hundredths, as readings are kept; None also for hundreds of digits."""
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return math.floor(number * 100 + 0.5) / 100 if math.isfinite(number) else None


def _why(row: Mapping[str, str], flow: float | None) -> str:
    error, samples = row.get("error", "").upper(), row.get("periodo_integracion", "")
    if error == "S":
        return "error_s"
    if flow is None:
        return "not_a_number"
    if flow < 0:
        return "negative"
    if flow > SPIKE:
        return "spike"
    number = _number(samples)
    if (number is not None and number < 1) or (number is None and samples.lower() not in ("", "nan")):
        return "no_samples"
    return {"N": "clean", "E": "doubtful"}.get(error, "unmarked")


def _label(text: str) -> str | None:
    word = text.upper()
    if "M30" in word or "M-30" in word or word == "494":
        return "m30"
    return "urban" if word.startswith("URB") or "URBANO" in word or word == "495" else None


def _kinds(rows: Sequence[Row]) -> dict[int, str]:
    """The kind that most of a station's rows name; of a tie `urban`, the commoner. Stations that no row names one of
    are left out."""
    votes: dict[int, Counter[str]] = {}
    for row in rows:
        if row.label is not None:
            votes.setdefault(row.station, Counter())[row.label] += 1
    return {station: "m30" if count["m30"] > count["urban"] else "urban" for station, count in votes.items()}


def _placed(rows: Sequence[Row], faces: Sequence[tuple[int, int]], kinds: Mapping[int, str]) -> dict[Place, Found]:
    """What is known of each station, slot and quarter."""
    doubled = {face for face in faces if faces.count(face) == 2}
    first = {face: slot for slot, face in reversed(list(enumerate(faces)))}
    groups: dict[tuple[int, tuple[int, int], int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.station, (row.day, row.hour), row.quarter), []).append(row)
    placed = {
        (station, first[face], quarter): _best(found, kinds[station])
        for (station, face, quarter), found in groups.items()
        if face not in doubled
    }
    for face in doubled:
        of_face = {(s, q): found for (s, f, q), found in groups.items() if f == face}
        for (station, turn, quarter), found in _passes(of_face, kinds).items():
            placed[station, first[face] + turn, quarter] = _best(found, kinds[station])
    return placed


def _best(rows: Sequence[Row], kind: str) -> Found:
    """Of rows of one station and quarter: a value wins over none, and of several the lower median counts."""
    valid = [row for row in rows if row.is_valid]
    others = [other for row in rows if (other := row.other(kind)) is not None]
    return (median_low({row.flow for row in valid}), median_low(set(others)) if others else None) if valid else None


def _passes(groups: Mapping[tuple[int, int], list[Row]], kinds: Mapping[int, str]) -> dict[Place, list[Row]]:
    """By station, pass and quarter. A station with two rows in at least three quarters shows both passes; where fewer
    than half of the stations do, one hour stands for both."""
    pairs = {key: pair for key, rows in groups.items() if (pair := _pair(rows, kinds[key[0]]))}
    stations = {station for station, _ in groups}
    both = {s for s in stations if sum((s, q) in pairs for q in range(4)) >= 3}
    if both and 2 * len(both) >= len(stations):
        found = {(station, quarter): pair for (station, quarter), pair in pairs.items() if station in both}
        return {(s, turn, q): [pair[turn]] for (s, q), pair in found.items() for turn in (0, 1)}
    return {(station, 0, quarter): rows for (station, quarter), rows in groups.items()}


def _pair(rows: Sequence[Row], kind: str) -> list[Row]:
    """The two rows of a quarter that stands twice, in the file's order; nothing for any other number."""
    ordered = sorted(rows, key=lambda row: row.index)
    if len(ordered) > 2:
        content = {(row.label, row.why, row.is_valid and row.flow, row.other(kind)): row for row in reversed(ordered)}
        ordered = sorted(content.values(), key=lambda row: row.index)
    return ordered if len(ordered) == 2 else []


def _means(
    valid: Mapping[Place, tuple[float, float | None]], kinds: Mapping[int, str], kind: str, reach: int
) -> list[float | None]:
    """Flow-weighted by slot."""
    weight, weighted = [0.0] * reach, [0.0] * reach
    for (station, slot, _), (flow, other) in valid.items():
        if kinds[station] == kind and other is not None:
            weight[slot] += flow
            weighted[slot] += flow * other
    return [total / flow if flow > 0 else None for total, flow in zip(weighted, weight, strict=True)]


def _level(load: float) -> str:
    return "low" if load <= 25 else "medium" if load <= 50 else "high" if load <= 75 else "severe"
