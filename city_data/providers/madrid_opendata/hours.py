"""Madrid's station-hours and strata, made into city-hours by shared/city_hours.py; speed, congestion.

Belongs here: repeated rows, October's doubled hour, the two strata, bands of load. Does not: reading files
(rows.py), or the method that every city of counting points shares (shared/city_hours.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from city_data.providers.base import PermanentError
from city_data.providers.madrid_opendata.rows import (
    REASONS,
    VALID,
    MonthFile,
    count,
    ordered_rows,
    station_hours,
    summed,
)
from city_data.providers.shared.city_hours import QUARTERS_AN_HOUR, QUARTERS_NEEDED, estimate
from city_data.providers.shared.local_hours import Clock

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# The strata's shares of the city's own list of measurement points of February 2018 (421 of 4,072 are on the M30), fixed
# ever since so that a growing network moves nothing.
STRATA_WEIGHTS = {"urban": 0.9, "m30": 0.1}
# Urban service levels are an exact function of `carga` (7,670 recorded points, no exception).
_LEVELS = ((25, "low"), (50, "medium"), (75, "high"), (float("inf"), "severe"))


@dataclass(frozen=True)
class CityHours:
    """One value a slot, up to the last slot with data; NaN is missing. `volume` in vehicles/h, `speed` in km/h, `load`
    (`carga`) in %, `coverage` 0..1; `unresolved` are slots that stand for both passes of October's doubled hour."""

    volume: NDArray[np.float64]
    speed: NDArray[np.float64]
    load: NDArray[np.float64]
    coverage: NDArray[np.float64]
    stations: NDArray[np.int64]
    unresolved: list[int]
    rejected: dict[str, int]
    panel: dict[str, int]
    points: int
    rows: int
    used: int
    valid: dict[str, int]


def city_hours(file: MonthFile, timezone: str) -> CityHours:
    """The method, on one file."""
    import numpy as np

    clock = Clock.of(file.month, timezone)
    all_sums, placeless = station_hours(file)
    sums, repeated = _without_repeats(file, all_sums, clock)
    table, unresolved, never = _in_slots(file, sums, clock)
    # Counted where every row has its place, so that each is counted once: a repeated row may be an invalid one too.
    reasons = {name: int(count(table["reasons"].to_numpy(), name).sum()) for name in REASONS}
    passed = int(sums["rows"].sum()) - int(table["rows"].sum()) - never
    rejected = {name: n for name, n in reasons.items() if name not in VALID}
    rejected |= {"other_month": placeless, "duplicate": repeated + passed, "nonexistent_local_hour": never}
    cells = _Cells.of(table, len(clock.faces))
    seen = np.flatnonzero(cells.quarters.any(axis=0))
    hours = int(seen[-1]) + 1 if len(seen) else 0
    volume, coverage, stations, panel = _estimate(cells, np.array(clock.week_hours), hours)
    means = {m30: _weighted_mean(table, m30, hours) for m30 in (True, False)}
    return CityHours(
        volume=volume,
        speed=means[True],
        load=means[False],
        coverage=coverage,
        stations=stations,
        unresolved=unresolved,
        rejected={name: n for name, n in rejected.items() if n},
        panel=panel,
        points=len(cells.m30),
        rows=int(all_sums["rows"].sum()) + placeless,
        used=sum(reasons[name] for name in VALID),
        valid={name: reasons[name] for name in VALID},
    )


def congestion(load: float) -> str | None:
    """The band of a flow-weighted mean urban `carga`, 0 to 100; None for NaN."""
    return None if load != load else next(level for most, level in _LEVELS if load <= most)


@dataclass(frozen=True)
class _Cells:
    """Stations by slots: valid quarters, and the mean flow of hours that have enough of them (NaN elsewhere)."""

    m30: NDArray[np.bool_]
    quarters: NDArray[np.uint8]
    flow: NDArray[np.float32]

    @classmethod
    def of(cls, table: pl.DataFrame, slots: int) -> _Cells:
        import numpy as np

        station = table["station"].to_numpy()
        rank = np.zeros(int(station.max(initial=0)) + 1, dtype=np.int32)
        stations = np.flatnonzero(np.bincount(station))  # sorting millions of rows would cost 0.3 s
        rank[stations] = np.arange(len(stations))
        row = rank[station]
        m30 = np.zeros(len(stations), dtype=bool)
        m30[row] = table["m30"].to_numpy()
        slot = table["slot"].to_numpy()
        quarters = np.zeros((len(stations), slots), dtype=np.uint8)
        quarters[row, slot] = count(table["reasons"].to_numpy(), *VALID)
        flow = np.full((len(stations), slots), np.nan, dtype=np.float32)
        flow[row, slot] = table["flow"].to_numpy()
        flow[quarters < QUARTERS_NEEDED] = np.nan
        return cls(m30, quarters, np.divide(flow, np.maximum(quarters, 1), dtype=np.float32))


def _estimate(
    cells: _Cells, week_hours: NDArray[np.int64], hours: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], dict[str, int]]:
    """Volume, coverage and counted stations by slot, and the panel's size by stratum."""
    import numpy as np

    flow, strata = cells.flow[:, :hours].astype(np.float64), {"urban": ~cells.m30, "m30": cells.m30}
    made = estimate(flow, strata, STRATA_WEIGHTS, week_hours[:hours])
    return made.volume, made.coverage, made.stations, made.panel


def _weighted_mean(table: pl.DataFrame, m30: bool, hours: int) -> NDArray[np.float64]:
    """Flow-weighted by slot: of M30 points' speed (km/h), or of urban points' `carga` (%)."""
    import numpy as np

    chosen = table["m30"].to_numpy() == m30
    slot = table["slot"].to_numpy()[chosen]
    weight, weighted = (
        np.bincount(slot, weights=table[name].to_numpy()[chosen], minlength=hours)[:hours]
        for name in ("weight", "weighted")
    )
    mean: NDArray[np.float64] = np.divide(weighted, weight, out=np.full(hours, np.nan), where=weight > 0)
    return mean


def _without_repeats(file: MonthFile, sums: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, int]:
    """A station has four quarters an hour: where it has more rows, repeated ones are dropped. October's doubled hour
    has its own rule."""
    import numpy as np
    import polars as pl

    hour = sums["hour"].to_numpy()
    crowded = np.unique(hour[(sums["rows"].to_numpy() > QUARTERS_AN_HOUR) & ~np.isin(hour, clock.doubled)]).tolist()
    if not crowded:
        return sums, 0
    listed = ordered_rows(file, crowded)
    once = listed.unique(subset=["station", "stamp"], keep="first", maintain_order=True)
    again = summed(once)
    most = int(again["rows"].max())  # type: ignore[arg-type]
    if most > QUARTERS_AN_HOUR:
        raise PermanentError(f"a point has {most} different times in one hour, not {QUARTERS_AN_HOUR} quarters")
    rest = sums.filter(~pl.col("hour").is_in(crowded))
    return pl.concat([rest, again.select(rest.columns)]), len(listed) - len(once)


def _in_slots(file: MonthFile, sums: pl.DataFrame, clock: Clock) -> tuple[pl.DataFrame, list[int], int]:
    """Station-hours with their `slot`; the slots that stand for both passes of a doubled hour; rows of no slot."""
    import numpy as np
    import polars as pl

    first = clock.first_slots
    slots = np.full(32 * 24, -1, dtype=np.int32)
    slots[list(first)] = list(first.values())
    hour = sums["hour"].to_numpy()
    slot = slots[hour]
    never = int(sums["rows"].to_numpy()[slot < 0].sum())
    keep = (slot >= 0) & ~np.isin(hour, clock.doubled)
    single = sums.with_columns(pl.Series("slot", slot))
    placed = [single if keep.all() else single.filter(pl.Series(keep))]
    unresolved = []
    for face in clock.doubled:
        listed, twice = _passes(ordered_rows(file, [face]))
        unresolved += [] if twice or listed.is_empty() else [first[face]]
        for turn in (0, 1):
            passed = summed(listed.filter(pl.col("turn") == turn))
            passed = passed.with_columns(pl.lit(first[face] + turn, pl.Int32).alias("slot"))
            placed.append(passed.select(placed[0].columns))
    return pl.concat(placed), unresolved, never


def _passes(listed: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """Number each sensor's rows of one quarter in the file's order: 0 the first pass of the hour, 1 the second.

    Where most quarters stand once, the passes cannot be told apart and all rows are of the first.
    """
    import polars as pl

    keys = ["station", "stamp"]

    def usual(table: pl.DataFrame) -> Any:
        return table.group_by(keys).len()["len"].median()

    if usual(listed) not in (None, 1.0, 2.0):
        listed = listed.unique(maintain_order=True)  # repeated lines on top of a repeated hour
    twice = usual(listed) == 2.0
    numbered = listed.with_columns(pl.int_range(pl.len()).over(keys).alias("turn"))
    return numbered.filter(pl.col("turn") < (2 if twice else 1)), twice
