"""One column of a dataset: its kind, unit, plausible range, and the value of a day made of hours.

Belongs here: what a column declares. Does not: the columns of any dataset (datasets.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "text", "integer", "flag"]
DayRule = Literal["mean", "sum", "min", "max", "worst"]


@cache
def arrow_type(kind: Kind) -> pa.DataType:
    """The Arrow type of a column's values, stored and in frames."""
    import pyarrow as pa

    return {"number": pa.float64(), "text": pa.string(), "integer": pa.int64(), "flag": pa.bool_()}[kind]


@dataclass(frozen=True)
class Column:
    """One value column. `low` and `high` are inclusive plausible bounds, in `unit`; missing is NULL, never 0.

    Numbers are rounded to `decimals` digits, so that a value has one spelling and a reload is byte-identical.
    An integer is a whole number that is never rounded, a flag is true or false.
    `day_rule` makes a day of hours: by the mean, which another column may `weight`; by the sum; by the lowest or the
    highest value; or by the worst of `allowed`, which stand from best to worst. Of other texts, integers and flags a
    day made of hours has no value.
    `extreme_of` is the column whose hours have a period's lowest or highest value where the source has none of its own.
    An `on_request` column is in frames, in files of months and in records that name it. Few stations measure all of
    these, so they count neither in a month's coverage nor as missed when they are empty.
    A NULL means that the value is not known. `none_where` is a flag of the dataset and its value, where a NULL means
    that none exists: no holiday on a day of which `public_holiday_known` is true.
    Stored versions of months keep the columns of their load: a column added since is NULL in them. A column's kind and
    unit never change, since stored values keep theirs; a column with another name takes its place.
    """

    name: str
    kind: Kind
    unit: str | None
    description: str
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] | None = None
    decimals: int = 2
    example: float | str | bool | None = None
    day_rule: DayRule = "mean"
    weight: str | None = None
    extreme_of: str | None = None
    on_request: bool = False
    none_where: tuple[str, bool] | None = None

    @property
    def example_value(self) -> float | str | bool:
        """`example`, or a value of the column's kind and range."""
        if self.example is not None:
            return self.example
        if self.kind == "text":
            return self.allowed[0] if self.allowed else self.name.replace("_", " ")
        if self.kind == "flag":
            return False
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        middle = sum(bounds) / max(len(bounds), 1)
        return int(middle) if self.kind == "integer" else round(middle, self.decimals) + 0.0

    @property
    def is_measured(self) -> bool:
        """Whether every row of a source should have a value: all but free text, which has its occasions."""
        return self.kind != "text" or self.allowed is not None
