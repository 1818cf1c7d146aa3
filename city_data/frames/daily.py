"""Aggregation of hourly values to local days, or to parts of them: the one rule for every value computed from hours.

Belongs here: the rule, which `raw_data` states. Does not: the choice of a source (pipeline/fetch.py), or
requests for days (api/).

- A column needs MINIMUM_HOURS hours with a value, else the day is NULL; a day of a clock change has 23 or 25. What a
  part of a day needs stands in grids.py.
- Each column's own rule (datasets.py) makes the value: mean, sum, min, max or worst. Numbers are rounded as every
  stored one is.
- A period without any lowest or highest value takes that of its hours' `extreme_of`, as hourly sources do not measure
  an hour's extremes: the lowest hour is the best known lowest of the day. `of_hours` names the columns filled this way.
- A mean is weighted where that many hours have both value and weight and the weights are not all 0, else a plain mean.
- A text without an order, such as weather's description, an integer or a flag is NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from math import fsum
from operator import mul
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from city_data.columns import Column, DayRule
from city_data.datasets import Dataset
from city_data.window import day_bounds

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_HOURS = 20
OF_HOURS = "of_hours"
Values = Sequence[Any]
_OF_NUMBERS: Mapping[DayRule, Callable[[list[float]], float]] = {
    "mean": lambda known: fsum(known) / len(known),
    "sum": fsum,
    "min": min,
    "max": max,
}


def day_columns(
    dataset: Dataset, dates: Sequence[datetime], hours: Mapping[str, Values], timezone: str
) -> dict[str, list[Any]]:
    """`hours` has the dataset's columns, None for what is missing, and `source`, in the order of `dates` (aware).

    Gives `date` (the day's UTC start), the same columns, `source` (the first hour's), `hours`: how many of the day's
    hours have a value, in that column of a record which has most; and `of_hours`: the day's extremes that are those of
    another column, and its name. Hours with other values of the key columns are another row.
    """
    zone, others = ZoneInfo(timezone), dataset.key[1:]
    named = zip(dates, *(hours[name] for name in others), strict=True)
    rows = [(moment.astimezone(zone).date(), *values) for moment, *values in named]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    ordered = {name: [hours[name][n] for n in order] for name in (*dataset.column_names, "source")}
    keys = [rows[n] for n in order]
    starts = [n for n, key in enumerate(keys) if n == 0 or key != keys[n - 1]]
    bounds = list(pairwise([*starts, len(keys)]))
    columns = period_columns(dataset, bounds, ordered, [MINIMUM_HOURS] * len(bounds))
    counted = [ordered[name] for name in dataset.record_columns]
    columns[OF_HOURS] = _of_other_columns(dataset, bounds, ordered, columns)
    columns["hours"] = [max(end - start - values[start:end].count(None) for values in counted) for start, end in bounds]
    key_columns = {name: [keys[start][n] for start in starts] for n, name in enumerate(dataset.key)}
    return {**key_columns, "date": [day_bounds(day, timezone)[0] for day in key_columns["date"]], **columns}


def period_columns(
    dataset: Dataset, bounds: Sequence[tuple[int, int]], hours: Mapping[str, Values], fewest: Sequence[int]
) -> dict[str, list[Any]]:
    """The dataset's columns and `source`, a value for each period; without hours it has none.

    `hours` may lack columns, which have no value then. `bounds` are the positions of each period's first hour and of
    the one after its last, `fewest` is how many hours with a value it needs.
    """
    columns = {column.name: _combined(column, hours, bounds, fewest) for column in dataset.columns}
    sources = hours["source"]
    return {**columns, "source": [sources[start] if start < end else None for start, end in bounds]}


def daily(frame: pd.DataFrame, dataset: Dataset, timezone: str) -> pd.DataFrame:
    """An hourly frame (`date` UTC, the dataset's numbers, `source`) as days, for a city of daily resolution."""
    import pandas as pd

    numbers = [column.name for column in dataset.columns if column.kind == "number"]
    ordered = frame.sort_values(list(dataset.key), kind="stable")
    hours: dict[str, Values] = {name: [None] * len(ordered) for name in dataset.column_names}
    for name in [name for name in numbers if name in ordered]:
        hours[name] = [None if pd.isna(value) else float(value) for value in ordered[name]]
    hours |= {name: ordered[name].tolist() for name in (*dataset.key[1:], "source")}
    days = day_columns(dataset, list(ordered["date"].dt.to_pydatetime()), hours, timezone)
    rule = {"aggregated_from": "hourly", "day": f"00-24 {timezone}", "modelled": True}
    return pd.DataFrame(
        {
            "date": pd.to_datetime(days["date"], utc=True),
            **{name: days[name] for name in dataset.key[1:]},
            **{name: pd.Series(days[name], dtype="float64") for name in numbers},
            **{name: None for name in dataset.column_names if name not in numbers},
            "source": days["source"],
            "raw_data": pd.Series(
                [
                    {**rule, "hours": n, **of_hours(derived)}
                    for n, derived in zip(days["hours"], days[OF_HOURS], strict=True)
                ],
                dtype=object,
            ),
        }
    )


def of_hours(derived: Mapping[str, str | int]) -> dict[str, Any]:
    """What details say of extremes that are those of another column: its name, or how many they are."""
    return {OF_HOURS: dict(derived)} if derived else {}


def _of_other_columns(
    dataset: Dataset, bounds: Sequence[tuple[int, int]], hours: Mapping[str, Values], columns: Mapping[str, Values]
) -> list[dict[str, str]]:
    """For each period the columns that have a value, and of their own none, with the other column's name."""
    return [
        {
            column.name: column.extreme_of
            for column in dataset.columns
            if column.extreme_of is not None and columns[column.name][n] is not None
            if _is_bare(hours[column.name], start, end)
        }
        for n, (start, end) in enumerate(bounds)
    ]


def _is_bare(values: Values, start: int, end: int) -> bool:
    return values[start:end].count(None) == end - start


def _combined(
    column: Column, hours: Mapping[str, Values], bounds: Sequence[tuple[int, int]], fewest: Sequence[int]
) -> list[Any]:
    """The column's value of each period."""
    own = hours.get(column.name)
    combined = [None] * len(bounds) if own is None else _values(column, own, hours, bounds, fewest)
    if column.extreme_of is None or column.extreme_of not in hours:
        return combined
    others = _values(column, hours[column.extreme_of], hours, bounds, fewest)
    return [
        other if own is None or _is_bare(own, start, end) else value
        for value, other, (start, end) in zip(combined, others, bounds, strict=True)
    ]


def _values(
    column: Column,
    values: Values,
    hours: Mapping[str, Values],
    bounds: Sequence[tuple[int, int]],
    fewest: Sequence[int],
) -> list[Any]:
    """The value that the column's rule makes of these `values` in each period."""
    of_known = _rule(column)
    if of_known is None or values.count(None) == len(values):
        return [None] * len(bounds)
    inside: list[Any] = [values[start:end] for start, end in bounds]
    known = [[v for v in some if v is not None] for some in inside] if None in values else inside
    combined = [of_known(some) if len(some) >= least else None for some, least in zip(known, fewest, strict=True)]
    if (weight := column.weight) is not None and weight in hours:
        weights = [hours[weight][start:end] for start, end in bounds]
        means = map(_weighted_mean, inside, weights, fewest)
        combined = [plain if mean is None else mean for plain, mean in zip(combined, means, strict=True)]
    if column.kind != "number":
        return combined
    scale = 10**column.decimals  # as `frames.canonical` rounds: a half goes to the even digit
    return [None if value is None else round(value * scale) / scale for value in combined]


def _rule(column: Column) -> Callable[[list[Any]], Any] | None:
    """Makes one value of the known ones of a period; None where no rule does."""
    if column.day_rule == "worst" and column.allowed is not None:
        rank = column.allowed.index
        return lambda known: max(known, key=rank)
    return _OF_NUMBERS[column.day_rule] if column.kind == "number" else None


def _weighted_mean(values: Values, weights: Values, fewest: int) -> float | None:
    """None where too few hours have both, or all weights are 0."""
    if None in values or None in weights:
        both = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None and w is not None]
        values, weights = [value for value, _ in both], [weight for _, weight in both]
    total = fsum(weights)
    if len(values) < fewest or total <= 0:
        return None
    return fsum(map(mul, values, weights)) / total
