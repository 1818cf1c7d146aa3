"""Aggregation of hourly values to local days, or to parts of them: the one rule for every value computed from hours.

Belongs here: the rule, which `raw_data` states. Does not: the choice of a source (pipeline/fetch.py), or
requests for days (api/).

- A column needs MINIMUM_HOURS hours with a value, else the day is NULL; a day of a clock change has 23 or 25. What a
  part of a day needs stands in grids.py.
- Each column's own rule (datasets.py) makes the value: mean, sum, min, max or worst. Numbers are rounded as every
  stored one is.
- A mean is weighted where that many hours have both value and weight and the weights are not all 0, else a plain mean.
- A text without an order, such as weather's description, an integer or a flag is NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from math import fsum
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from city_data.columns import Column, DayRule
from city_data.datasets import Dataset
from city_data.window import day_bounds

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_HOURS = 20
Values = Sequence[Any]
Period = TypeVar("Period", bound=Hashable)
_OF_NUMBERS: Mapping[DayRule, Callable[[list[float]], float]] = {"sum": fsum, "min": min, "max": max}


def day_columns(
    dataset: Dataset, dates: Sequence[datetime], hours: Mapping[str, Values], timezone: str
) -> dict[str, list[Any]]:
    """`hours` has the dataset's columns, None for what is missing, and `source`, in the order of `dates` (aware).

    Gives `date` (the day's UTC start), the same columns, `source` (the first hour's), and `hours`: how many of the
    day's hours have a value, in that column of a record which has most. Hours with other values of the key columns are
    another row.
    """
    zone, others = ZoneInfo(timezone), dataset.key[1:]
    keys = zip(dates, *(hours[name] for name in others), strict=True)
    rows = [(moment.astimezone(zone).date(), *values) for moment, *values in keys]
    order = sorted(range(len(rows)), key=rows.__getitem__)
    ordered = {name: [hours[name][n] for n in order] for name in (*dataset.column_names, "source")}
    columns = period_columns(dataset, [rows[n] for n in order], ordered, lambda _: MINIMUM_HOURS)
    periods = columns.pop("period")
    key = {name: [period[n] for period in periods] for n, name in enumerate(dataset.key)}
    return {**key, "date": [day_bounds(day, timezone)[0] for day in key["date"]], **columns}


def period_columns(
    dataset: Dataset, periods: Sequence[Period], hours: Mapping[str, Values], fewest: Callable[[Period], int]
) -> dict[str, list[Any]]:
    """`day_columns` of any periods: `periods` names each hour's, `fewest` gives how many hours with a value one needs.

    The hours of a period stand together. Gives `period` instead of the key.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("period", *dataset.column_names, "source", "hours")}
    for period, positions in groupby(range(len(periods)), key=periods.__getitem__):
        inside = list(positions)
        values = {name: [hours[name][n] for n in inside] for name in dataset.column_names}
        columns["period"].append(period)
        columns["source"].append(hours["source"][inside[0]])
        counts = [sum(value is not None for value in values[name]) for name in dataset.record_columns]
        columns["hours"].append(max(counts))
        for column in dataset.columns:
            columns[column.name].append(_rounded(column, _value(column, values, fewest(period))))
    return columns


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
            "raw_data": pd.Series([{**rule, "hours": count} for count in days["hours"]], dtype=object),
        }
    )


def _rounded(column: Column, value: Any) -> Any:
    """To the column's digits, as `frames.canonical` does: a half goes to the even digit."""
    if column.kind != "number" or value is None:
        return value
    scale = 10**column.decimals
    return round(value * scale) / scale


def _value(column: Column, values: Mapping[str, Values], fewest: int) -> Any:
    known = [value for value in values[column.name] if value is not None]
    if len(known) < fewest:
        return None
    if column.day_rule == "worst" and column.allowed is not None:
        return max(known, key=column.allowed.index)
    if column.kind != "number":
        return None
    if column.day_rule in _OF_NUMBERS:
        return _OF_NUMBERS[column.day_rule](known)
    if column.weight is not None:
        pairs = zip(values[column.name], values[column.weight], strict=True)
        both = [(value, weight) for value, weight in pairs if value is not None and weight is not None]
        total = fsum(weight for _, weight in both)
        if len(both) >= fewest and total > 0:
            return fsum(value * weight for value, weight in both) / total
    return fsum(known) / len(known)
