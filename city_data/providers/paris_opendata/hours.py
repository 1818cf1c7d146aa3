"""Paris's city-hours, method version 1: volume and occupancy of the arcs by the method of shared/city_hours.py.

Belongs here: repeated rows of an arc and hour, the panel's volume, the bands of congestion. Does not: rows (rows.py),
or the method for every city with counting points (shared/city_hours.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from city_data.providers.paris_opendata.cells import FATES, HIGHEST
from city_data.providers.paris_opendata.rows import Rows
from city_data.providers.shared.city_hours import Estimate, estimate, reported_hours
from city_data.providers.shared.habits import refuse_shares_of_one
from city_data.providers.shared.local_hours import Clock

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# The portal's own bands of occupancy, exact on all 8,033 recorded values: Fluide, Pré-saturé, Saturé, Bloqué.
BANDS = {"low": 15.0, "medium": 30.0, "high": 50.0, "severe": float("inf")}
_STRATUM = "arcs"


@dataclass(frozen=True)
class CityHours:
    """One value a slot, up to the last slot with data. `flow` is of `q` (vehicles/h), `occupancy` of `k` (%).

    `used` rows have a value of either; `nulled` counts the cells of used rows without a value for a reason.
    """

    flow: Estimate
    occupancy: Estimate
    used: int
    rejected: dict[str, int]
    nulled: dict[str, int]
    arcs: int

    @property
    def levels(self) -> list[str | None]:
        """Of the mean to the five decimals of the source: sums of floats must not decide at a band's bound."""
        return [level(round(share, 5)) for share in self.occupancy.volume.tolist()]


def level(occupancy: float) -> str | None:
    """The band of a mean occupancy in %, each from its lower bound on; None for NaN."""
    return None if occupancy != occupancy else next(name for name, below in BANDS.items() if occupancy < below)


def city_hours(rows: Rows, clock: Clock) -> CityHours:
    """The city-hours of a month's rows, whose values are taken out of them: a month's are 40 MB."""
    import numpy as np

    slots = len(clock.faces)
    arcs, rank = _ranked(rows.arc)
    cell = rank * np.int32(slots) + rows.slot
    values, fates = {name: rows.values.pop(name) for name in HIGHEST}, rows.fates
    present = np.zeros(len(arcs) * slots, dtype=bool)
    present[cell] = True
    dropped = {"duplicate": 0, "disagreeing": 0}
    if np.count_nonzero(present) < len(cell):
        repeated = np.bincount(cell, minlength=len(present))[cell] > 1
        cell, values, fates, dropped = _resolved(cell, values, fates, repeated)
    known = ~np.isnan(values["q"]) | ~np.isnan(values["k"])
    dropped["no_value"] = int((~known).sum())
    nulled = {
        f"{fate}:{name}": count
        for name in HIGHEST
        for code, fate in enumerate(FATES)
        if code and (count := int(((fates[name] == code) & known).sum()))
    }
    used = int(known.sum())
    hours = int((cell[known] % slots).max()) + 1 if used else 0
    estimates = {}
    for name in HIGHEST:
        table = np.full((len(arcs), slots), np.nan)
        table.reshape(-1)[cell] = values.pop(name)
        estimates[name] = _estimate(table[:, :hours], np.array(clock.week_hours)[:hours])
        if not estimates[name].panel[_STRATUM] and (count := int((~np.isnan(table)).sum())):
            nulled[f"no_panel:{name}"] = count
        del table
    refuse_shares_of_one("k", estimates["k"].volume)
    rejected = rows.rejected | {name: count for name, count in dropped.items() if count}
    return CityHours(estimates["q"], estimates["k"], used, rejected, nulled, len(arcs))


def _estimate(table: NDArray[np.float64], week_hours: NDArray[np.int64]) -> Estimate:
    """The panel's value by hour."""
    import numpy as np

    strata = {_STRATUM: np.ones(len(table), dtype=bool)}
    return estimate(table, strata, {_STRATUM: 1.0}, week_hours, reported_hours(table))


def _ranked(arc: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The arcs in the order of their numbers, and each row's place among them."""
    import numpy as np

    present = np.bincount(arc, minlength=1) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1).astype(np.int32)[arc]


def _resolved(
    cell: NDArray[np.int32],
    values: dict[str, NDArray[np.float64]],
    fates: dict[str, NDArray[np.uint8]],
    repeated: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], dict[str, NDArray[np.float64]], dict[str, NDArray[np.uint8]], dict[str, int]]:
    """One row an arc and hour, by the rule of shared/duplicates.py, and the number of other rows. The weekly files of
    the archive overlap: 744 stamps of 2023 stand there twice, with equal values."""
    import numpy as np
    import polars as pl

    table = pl.DataFrame({"cell": cell[repeated]} | {n: v[repeated] for n, v in values.items()}).with_columns(
        *(pl.col(name).fill_nan(None) for name in values),
        *(pl.Series(f"fate {name}", fates[name][repeated]) for name in values),
    )
    one = table.group_by("cell").agg(
        pl.len().alias("rows"),
        *(_lower_median(name) for name in values),
        *(pl.col(f"fate {name}").max() for name in values),
        pl.any_horizontal(*(pl.col(name).drop_nulls().n_unique() > 1 for name in values)).alias("disagree"),
    )
    more = (one["rows"] - 1).to_numpy()
    disagree = one["disagree"].to_numpy()
    single = ~repeated
    merged_values, merged_fates = {}, {}
    for name in values:
        value = one[name].fill_null(float("nan")).to_numpy()
        fate = np.where(np.isnan(value), one[f"fate {name}"].to_numpy(), 0).astype(np.uint8)
        merged_values[name] = np.concatenate([values[name][single], value])
        merged_fates[name] = np.concatenate([fates[name][single], fate])
    dropped = {"duplicate": int(more[~disagree].sum()), "disagreeing": int(more[disagree].sum())}
    return np.concatenate([cell[single], one["cell"].to_numpy()]), merged_values, merged_fates, dropped


def _lower_median(name: str) -> pl.Expr:
    import polars as pl

    distinct = pl.col(name).drop_nulls().unique().sort()
    return distinct.gather((distinct.len().cast(pl.Int64) - 1).clip(0) // 2, null_on_oob=True).first().alias(name)
