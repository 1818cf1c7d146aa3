"""Valencia's city-hours, computed again from the polls' bytes reading by reading.

Belongs here: ArcGIS's pages as the poll archives them, and the rules of a reading as documented. Does not: any product
module.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from statistics import fmean, median, median_low
from typing import Any
from zoneinfo import ZoneInfo

from city_data_tests.oracles.received import Received
from city_data_tests.oracles.station_hours import hours_of, volumes

AHEAD_MS, MINUTE_MS, HOUR_MS = 600_000, 60_000, 3_600_000
SPIKE = 20_000

Reading = tuple[str, int, int, float | None]  # loop, stamp and moment of the poll (epoch ms), flow


def month(payloads: Sequence[bytes], request: Any) -> dict[datetime, dict[str, float | str | None]]:
    """The volume of every hour from the first with a reading to the last."""
    hours = hours_of(request)
    start = int(hours[0].timestamp() * 1000)
    readings = [reading for payload in payloads for reading in _readings(payload)]
    early = {(loop, stamp) for loop, stamp, taken, _ in readings if stamp > taken + AHEAD_MS}
    told: dict[tuple[str, int], list[float]] = {}
    for loop, stamp, _, flow in readings:
        inside = start <= stamp < start + len(hours) * HOUR_MS
        if (loop, stamp) in early or not inside or flow is None or not 0 <= flow <= SPIKE:
            continue
        told.setdefault((loop, stamp), []).append(flow)
    by_loop: dict[str, dict[int, float]] = {}
    for (loop, stamp), flows in told.items():
        by_loop.setdefault(loop, {})[stamp - start] = median_low(set(flows))
    touched = sorted({moment // HOUR_MS for moments in by_loop.values() for moment in moments})
    flow_of = {(loop, hour): mean for loop, moments in by_loop.items() for hour, mean in _hourly(moments)}
    if not touched:
        return {}
    local = [moment.astimezone(ZoneInfo(request.location.timezone)) for moment in hours]
    week_hours = {hour: local[hour].weekday() * 24 + local[hour].hour for hour in range(touched[0], touched[-1] + 1)}
    judged = sorted({hour for _, hour in flow_of})
    made = volumes(flow_of, dict.fromkeys(by_loop, "city"), {"city": 1.0}, week_hours, judged)
    return {hours[hour]: {"traffic_volume": made[hour]} for hour in week_hours}


def _readings(payload: bytes) -> Iterable[Reading]:
    """The poll's rows that name a loop and a moment; none of a poll that is not whole pages of features."""
    assert isinstance(payload, Received)
    taken = int(datetime.strptime(payload.name, "%Y%m%dT%H%M%SZ.json").replace(tzinfo=UTC).timestamp() * 1000)
    try:
        rows = [feature["attributes"] for page in _pages(payload.decode()) for feature in page["features"]]
        cells = [(_loop(row["idpm"]), _number(row["fecha_actualizacion"]), _number(row["ih"])) for row in rows]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return
    for loop, stamp, flow in cells:
        if loop is not None and stamp is not None:
            yield loop, int(stamp), taken, flow


def _loop(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_whole = is_number and math.isfinite(value) and value == int(value)
    return str(int(value)) if is_whole else None


def _pages(text: str) -> Iterable[Any]:
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place].isspace() or text[place] == "\ufeff":
            place += 1
            continue
        page, place = decoder.raw_decode(text, place)
        yield page


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        bare = value.strip(" \t\r\n\u00a0\u202f")
        value = float(bare) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", bare) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    return float(value) if is_number else None


def _hourly(moments: dict[int, float]) -> Iterable[tuple[int, float]]:
    """A loop's hours that have enough slots, each slot the mean of its readings. A slot is the quarter hour, or the
    half or whole hour where the loop's usual step is longer than that."""
    stamps = sorted(moments)
    steps = [later - earlier for earlier, later in pairwise(stamps)]
    step = median(steps) if steps else 0
    slots = 4 if step <= 22.5 * MINUTE_MS else 2 if step <= 45 * MINUTE_MS else 1
    if step > 90 * MINUTE_MS:
        slots = 4
    by_slot: dict[int, list[float]] = {}
    for moment in stamps:
        by_slot.setdefault(moment * slots // HOUR_MS, []).append(moments[moment])
    for hour in {slot // slots for slot in by_slot}:
        means = [fmean(by_slot[hour * slots + n]) for n in range(slots) if hour * slots + n in by_slot]
        if len(means) >= {4: 3, 2: 2, 1: 1}[slots]:
            yield hour, fmean(means)
