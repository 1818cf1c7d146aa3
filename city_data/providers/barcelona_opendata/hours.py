"""Barcelona's city-hour, method version 1: the mean state of the city's road segments, weighted by time and segment.

Belongs here: states, which are written when they change, to one level an hour. Does not: reading files (rows.py).
Volume and speed are never derived from states: the city publishes neither by the hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from city_data.providers.barcelona_opendata.rows import CLOSED, NO_DATA, STATES, Rows
from city_data.providers.shared.local_hours import Clock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD_VERSION = 1
# The city writes that gaps "respond to the invariability of the state", so a state lasts until the segment's next row.
# Yet a dead feed looks the same. Files have a row a segment every 10 to 25 minutes on average (2.3 million and
# 951,405 rows a month); five times the longer is 2 hours.
CARRY_LIMIT = 2 * 3600
# A segment known for less than this share of the best known segment's time is left out: dead segments would lower
# every coverage, rare ones would move the mean.
PANEL_SHARE = 0.5
MINIMUM_COVERAGE = 0.5
# The state that the city's mean rounds to: very fluid, fluid, dense, and above. Change the version with the table.
LEVELS_VERSION = 1
LEVELS = {"low": 1.5, "medium": 2.5, "high": 3.5, "severe": 5.0}
_HOUR = 3600
_FACES = 32 * 24


@dataclass(frozen=True)
class CityHours:
    """One value a slot, up to the last that the file reaches; NaN is missing. `state` is the mean over open segments, 1
    to 5; `coverage` is the known share (0..1) of the panel's time, `closed` the closed share of the known time;
    `unresolved` are slots of October's doubled hour with an unknown order, of which the first stands for both."""

    state: NDArray[np.float64]
    coverage: NDArray[np.float64]
    closed: NDArray[np.float64]
    segments: NDArray[np.int64]
    unresolved: list[int]
    used: int
    rejected: dict[str, int]
    panel: int
    points: int

    @property
    def levels(self) -> list[str | None]:
        pairs = zip(self.state.tolist(), self.coverage.tolist(), strict=True)
        return [level(state) if coverage >= MINIMUM_COVERAGE else None for state, coverage in pairs]


def level(state: float) -> str | None:
    """The level of a mean state of 1 to 5; None for NaN."""
    return None if state != state else next(name for name, most in LEVELS.items() if state <= most)


def city_hours(rows: Rows, clock: Clock) -> CityHours:
    """The city-hours of one file's rows."""
    import numpy as np

    slots = len(clock.faces)
    spells, reach, unresolved, dropped = _spells(rows, clock)
    known, weighted, closed = _tables(spells, slots)
    for slot in unresolved[1::2]:
        for table in (known, weighted, closed):
            table[:, slot] = 0
    hours = -(-reach // _HOUR)
    known, weighted, closed = (table[:, :hours] for table in (known, weighted, closed))
    totals = known.sum(axis=1)
    panel = totals >= max(1, PANEL_SHARE * totals.max(initial=0))
    known, weighted, closed = known[panel], weighted[panel], closed[panel]
    seconds, shut = known.sum(axis=0), closed.sum(axis=0)
    driven = seconds - shut
    return CityHours(
        state=np.divide(weighted.sum(axis=0), driven, out=np.full(hours, np.nan), where=driven > 0),
        coverage=seconds / (max(1, len(known)) * _HOUR),
        closed=np.divide(shut, seconds, out=np.full(hours, np.nan), where=seconds > 0),
        segments=(known > 0).sum(axis=0),
        unresolved=unresolved,
        used=int((spells.state != NO_DATA).sum()),
        rejected=rows.rejected | {name: count for name, count in dropped.items() if count},
        panel=len(known),
        points=len(totals),
    )


@dataclass(frozen=True)
class _Spells:
    """The period of each row's state: `[start, end)` in seconds since the month began, of the segment with index
    `row`."""

    row: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    state: NDArray[np.int8]


def _spells(rows: Rows, clock: Clock) -> tuple[_Spells, int, list[int], dict[str, int]]:
    """Each row's state lasts until the segment's next row, at most CARRY_LIMIT. Also the end of the file's data
    (seconds), the slots with an unknown order, and counts of dropped rows by reason."""
    import numpy as np

    moment, unresolved = _moments(rows.face, clock)
    there = moment >= 0
    segment, moment, state = rows.segment[there], moment[there], rows.state[there]
    segment, moment, state, repeated = _once(segment, moment, state)
    month, last = len(clock.faces) * _HOUR, int(moment.max(initial=0))
    # The rest of a month that is not over is unknown, however quiet the roads.
    reach = month if len(moment) and month - last <= CARRY_LIMIT else last
    following = np.full(len(moment), reach, dtype=np.int64)
    following[:-1] = np.where(segment[1:] == segment[:-1], moment[1:], reach)
    end = np.minimum(np.minimum(following, moment + CARRY_LIMIT), reach)
    first = np.ones(len(segment), dtype=bool)
    first[1:] = segment[1:] != segment[:-1]
    dropped = {
        "nonexistent_local_hour": int((~there).sum()),
        "no_value": int((state == NO_DATA).sum()),
        **repeated,
    }
    return _Spells(np.cumsum(first) - 1, moment, end, state), reach, unresolved, dropped


def _once(
    segment: NDArray[np.int32], moment: NDArray[np.int64], state: NDArray[np.int8]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int8], dict[str, int]]:
    """One row a segment and moment, in their order, by the rule that all sources share (shared/duplicates.py): a state
    wins over none, equal ones count once, and of those that disagree the lower median counts."""
    import numpy as np

    order = np.lexsort((np.where(state == NO_DATA, len(STATES), state), moment, segment))
    segment, moment, state = segment[order], moment[order], state[order]
    first, other = np.ones(len(order), dtype=bool), np.ones(len(order), dtype=bool)
    first[1:] = (segment[1:] != segment[:-1]) | (moment[1:] != moment[:-1])
    other[1:] = first[1:] | (state[1:] != state[:-1])
    if not len(order):
        return segment, moment, state, {}
    more = np.diff(np.append(np.flatnonzero(first), len(order))) - 1
    segment, moment, state = segment[other], moment[other], state[other]
    starts = np.flatnonzero(first[other])
    with_state = np.add.reduceat((state != NO_DATA).astype(np.int64), starts)
    disagree = (with_state > 1) & (state[starts] != state[starts + np.maximum(with_state - 1, 0)])
    repeated = {"duplicate": int(more[~disagree].sum()), "disagreeing": int(more[disagree].sum())}
    counts = starts + np.maximum(with_state - 1, 0) // 2
    return segment[counts], moment[counts], state[counts], repeated


def _moments(face: NDArray[np.int32], clock: Clock) -> tuple[NDArray[np.int64], list[int]]:
    """Seconds since the month began, -1 for a nonexistent local time; and the slots with an unknown order.

    Files are written snapshot after snapshot, so if the clock goes back exactly once within the doubled hour, the
    second pass begins there. Otherwise the rows could be of either pass.
    """
    import numpy as np

    slots = np.full(_FACES, -1, dtype=np.int64)
    first = clock.first_slots
    slots[list(first)] = list(first.values())
    hour = face // _HOUR
    slot = slots[hour]
    moment = np.where(slot >= 0, slot * _HOUR + face % _HOUR, -1)
    unresolved: list[int] = []
    for doubled in clock.doubled:
        near = np.flatnonzero(abs(hour - doubled) <= 1)
        inside = hour[near] == doubled
        back = np.flatnonzero(np.diff(face[near]) < 0)
        if len(back) == 1 and inside[back[0]] and inside[back[0] + 1]:
            moment[near[back[0] + 1 :][inside[back[0] + 1 :]]] += _HOUR
        elif inside.any():
            unresolved += [first[doubled], first[doubled] + 1]
    return moment, unresolved


def _tables(spells: _Spells, slots: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Segments by slots, in seconds: known, known times state where open, and closed."""
    import numpy as np

    segments = int(spells.row.max(initial=-1)) + 1
    known, weighted, closed = (np.zeros(segments * slots) for _ in range(3))
    there = spells.state != NO_DATA
    row, start, end, state = spells.row[there], spells.start[there], spells.end[there], spells.state[there]
    for later in range(CARRY_LIMIT // _HOUR + 1):
        slot = start // _HOUR + later
        seconds = np.minimum(end, (slot + 1) * _HOUR) - np.maximum(start, slot * _HOUR)
        here = seconds > 0
        cell, duration, row_state = row[here] * slots + slot[here], seconds[here].astype(np.float64), state[here]
        shut = row_state == CLOSED
        known += np.bincount(cell, weights=duration, minlength=len(known))
        weighted += np.bincount(cell, weights=duration * np.where(shut, 0, row_state), minlength=len(known))
        closed += np.bincount(cell, weights=duration * shut, minlength=len(known))
    shape = (segments, slots)
    return known.reshape(shape), weighted.reshape(shape), closed.reshape(shape)
