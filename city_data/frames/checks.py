"""The checks of a month, built from datasets.py: what must hold before it is published.

Belongs here: the judgement of one canonical frame. Does not: comparing it
with other months (pipeline/drift.py), Dagster's events (defs/assets/monthly.py), or provider formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from city_data.datasets import Dataset
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

# Below this share of expected rows an ended month is not published: half a month trains a model on a gap.
MINIMUM_COVERAGE = 0.5

BLOCKING = {
    "coverage": f"At least {MINIMUM_COVERAGE:.0%} of the expected rows of an ended month have a value; one that was "
    "collected from a live feed is taken as it is",
    "plausible_ranges": "Every value lies within the plausible range that datasets.py states",
    "unique_dates": "No date appears twice",
    "inside_month": "Every row lies inside the month in the city's time zone",
}


@dataclass(frozen=True)
class Outcome:
    """What one check found. `metadata` holds plain values."""

    name: str
    passed: bool
    description: str
    metadata: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def blocking(self) -> bool:
        return self.name in BLOCKING


def evaluate(
    frame: pd.DataFrame,
    dataset: Dataset,
    month: Month,
    timezone: str,
    expected_rows: int,
    ended: bool,
    forward_only: bool = False,
) -> list[Outcome]:
    """Judge a canonical frame (before null rows are added); one outcome a check."""
    return [
        _coverage(frame, dataset, expected_rows, ended, forward_only),
        _ranges(frame, dataset),
        _unique(frame),
        _inside(frame, month, timezone),
    ]


def coverage(frame: pd.DataFrame, dataset: Dataset, expected_rows: int) -> float:
    """The share (0..1) of expected rows that have at least one value."""
    return (
        min(1.0, int(frame[dataset.column_names].notna().any(axis=1).sum()) / expected_rows) if expected_rows else 0.0
    )


def _coverage(frame: pd.DataFrame, dataset: Dataset, expected_rows: int, ended: bool, forward_only: bool) -> Outcome:
    """What a source of the present alone did not give in time is gone: refusing the rest would help nobody."""
    share = coverage(frame, dataset, expected_rows)
    note = " (collected, nothing more can come)" if forward_only else ""
    return Outcome(
        "coverage",
        passed=forward_only or (share > 0 and (not ended or share >= MINIMUM_COVERAGE)),
        description=f"{share:.1%} of {expected_rows} expected rows have a value" + (note if ended else " (open month)"),
        metadata={"coverage": share, "expected_rows": expected_rows, "rows": len(frame)},
    )


def _ranges(frame: pd.DataFrame, dataset: Dataset) -> Outcome:
    import pandera.pandas as pa

    def rule(name: str) -> pa.Column:
        column = next(column for column in dataset.columns if column.name == name)
        if column.allowed is not None:
            return pa.Column(object, pa.Check.isin(column.allowed), nullable=True)
        if column.kind == "text":
            return pa.Column(object, nullable=True)
        bounds = [pa.Check.ge(column.low)] if column.low is not None else []
        bounds += [pa.Check.le(column.high)] if column.high is not None else []
        return pa.Column(float, bounds, nullable=True)

    try:
        pa.DataFrameSchema({name: rule(name) for name in dataset.column_names}).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        worst = "; ".join(
            f"{name}: {len(group)} rows, such as {group['failure_case'].iloc[0]}"
            for name, group in cases.groupby("column")
        )
        return Outcome("plausible_ranges", False, worst, {"rows_outside": len(cases)})
    return Outcome("plausible_ranges", True, "all values are plausible", {"rows_outside": 0})


def _unique(frame: pd.DataFrame) -> Outcome:
    repeated = frame.loc[frame["date"].duplicated(), "date"]
    text = f"{len(repeated)} repeated dates, such as {repeated.iloc[0]}" if len(repeated) else "no date appears twice"
    return Outcome("unique_dates", repeated.empty, text, {"repeated": len(repeated)})


def _inside(frame: pd.DataFrame, month: Month, timezone: str) -> Outcome:
    start, end = month.bounds(timezone)
    outside = frame.loc[(frame["date"] < start) | (frame["date"] >= end), "date"]
    found = (
        f"{len(outside)} rows outside {month}, such as {outside.iloc[0]}" if len(outside) else f"all rows in {month}"
    )
    return Outcome("inside_month", outside.empty, found, {"outside": len(outside)})
