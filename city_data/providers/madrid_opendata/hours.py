"""Madrid's city-hours: station-hours and strata for the method of shared/city_hours.py, speed and congestion.

Belongs here: each station's kind, the two strata, bands of load, unusable cells. Does not: rows (rows.py),
repeated rows (repeats.py), or the method for every city with counting points (shared/city_hours.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from city_data.providers.errors import PermanentError
from city_data.providers.madrid_opendata.layout import COUNTS, M30, NO_KIND, SHARES, URBAN
from city_data.providers.madrid_opendata.reading import MonthFile, first_cell
from city_data.providers.madrid_opendata.repeats import crowded, merged, passes, resolve
from city_data.providers.madrid_opendata.rows import (
    HIGHEST,
    HUNDREDTHS,
    OTHERS,
    REASONS,
    VALID,
    count,
    others_mask,
    totals,
)
from city_data.providers.madrid_opendata.station_hours import station_hours
from city_data.providers.shared.city_hours import QUARTERS_NEEDED, Estimate, estimate
from city_data.providers.shared.habits import refuse_shares_of_one, refuse_spoilt_cells
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
    (`carga`) in %, `coverage` 0..1; `unresolved` are slots that stand for both passes of October's doubled hour;
    `relabelled` counts rows with another kind than most of their station's, or none."""

    volume: NDArray[np.float64]
    speed: NDArray[np.float64]
    load: NDArray[np.float64]
    coverage: NDArray[np.float64]
    stations: NDArray[np.int64]
    unresolved: list[int]
    rejected: dict[str, int]
    nulled: dict[str, int]
    panel: dict[str, int]
    points: int
    rows: int
    used: int
    valid: dict[str, int]
    relabelled: int


def city_hours(file: MonthFile, timezone: str) -> CityHours:
    """The city-hours of one file."""
    import numpy as np
    import polars as pl

    clock = Clock.of(file.month, timezone)
    sums, placeless = station_hours(file)
    rows = int(sums["rows"].sum()) + placeless
    kinds = _kinds(sums)
    known = _with_kind(sums, kinds)
    relabelled = int(known.filter(pl.col("label") != pl.col("kind"))["rows"].sum())
    rejected = {"other_month": placeless, "unknown_kind": int(sums["rows"].sum()) - int(known["rows"].sum())}
    table, unresolved, dropped = _in_slots(file, _one_kind(known), kinds, clock)
    reasons = totals(table["digits"].to_numpy(), REASONS)
    rejected = merged(rejected, {name: n for name, n in reasons.items() if name not in VALID}, dropped)
    used = sum(reasons[name] for name in VALID)
    nulled = _nulled(file, table, reasons)
    cells = _Cells.of(table, len(clock.faces))
    speed, load = _weighted_mean(table, M30, len(clock.faces)), _weighted_mean(table, URBAN, len(clock.faces))
    refuse_shares_of_one("carga", load)
    del sums, known, table  # as large as all that the estimate needs
    slots_with_data = np.flatnonzero(cells.quarters.any(axis=0))
    hours = int(slots_with_data[-1]) + 1 if len(slots_with_data) else 0
    estimated = _estimate(cells, np.array(clock.week_hours), hours)
    without = {f"no_panel_{name}:intensidad": used for name, size in estimated.panel.items() if hours and not size}
    return CityHours(
        volume=estimated.volume,
        speed=speed[:hours],
        load=load[:hours],
        coverage=estimated.coverage,
        stations=estimated.stations,
        unresolved=unresolved,
        rejected=rejected,
        nulled=nulled | without,
        panel=estimated.panel,
        points=len(cells.m30),
        rows=rows,
        used=used,
        valid={name: reasons[name] for name in VALID},
        relabelled=relabelled,
    )


def congestion(load: float) -> str | None:
    """The band of a flow-weighted mean urban `carga`, 0 to 100; None for NaN."""
    return None if load != load else next(level for most, level in _LEVELS if load <= most)


def _kinds(sums: pl.DataFrame) -> pl.DataFrame:
    """Each station's one `kind`: that of most of its labelled rows; urban, the commoner, where two are named equally
    often; none where no row names one."""
    import numpy as np
    import polars as pl

    station, label, rows = (sums[name].to_numpy() for name in ("station", "label", "rows"))
    urban, m30 = (np.bincount(station, weights=np.where(label == kind, rows, 0)) for kind in (URBAN, M30))
    stations = np.flatnonzero(np.bincount(station))
    kind = np.where(m30 > urban, M30, np.where(urban > 0, URBAN, NO_KIND))[stations]
    return pl.DataFrame({"station": stations.astype(np.int32), "kind": kind.astype(np.uint8)})


def _with_kind(sums: pl.DataFrame, kinds: pl.DataFrame) -> pl.DataFrame:
    """The station-hours of stations that have a `kind`, which is looked up: a join copied millions of rows."""
    import numpy as np
    import polars as pl

    of_station = np.full(int(cast(int, kinds["station"].max() or 0)) + 1, NO_KIND, dtype=np.uint8)
    of_station[kinds["station"].to_numpy()] = kinds["kind"].to_numpy()
    known = sums.with_columns(pl.Series("kind", of_station[sums["station"].to_numpy()]))
    return known.filter(pl.col("kind") != NO_KIND) if (kinds["kind"] == NO_KIND).any() else known


def _one_kind(known: pl.DataFrame) -> pl.DataFrame:
    """Station-hours with all rows under the station's kind. The second value of a row with another label is dropped,
    since it measures the other kind."""
    import polars as pl

    own = pl.col("label") == pl.col("kind")
    if known.select(own.all()).item():
        return known.drop("label")
    masked = pl.col("digits") & pl.lit(2**64 - 1 - others_mask(), pl.UInt64)
    cleared = known.with_columns(
        pl.when(own).then(pl.col("digits")).otherwise(masked).alias("digits"),
        *(pl.when(own).then(pl.col(name)).otherwise(0).alias(name) for name in ("weight", "weighted")),
    )
    return cleared.group_by("station", "hour", "kind").agg(pl.col("rows", "digits", "flow", "weight", "weighted").sum())


def _nulled(file: MonthFile, table: pl.DataFrame, reasons: dict[str, int]) -> dict[str, int]:
    """Unusable second values of used rows, by reason and column.

    Raises PermanentError if any count is ambiguous, and if most cells of a column are unusable.
    """

    if reasons["ambiguous"]:
        where = first_cell(file, "intensidad", COUNTS, math.isinf)
        raise PermanentError(f"{where} is ambiguous: thousands, or a fraction?")
    readable = sum(reasons[name] for name in ("negative", "spike", "no_samples", *VALID))
    _refuse_habit(file, "intensidad", reasons["unreadable"], readable, math.isnan)
    nulled: dict[str, int] = {}
    for kind, (column, most) in HIGHEST.items():
        digits = table["digits"].filter(table["kind"] == kind).to_numpy()
        fates = totals(digits, [f"other_{fate}" for fate in OTHERS])
        known = fates.pop("other_known")
        nulled |= {f"{name.removeprefix('other_')}:{column}": number for name, number in fates.items() if number}
        _refuse_habit(file, column, fates["other_unreadable"] + fates["other_implausible"], known, _beyond(most))
    return nulled


def _beyond(most: float) -> Callable[[float], bool]:
    """Whether a number is above `most`, or NaN."""
    return lambda number: not number <= most


def _refuse_habit(file: MonthFile, column: str, spoilt: int, good: int, odd: Callable[[float], bool]) -> None:
    written = COUNTS if column == "intensidad" else SHARES
    refuse_spoilt_cells(column, spoilt, good, lambda: first_cell(file, column, written, odd))


@dataclass(frozen=True)
class _Cells:
    """Tables of stations by slots: valid quarters, and the mean flow of hours with enough of them (NaN elsewhere)."""

    m30: NDArray[np.bool_]
    quarters: NDArray[np.uint8]
    flow: NDArray[np.float64]

    @classmethod
    def of(cls, table: pl.DataFrame, slots: int) -> _Cells:
        import numpy as np

        station = table["station"].to_numpy()
        rank = np.zeros(int(station.max(initial=0)) + 1, dtype=np.int32)
        stations = np.flatnonzero(np.bincount(station))  # sorting millions of rows would cost 0.3 s
        rank[stations] = np.arange(len(stations))
        row, slot = rank[station], table["slot"].to_numpy()
        m30 = np.zeros(len(stations), dtype=bool)
        m30[row] = table["kind"].to_numpy() == M30
        quarters = np.zeros((len(stations), slots), dtype=np.uint8)
        quarters[row, slot] = count(table["digits"].to_numpy(), *VALID)
        flow = np.full((len(stations), slots), np.nan)
        flow[row, slot] = table["flow"].to_numpy()
        flow[quarters < QUARTERS_NEEDED] = np.nan
        return cls(m30, quarters, flow / HUNDREDTHS / np.maximum(quarters, 1))


def _estimate(cells: _Cells, week_hours: NDArray[np.int64], hours: int) -> Estimate:
    strata = {"urban": ~cells.m30, "m30": cells.m30}
    return estimate(cells.flow[:, :hours], strata, STRATA_WEIGHTS, week_hours[:hours])


def _weighted_mean(table: pl.DataFrame, kind: int, slots: int) -> NDArray[np.float64]:
    """The flow-weighted mean by slot: of M30 points' speed (km/h), or of urban points' `carga` (%)."""
    import numpy as np

    chosen = table["kind"].to_numpy() == kind
    slot = table["slot"].to_numpy()[chosen]
    # Whole numbers of hundredths: their sums are exact in any order.
    weight, weighted = (
        np.bincount(slot, weights=table[name].to_numpy()[chosen], minlength=slots) for name in ("weight", "weighted")
    )
    mean: NDArray[np.float64] = np.divide(weighted, weight * HUNDREDTHS, out=np.full(slots, np.nan), where=weight > 0)
    return mean


def _in_slots(
    file: MonthFile, sums: pl.DataFrame, kinds: pl.DataFrame, clock: Clock
) -> tuple[pl.DataFrame, list[int], dict[str, int]]:
    """Station-hours with their `slot`, each quarter once; the slots that stand for both passes of a doubled hour; and
    counts of rejected rows by reason."""
    import numpy as np
    import polars as pl

    first = clock.first_slots
    slots = np.full(32 * 24, -1, dtype=np.int32)
    slots[list(first)] = list(first.values())
    hour = sums["hour"].to_numpy()
    slot = slots[hour]
    nonexistent = int(sums["rows"].to_numpy()[slot < 0].sum())
    unambiguous = (slot >= 0) & ~np.isin(hour, clock.doubled)
    single = sums if unambiguous.all() else sums.filter(pl.Series(unambiguous))
    repeated = crowded(single)
    dropped: dict[str, int] = {"nonexistent_local_hour": nonexistent}
    if len(repeated):
        repeats = resolve(file, repeated, kinds)
        dropped = merged(dropped, repeats.rejected)
        resolved = pl.concat(repeats.hours).join(kinds, on="station")
        single = pl.concat([single.join(repeated, on=["station", "hour"], how="anti"), resolved.select(single.columns)])
    placed = [single.with_columns(pl.Series("slot", slots[single["hour"].to_numpy()]))]
    unresolved = []
    for face in clock.doubled:
        hours, repeats = passes(file, face, kinds)
        dropped = merged(dropped, repeats.rejected)
        unresolved += [first[face]] if len(hours) == 1 and len(hours[0]) else []
        for turn, passed in enumerate(hours):
            slotted = passed.join(kinds, on="station").with_columns(pl.lit(first[face] + turn, pl.Int32).alias("slot"))
            placed.append(slotted.select(placed[0].columns))
    return pl.concat(placed), unresolved, dropped
