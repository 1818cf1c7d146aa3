"""The checks that a month must pass before it is published, built from datasets.py.

Belongs here: checks of one canonical frame and of its counts. Does not: dropping or nulling values before
(pipeline/gate.py), comparing with other months (pipeline/drift.py), Dagster's events (defs/assets/monthly.py), or
provider formats.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from city_data.datasets import Dataset
from city_data.frames import coverage
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

# Below this share of expected rows an ended month is not published: half a month trains a model on a gap.
MINIMUM_COVERAGE = 0.5
# So many implausible cells of a column are tolerated at any share: one of a month's 30 days is already 3 %.
FEW_CELLS = 3
_SHARES = 24  # the first clear days of a summer month have clouds of 0.2, 0.4 and 0.3 % on their mean
# With more unreadable cells than this share of the used rows, a column has another format.
MOST_UNREADABLE = 0.5
# Nulled cells beyond this share of the used rows are reported.
MANY_NULLED = 0.01
# Rows that disagree with used ones are reported beyond the first share of these. Beyond the second, two sources stand
# under one name, and the lower median, a rule for accidents, would mix them.
MANY_DISAGREEING, MOST_DISAGREEING = 0.01, 0.5
# Rows whose lowest value is above their mean, or their highest below it. None of 449 recorded station-days of AEMET is
# so; a mean of stations may be, where one of them lacks the extreme. Most of a month are columns that changed places.
MANY_BEYOND, MOST_BEYOND = 0.05, 0.5

BLOCKING = {
    "coverage": f"At least {MINIMUM_COVERAGE:.0%} of the expected rows of an ended month have a measured value; of an "
    "open month, or one that was collected from a live feed, one row",
    "expected_stamps": "Every row has a valid stamp of the month at the source's resolution, none after the fetch, and "
    "values of its other keys that the dataset has",
    "plausible_ranges": "All but a few values of each column lie within the plausible range that datasets.py states; "
    "those few are NULL",
    "readable_columns": "No column is empty or mostly NULL because its cells were unreadable",
    "used_rows": "At least the provider's declared share of an ended month's rows was used, repeats left out",
    "contradicted_rows": f"At most {MOST_DISAGREEING:.0%} of the used rows are contradicted by another row of the same "
    "station and time; a live feed may revise its readings",
    "extremes": f"In at most {MOST_BEYOND:.0%} of the rows is a lowest value above, or a highest below, the value "
    "whose extreme it is",
    "unique_dates": "No date appears twice, nor twice with the same other keys",
    "inside_month": "Every row lies inside the month in the city's time zone",
}
REPORTED = {
    "promised_columns": "Every column of numbers or levels that the source promises has values, and in an ended month "
    "so has each value of the dataset's other keys, such as the days of lead",
    "nulled_values": f"Of no column more than {MANY_NULLED:.0%} of the used rows' cells could not be used",
    "readable_rows": f"At most {MANY_NULLED:.0%} of the rows were rejected because they could not be read, or were of "
    "another month than their file's",
    "agreeing_extremes": f"In at most {MANY_BEYOND:.0%} of the rows is a lowest value above, or a highest below, the "
    "value whose extreme it is",
    "agreeing_rows": f"At most {MANY_DISAGREEING:.0%} of the used rows are contradicted by another row of the same "
    "station and time",
}
UNREADABLE = frozenset({"unreadable", "ambiguous", "not_a_number"})
# Reasons of rejected rows that no good file has. A row outside the month is none: hours in UTC surround a local month.
SPOILT_ROWS = UNREADABLE - {"not_a_number"} | {
    *("unreadable_poll", "broken_line", "too_many_fields", "no_segment", "no_day_or_station"),
    *("no_hour", "off_the_hour", "not_a_time", "not_a_state", "other_month"),
}
IMPLAUSIBLE, NEGATIVE, FUTURE, DISAGREEING = "implausible", "negative", "future", "disagreeing"


@dataclass(frozen=True)
class Outcome:
    """The result of one check. `metadata` holds plain values."""

    name: str
    passed: bool
    description: str
    metadata: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def blocking(self) -> bool:
        return self.name in BLOCKING


@dataclass(frozen=True)
class Odd:
    """The number of wrong cells of one column, of all its cells or used rows (`of`); `example` is one of them."""

    cells: int
    of: int
    example: str = ""

    def is_too_many(self, share: float) -> bool:
        return self.cells > max(FEW_CELLS, share * self.of)

    def __str__(self) -> str:
        such = f", such as {self.example}" if self.example else ""
        return f"{self.cells:,} of {self.of:,}{such}"


def nulled_by_field(nulled: Mapping[str, int], reasons: Collection[str]) -> dict[str, int]:
    """The values nulled for one of the `reasons`, by field; `nulled` counts by `reason:field`."""
    counts: dict[str, int] = {}
    for key, count in nulled.items():
        reason, _, name = key.partition(":")
        if reason in reasons:
            counts[name] = counts.get(name, 0) + count
    return counts


def month_coverage(
    frame: pd.DataFrame, dataset: Dataset, expected_rows: int, ended: bool, forward_only: bool = False
) -> Outcome:
    """The share of expected rows with a value. A live feed's missed hours cannot be fetched again, so its incomplete
    months are published."""
    rows = int(frame[dataset.measured_names].notna().any(axis=1).sum())
    share = min(1.0, rows / expected_rows) if expected_rows else 0.0
    suffix = (" (collected live, cannot be completed)" if forward_only else "") if ended else " (open month)"
    return Outcome(
        "coverage",
        passed=share > 0 and (forward_only or not ended or share >= MINIMUM_COVERAGE),
        description=f"{share:.1%} of {expected_rows} expected rows have a value{suffix}",
        metadata={"coverage": share, "expected_rows": expected_rows, "rows": len(frame)},
    )


def stamps(frame: pd.DataFrame, dataset: Dataset, expected: Sequence[datetime], future: Odd) -> Outcome:
    """Whether all stamps are expected ones; `future` counts the rows of a measurement with values after the fetch."""
    import pandas as pd

    grid = pd.DatetimeIndex(list(expected), dtype="datetime64[us, UTC]")
    off = frame.loc[~frame["date"].isin(grid), "date"]
    problems = [f"{len(off)} rows have stamps that the month does not have, such as {off.iloc[0]}"] if len(off) else []
    for name, known in dataset.values_of_keys.items():
        values = frame[name][~frame[name].isin(known)]
        problems += [f"{len(values)} rows have a {name} such as {values.iloc[0]}"] if len(values) else []
    if future.is_too_many(0):
        problems.append(f"rows after the fetch: {future}")
    metadata: dict[str, float | int | str] = {"off_grid": len(off), "future": future.cells}
    return Outcome(
        "expected_stamps", not problems, "; ".join(problems) or "every stamp is one of the month's", metadata
    )


def implausible(frame: pd.DataFrame, dataset: Dataset) -> dict[str, list[int]]:
    """The row positions of values outside the range or the allowed words of datasets.py, by column; all of a column of
    percent whose values are shares of 1."""
    import pandera.pandas as pa

    def rule(name: str) -> pa.Column:
        column = dataset.column(name)
        if column.allowed is not None:
            return pa.Column(object, pa.Check.isin(column.allowed), nullable=True)
        if column.kind in ("text", "flag"):
            return pa.Column(object, nullable=True)
        bounds = [pa.Check.gt(-math.inf), pa.Check.lt(math.inf)]
        bounds += [pa.Check.ge(column.low)] if column.low is not None else []
        bounds += [pa.Check.le(column.high)] if column.high is not None else []
        return pa.Column(float if column.kind == "number" else object, bounds, nullable=True)

    shares = {
        column.name: frame.index[frame[column.name].notna()].tolist()
        for column in dataset.columns
        if column.unit == "%" and _are_shares_of_one(frame[column.name])
    }
    try:
        pa.DataFrameSchema({name: rule(name) for name in dataset.column_names}).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases.groupby("column")
        return {str(name): sorted(set(at["index"])) for name, at in cases} | shares
    return shares


def _are_shares_of_one(percent: pd.Series[float]) -> bool:
    """Whether all values of a month lie in 0..1, and many between the two: another unit."""
    return bool((percent.isna() | (percent <= 1)).all()) and int(percent.between(0, 1, "neither").sum()) >= _SHARES


def ranges(odd: Mapping[str, Odd], share: float) -> Outcome:
    """`odd` counts implausible values by column, or by the source's own field; up to `share` of each are tolerated."""
    metadata: dict[str, float | int | str] = {"rows_outside": sum(cells.cells for cells in odd.values())}
    metadata |= {f"implausible_{name}": cells.cells for name, cells in odd.items()}
    many = {name: cells for name, cells in odd.items() if cells.is_too_many(share)}
    listed = "; ".join(f"{name}: {cells}" for name, cells in sorted((many or odd).items()))
    text = f"implausible values of {listed}" if many else f"made NULL: {listed}" if odd else "all values are plausible"
    return Outcome("plausible_ranges", not many, text, metadata)


def readable(nulled: Mapping[str, int], used: int, observed: Mapping[str, int]) -> Outcome:
    """Whether the cells were readable; `observed` counts the values of the promised columns. A field may have the
    source's name, or a column's."""
    problems = []
    unreadable = nulled_by_field(nulled, UNREADABLE)
    for name, cells in sorted(unreadable.items()):
        if observed.get(name) == 0:
            problems.append(f"{name} is empty, and {cells:,} of its cells could not be read")
        elif Odd(cells, used).is_too_many(MOST_UNREADABLE):
            problems.append(f"{name}: {cells:,} cells of {used:,} used rows could not be read")
    text = "; ".join(problems) or "the cells of every column can be read"
    return Outcome("readable_columns", not problems, text, {"unreadable": sum(unreadable.values())})


def used_rows(received: int, used: int, rejected: Mapping[str, int], least: float, ended: bool) -> Outcome:
    """Whether enough rows were used. An open month passes, since its source may list hours before it fills them."""
    share = coverage.used_share(received, used, rejected)
    why = ", ".join(f"{reason} {count:,}" for reason, count in sorted(rejected.items())) or "none"
    metadata: dict[str, float | int | str] = {"received": received, "used": used}
    metadata |= {} if share is None else {"used_share": share}
    text = f"{used:,} of {received:,} rows used; rejected: {why}"
    return Outcome("used_rows", share is None or not ended or share >= least, text, metadata)


def readable_rows(received: int, rejected: Mapping[str, int]) -> Outcome:
    """Whether few rows were unreadable. A share of used rows hides them where a source lists many rows without data."""
    spoilt = {reason: count for reason, count in sorted(rejected.items()) if reason in SPOILT_ROWS}
    rows = Odd(sum(spoilt.values()), received)
    listed = ", ".join(f"{reason} {count:,}" for reason, count in spoilt.items())
    text = f"rows that could not be read: {rows}" + (f" ({listed})" if spoilt else "")
    return Outcome("readable_rows", not rows.is_too_many(MANY_NULLED), text, {"unreadable_rows": rows.cells})


def agreement(used: int, rejected: Mapping[str, int], forward_only: bool) -> tuple[Outcome, Outcome]:
    """Whether rows of the same station and time agree: the outcome that blocks, and the one that reports."""
    rows = Odd(rejected.get(DISAGREEING, 0), used)
    text = f"rows that disagree with a used one: {rows}"
    metadata: dict[str, float | int | str] = {DISAGREEING: rows.cells, "used": used}
    return (
        Outcome("contradicted_rows", forward_only or not rows.is_too_many(MOST_DISAGREEING), text, metadata),
        Outcome("agreeing_rows", not rows.is_too_many(MANY_DISAGREEING), text, metadata),
    )


def extremes(frame: pd.DataFrame, dataset: Dataset) -> tuple[Outcome, Outcome]:
    """Whether each lowest and highest value is one: the outcome that blocks, and the one that reports."""
    beyond: dict[str, Odd] = {}
    for column in dataset.columns:
        if column.extreme_of is None:
            continue
        own, other = frame[column.name], frame[column.extreme_of]
        wrong = own > other if column.day_rule == "min" else own < other
        if rows := int(wrong.sum()):
            first = int(wrong.to_numpy().argmax())
            example = f"{own.iloc[first]} and a {column.extreme_of} of {other.iloc[first]}"
            beyond[column.name] = Odd(rows, int((own.notna() & other.notna()).sum()), example)
    text = "; ".join(f"{name}: {odd}" for name, odd in beyond.items()) or "every extreme is one"
    metadata: dict[str, float | int | str] = {f"beyond_{name}": odd.cells for name, odd in beyond.items()}
    most, many = (not any(odd.is_too_many(share) for odd in beyond.values()) for share in (MOST_BEYOND, MANY_BEYOND))
    return Outcome("extremes", most, text, metadata), Outcome("agreeing_extremes", many, text, metadata)


def promised(observed: Mapping[str, int]) -> Outcome:
    empty = sorted(name for name, count in observed.items() if not count)
    text = f"without one value: {', '.join(empty)}" if empty else f"all of {', '.join(sorted(observed))} have values"
    return Outcome("promised_columns", not empty, text, {"empty_columns": ", ".join(empty)})


def nulled_values(nulled: Mapping[str, int], used: int) -> Outcome:
    """Whether few values were nulled, except those that the source itself marks as doubtful or missing."""
    spoilt = nulled_by_field(nulled, {*UNREADABLE, IMPLAUSIBLE, FUTURE})
    many = {name: Odd(cells, used) for name, cells in spoilt.items() if Odd(cells, used).is_too_many(MANY_NULLED)}
    listed = "; ".join(f"{name}: {cells}" for name, cells in sorted(many.items()))
    metadata: dict[str, float | int | str] = {"nulled": sum(nulled.values()), **nulled}
    return Outcome("nulled_values", not many, listed or f"{sum(spoilt.values()):,} cells could not be used", metadata)


def unique(frame: pd.DataFrame, dataset: Dataset) -> Outcome:
    repeated = frame.loc[frame.duplicated(list(dataset.key)), "date"]
    text = f"{len(repeated)} repeated dates, such as {repeated.iloc[0]}" if len(repeated) else "no date appears twice"
    return Outcome("unique_dates", repeated.empty, text, {"repeated": len(repeated)})


def inside(frame: pd.DataFrame, month: Month, timezone: str) -> Outcome:
    start, end = month.bounds(timezone)
    outside = frame.loc[(frame["date"] < start) | (frame["date"] >= end), "date"]
    text = f"{len(outside)} rows outside {month}, such as {outside.iloc[0]}" if len(outside) else f"all rows in {month}"
    return Outcome("inside_month", outside.empty, text, {"outside": len(outside)})
