"""Repeated rows of one station and quarter in Madrid's files, and October's doubled hour.

Belongs here: the rule of all sources (shared/duplicates.py), for millions of rows. Does not: validity of rows
(rows.py), or the city-hour (hours.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from city_data.providers.errors import PermanentError
from city_data.providers.madrid_opendata.layout import NO_KIND
from city_data.providers.madrid_opendata.reading import MonthFile
from city_data.providers.madrid_opendata.rows import FACES, OTHERS, REASONS, VALID, Rows, bit, count
from city_data.providers.madrid_opendata.station_hours import collected
from city_data.providers.shared.city_hours import QUARTERS_AN_HOUR, QUARTERS_NEEDED

if TYPE_CHECKING:
    import polars as pl

_ROWS_AT_ONCE = 3_000_000  # a month that is repeated as a whole is processed in parts of about 200 MB
_HOUR = ["station", "hour"]
_QUARTER = ["station", "hour", "quarter"]


@dataclass
class Repeats:
    """Station-hours without repeats, and counts of rejected rows by reason."""

    hours: list[pl.DataFrame] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str, rows: int) -> None:
        if rows:
            self.rejected[reason] = self.rejected.get(reason, 0) + rows


def crowded(sums: pl.DataFrame) -> pl.DataFrame:
    """The station-hours of `sums` with a repeated quarter."""
    import numpy as np
    import polars as pl

    digits = sums["digits"].to_numpy()
    twice = sums["rows"].to_numpy() > QUARTERS_AN_HOUR
    for quarter in range(QUARTERS_AN_HOUR):
        twice |= count(digits, f"quarter_{quarter}") > np.uint64(1)
    return sums.filter(pl.Series(twice))


def resolve(file: MonthFile, hours: pl.DataFrame, kinds: pl.DataFrame) -> Repeats:
    """The crowded station-hours `hours`, each recomputed from its own rows.

    Raises PermanentError if a station has more than four different times in an hour.
    """
    repeats = Repeats()
    for part in _parts(hours):
        once(_rows_of(file, part.select(_HOUR), kinds), repeats)
    return repeats


def once(rows: pl.DataFrame, repeats: Repeats) -> None:
    """Add the station-hours of some rows to `repeats`, with one row a station and quarter.

    Field by field a value wins over none, equal values count once, and of values that disagree the lower median counts,
    so a row that is sent once more changes nothing.
    """
    import polars as pl

    times = rows.group_by(_HOUR).agg(pl.col("minute").n_unique())["minute"].max()
    if isinstance(times, int) and times > QUARTERS_AN_HOUR:
        raise PermanentError(f"a point has {times} different times in one hour, not {QUARTERS_AN_HOUR} quarters")
    valid = pl.col("reason") >= REASONS.index(VALID[0])
    flow, other = pl.col("flow").filter(valid), pl.col("other").drop_nulls()
    quarters = rows.group_by(_QUARTER).agg(
        (pl.len() - 1).alias("more"),
        ((flow.n_unique() > 1) | (other.n_unique() > 1)).alias("disagree"),
        pl.col("reason").max(),
        flow.unique().quantile(0.5, "lower").fill_null(0).cast(pl.UInt32).alias("flow"),
        other.unique().quantile(0.5, "lower").cast(pl.UInt32).alias("other"),
        pl.col("fate").min(),
    )
    for reason, rule in (("duplicate", ~pl.col("disagree")), ("disagreeing", pl.col("disagree"))):
        repeats.reject(reason, int(quarters.filter(rule)["more"].sum()))
    repeats.hours.append(_hours(quarters))


def passes(file: MonthFile, face: int, kinds: pl.DataFrame) -> tuple[list[pl.DataFrame], Repeats]:
    """The doubled hour at the local time `face`: the station-hours of its first and its second pass, or one set for
    both passes if their order is unknown.

    A station's passes are known if at least three quarters occur twice, in the file's order. If they are known for at
    least half of the stations, the rows of the others are rejected.
    """
    import polars as pl

    rows = _rows_of(file, None, kinds, face).with_row_index("place")
    stations = rows["station"].n_unique()
    pairs = _pairs(rows)
    decided = pairs.group_by("station").agg(pl.col("quarter").n_unique()).filter(pl.col("quarter") >= QUARTERS_NEEDED)
    repeats = Repeats()
    if not len(decided) or 2 * len(decided) < stations:
        once(rows, repeats)
        return repeats.hours, repeats
    decided_rows = rows.join(decided.select("station"), on="station", how="semi")
    paired = pairs.join(decided.select("station"), on="station", how="semi")
    usable = decided_rows.join(paired.select(_QUARTER).unique(), on=_QUARTER, how="semi")
    repeats.reject("duplicate", len(usable) - len(paired))
    repeats.reject("unresolved_hour", len(rows) - len(usable))
    for turn in (0, 1):
        once(paired.filter(pl.col("turn") == turn), repeats)
    return repeats.hours, repeats


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of quarters that occur exactly twice, once exact repeats are dropped; `turn` is 0 or 1."""
    import polars as pl

    content = [*_QUARTER, "label", "reason", "flow", "other"]
    several = rows.filter(pl.len().over(_QUARTER) > 2).unique(content, keep="first", maintain_order=True)
    pairs = pl.concat([rows.filter(pl.len().over(_QUARTER) == 2), several.filter(pl.len().over(_QUARTER) == 2)])
    return pairs.with_columns(((pl.col("place").rank("ordinal").over(_QUARTER)) - 1).alias("turn"))


def _hours(quarters: pl.DataFrame) -> pl.DataFrame:
    """Station-hours of quarters that occur once each."""
    import polars as pl

    flow, other = pl.col("flow"), pl.col("other")
    reasons, fates = (
        pl.col(column).replace_strict({n: bit(name) for n, name in enumerate(names)}, return_dtype=pl.UInt64)
        for column, names in (("reason", REASONS), ("fate", [f"other_{fate}" for fate in OTHERS]))
    )
    return quarters.group_by(_HOUR).agg(
        pl.len().alias("rows"),
        (reasons + fates.fill_null(0)).sum().alias("digits"),
        flow.sum(),
        flow.filter(other.is_not_null()).sum().alias("weight"),
        (flow.cast(pl.Float64) * other.fill_null(0).cast(pl.Float64)).sum().alias("weighted"),
    )


def _rows_of(file: MonthFile, hours: pl.DataFrame | None, kinds: pl.DataFrame, face: int | None = None) -> pl.DataFrame:
    """Rows of some station-hours, or of all stations at one face, in the file's order, of stations with a kind;
    `fate` is the index in OTHERS of a second value of the station's own kind."""
    import numpy as np
    import polars as pl

    stations = int(cast(int, kinds["station"].max() or 0)) + 1
    wanted = np.full((stations, FACES), fill_value=False)
    if hours is None:
        wanted[:, face] = True
    else:
        wanted[hours["station"].to_numpy(), hours["hour"].to_numpy()] = True

    def chosen(rows: Rows) -> pl.DataFrame:
        table = rows.table()
        return table.filter(pl.Series(wanted[table["station"].to_numpy(), table["hour"].to_numpy()]))

    own = pl.col("label") == pl.col("kind")
    return (
        pl.concat(list(collected(file, chosen)))
        .join(kinds, on="station", how="inner", maintain_order="left")
        .filter(pl.col("kind") != NO_KIND)
        .with_columns(pl.when(own).then(pl.col("other")), pl.when(own).then(pl.col("fate")))
        .drop("kind")
    )


def _parts(hours: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """`hours` in parts of whole stations, each of at most about _ROWS_AT_ONCE rows."""
    import polars as pl

    ordered = hours.sort("station")
    part = (ordered["rows"].cast(pl.Int64).cum_sum() // _ROWS_AT_ONCE).alias("part")
    first = ordered.with_columns(part).group_by("station", maintain_order=True).agg(pl.col("part").min())
    for stations in first.partition_by("part", maintain_order=True):
        yield ordered.join(stations.select("station"), on="station", how="semi")


def merged(rejected: Mapping[str, int], *more: Mapping[str, int]) -> dict[str, int]:
    """The sums of counts, without zeros."""
    names = dict.fromkeys(name for counts in (rejected, *more) for name in counts)
    sums = {name: sum(counts.get(name, 0) for counts in (rejected, *more)) for name in names}
    return {name: number for name, number in sums.items() if number}
