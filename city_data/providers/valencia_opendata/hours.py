"""Valencia's city-hours, from a month's snapshots of its loops by the method of shared/city_hours.py.

Belongs here: the choice of readings, and the number that an hour needs. Does not: parsing answers (polls.py).

Each loop stamps its measurements in UTC, so October's doubled hour needs no rule. A reading counts once, at its own
stamp, in however many snapshots it appears: a stamp that does not change is not new data. A stamp that appeared in a
snapshot before its time never counts, since it cannot be the time of measurement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from city_data.payloads import Payload
from city_data.providers.errors import PermanentError
from city_data.providers.shared.city_hours import SPIKE, Estimate, estimate, reported_hours
from city_data.providers.shared.local_hours import Clock
from city_data.providers.valencia_opendata.polls import AHEAD, FLOW, STAMP, Rows, number_of, pages, point_of, taken_at

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from city_data.window import Month

# One stratum: the city does not classify its loops.
STRATA_WEIGHTS = {"city": 1.0}
_HOUR_MS, _MINUTE_MS = 3_600_000, 60_000
_OLDEST_MS = 946_684_800_000  # 2000-01-01: what is below counts seconds, or is a clock that was never set
# Sources disagree on how often a loop measures: each 3 minutes, 15, or an hour, so its median step decides. Each row:
# the longest step (minutes), the slots of an hour, and the slots needed. A loop of longer steps has no hours.
CADENCES = ((22.5, 4, 3), (45.0, 2, 2), (90.0, 1, 1), (float("inf"), 4, 3))


@dataclass(frozen=True)
class CityHours:
    """City-hours from hour `first` of the month on, and counts of all readings. Each of the `unreadable` snapshots
    counts as one rejected reading."""

    first: int
    hours: Estimate
    points: int
    received: int
    used: int
    fields: list[str]
    rejected: dict[str, int]
    unreadable: int


def city_hours(payloads: Sequence[Payload], month: Month, timezone: str) -> CityHours:
    """The city-hours of a month's snapshots. Unreadable ones are left out and counted; raises PermanentError if all are
    unreadable."""
    import numpy as np
    import polars as pl

    readings, fields, unreadable = _readings(payloads)
    start, end = (int(bound.timestamp() * 1000) for bound in month.bounds(timezone))
    judged = _judged(readings, start, end)
    counts = judged.drop_nulls("reason").group_by("reason").len().sort("reason")
    good, repeated = _once(judged.filter(pl.col("reason").is_null()))
    row, hour, flow, points = _hourly(good, start)
    first, last = (int(hour.min()), int(hour.max())) if len(hour) else (0, -1)
    table = np.full((points, last + 1), np.nan)
    table[row, hour] = flow
    estimated = estimate(
        table[:, first:],
        {"city": np.ones(points, dtype=bool)},
        STRATA_WEIGHTS,
        np.array(Clock.of(month, timezone).week_hours)[first : last + 1],
        judged=reported_hours(table[:, first:]),  # the collector may have been down
    )
    rejected = dict(zip(counts["reason"].to_list(), counts["len"].to_list(), strict=True)) | repeated
    rejected = {reason: number for reason, number in {**rejected, "unreadable_poll": unreadable}.items() if number}
    return CityHours(first, estimated, points, len(judged) + unreadable, len(good), fields, rejected, unreadable)


def _readings(payloads: Sequence[Payload]) -> tuple[pl.DataFrame, list[str], int]:
    """Every row of every snapshot: `snapshot`, `taken` and `stamp` (epoch ms), `point` (by name), `flow` (vehicles/h),
    `spoilt` (whether its stamp or flow is there and no number); the names of the rows' fields; and the number of
    unreadable snapshots."""
    import polars as pl

    fields: set[str] = set()
    parts: list[pl.DataFrame] = []
    broken: list[PermanentError] = []
    for number, payload in enumerate(payloads):
        try:
            taken = int(taken_at(payload.name).timestamp() * 1000)
            rows: Rows = [row for page in pages(payload.path.read_bytes()) for row in page.rows]
        except PermanentError as error:
            broken.append(error)
            continue
        fields.update(*rows[:1])
        parts.append(
            pl.DataFrame(
                {
                    "snapshot": pl.Series([number], dtype=pl.Int32).new_from_index(0, len(rows)),
                    "taken": pl.Series([taken]).new_from_index(0, len(rows)),
                    "point": pl.Series([point_of(row) for row in rows], dtype=pl.String),
                    "stamp": pl.Series([number_of(row[STAMP]) for row in rows], dtype=pl.Float64).cast(pl.Int64),
                    "flow": pl.Series([number_of(row[FLOW]) for row in rows], dtype=pl.Float64),
                    "spoilt": pl.Series([_is_spoilt(row) for row in rows], dtype=pl.Boolean),
                }
            )
        )
    if not parts:
        raise broken[0] if broken else PermanentError("there is no snapshot")
    return pl.concat(parts), sorted(fields), len(broken)


def _is_spoilt(row: Mapping[str, Any]) -> bool:
    return any(row[name] is not None and number_of(row[name]) is None for name in (STAMP, FLOW))


def _judged(readings: pl.DataFrame, start: int, end: int) -> pl.DataFrame:
    """The readings with the first `reason` that rejects each; null if it is used."""
    import polars as pl

    stamp, flow = pl.col("stamp"), pl.col("flow")
    ahead = stamp > pl.col("taken") + int(AHEAD.total_seconds() * 1000)
    rules = {
        "no_point": pl.col("point").is_null(),
        "unreadable": pl.col("spoilt"),
        "not_a_time": stamp < _OLDEST_MS,
        "no_stamp": stamp.is_null(),
        "future_stamp": ahead.any().over("point", "stamp"),
        "outside_month": (stamp < start) | (stamp >= end),
        "no_value": flow.is_null(),
        "negative": flow < 0,
        "spike": flow > SPIKE,
    }
    reason: Any = pl.lit(None, pl.String)
    for word, rule in reversed(rules.items()):
        reason = pl.when(rule).then(pl.lit(word)).otherwise(reason)
    return readings.with_columns(reason.alias("reason"))


def _once(usable: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """One reading a loop and stamp, sorted by them, by the rule that all sources share (shared/duplicates.py); and the
    counts of the others by reason. A repeat in a later snapshot is a stamp that has not moved."""
    import polars as pl

    unique = usable.group_by("point", "stamp").agg(
        pl.col("flow").unique().quantile(0.5, "lower"),
        (pl.len() - 1).alias("more"),
        (pl.col("snapshot").n_unique() - 1).alias("again"),
        (pl.col("flow").n_unique() > 1).alias("disagree"),
    )
    equal = unique.filter(~pl.col("disagree"))
    repeated = {
        "unmoved_stamp": int(equal["again"].sum()),
        "duplicate": int((equal["more"] - equal["again"]).sum()),
        "disagreeing": int(unique.filter("disagree")["more"].sum()),
    }
    return unique.sort("point", "stamp"), repeated


def _hourly(good: pl.DataFrame, start: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], int]:
    """Loop index, hour of the month and mean flow of every hour with a reading of the loop, NaN if it has too few; and
    the number of loops. A loop's hour is the mean of its slots, a slot the mean of its readings."""
    import numpy as np

    names, point = np.unique(good["point"].to_numpy().astype(str), return_inverse=True)
    stamp, flow = good["stamp"].to_numpy() - start, good["flow"].to_numpy()
    slots, needed = _cadence(point, stamp, len(names))
    slot = stamp * slots[point] // _HOUR_MS
    begins, sizes = _runs(point, slot)
    mean = np.add.reduceat(flow, begins) / sizes if len(begins) else flow
    point, hour = point[begins], slot[begins] // slots[point[begins]]
    begins, sizes = _runs(point, hour)
    hourly = np.add.reduceat(mean, begins) / sizes if len(begins) else mean
    point, hour = point[begins], hour[begins]
    return point, hour, np.where(sizes >= needed[point], hourly, np.nan), len(names)


def _runs(point: NDArray[np.int64], period: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The begin and length of each run of equal pairs."""
    import numpy as np

    begins = np.flatnonzero(np.r_[True, (point[1:] != point[:-1]) | (period[1:] != period[:-1])][: len(point)])
    return begins, np.diff(np.append(begins, len(point)))


def _cadence(
    point: NDArray[np.int64], stamp: NDArray[np.int64], points: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The slots of an hour for each loop, and the number of slots that an hour needs."""
    import numpy as np

    slots, needed = np.full(points, CADENCES[0][1]), np.full(points, CADENCES[0][2])
    for position, stamps in enumerate(np.split(stamp, np.flatnonzero(np.diff(point)) + 1) if len(stamp) else []):
        step = np.median(np.diff(stamps)) / _MINUTE_MS if len(stamps) > 1 else 0.0
        _, slots[position], needed[position] = next(cadence for cadence in CADENCES if step <= cadence[0])
    return slots, needed
