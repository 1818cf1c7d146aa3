"""Coverage of a month: expected and observed values by column, by month and by local day; the share of used rows.

Belongs here: counting, and reading the counts back. Does not: checks of the counts (checks.py), or reports (cli/).

A month's coverage is the mean of its measured columns' shares of the values that the source promises. Text such as a
description is not a measurement and does not count, nor does a column that is sent on request alone. So one empty
column of five costs a fifth: the best column alone would hide it, and the worst alone would call a month without
pressure worthless.

Compact, as the ledger keeps it: `{"expected": [24, 23, ...], "observed": {"temperature": [24, 22, ...], ...}}`, one
number a local day from the first on. A column that the source does not give at all is left out, since no
values of it are expected: every gap is then a fault of the source or of ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import floor
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from city_data.datasets import Dataset
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

Days = Mapping[str, Any]
# Rows that repeat others, or are of stations that were not requested: the month is complete without them. A row that
# disagrees with another is one of them, since its station and time have a value; whether it is the right one is a
# question of its own (checks.py: `agreeing_rows`, `contradicted_rows`).
NOT_MISSED = ("duplicate", "disagreeing", "unmoved_stamp", "other_station")


@dataclass(frozen=True)
class Coverage:
    """Values of one column in some stretch of time."""

    expected: int
    observed: int

    @property
    def percent(self) -> float | None:
        """Rounded down to two digits, so that 100.0 means without any gap; None if no value is expected."""
        return floor(self.observed / self.expected * 10_000) / 100 if self.expected else None


def share(frame: pd.DataFrame, dataset: Dataset, given: Collection[str], expected_rows: int) -> float:
    """The month's coverage (0..1); `given` are the columns that the source gives; 0 if none of them is measured."""
    counts = [int(frame[name].notna().sum()) for name in dataset.promised_names if name in given]
    if not counts or not expected_rows:
        return 0.0
    return sum(min(1.0, count / expected_rows) for count in counts) / len(counts)


def used_share(received: int, used: int, rejected: Mapping[str, int]) -> float | None:
    """The used share (0..1) of the source's rows, repeats left out; None if it sent none."""
    own = received - sum(rejected.get(reason, 0) for reason in NOT_MISSED)
    return used / own if own > 0 else None


def empty_columns(days: Days, dataset: Dataset) -> list[str]:
    """The promised columns that the source gives and of which the month has no value; none where a month has no counts.

    Words are not among them: a station writes them down when there is something to tell, and a dry month has none.
    """
    observed = days.get("observed", {})
    return [name for name in dataset.promised_names if name in observed and not any(observed[name])]


def known(frame: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Where each column is known: it has a value, or its flag says that none exists."""
    there = frame[dataset.column_names].notna()
    for column in dataset.columns:
        if column.none_where is not None:
            flag, none = column.none_where
            there[column.name] |= frame[flag].eq(none)
    return there


def by_day(
    frame: pd.DataFrame, dataset: Dataset, given: Collection[str], month: Month, stamps: Sequence[datetime], zone: str
) -> dict[str, Any]:
    """The compact counts of `frame` (canonical). `given` are the columns that the source gives, `stamps` every `date`
    that a whole month has."""
    days, local = len(month.days()), ZoneInfo(zone)
    expected = [0] * days
    for stamp in stamps:
        expected[stamp.astimezone(local).day - 1] += len(dataset.key_values)
    start, end = month.bounds(zone)
    inside = frame[(frame["date"] >= start) & (frame["date"] < end)]
    day = inside["date"].dt.tz_convert(zone).dt.day
    names = [name for name in dataset.column_names if name in given]
    counts = known(inside, dataset)[names].groupby(day).sum().reindex(range(1, days + 1), fill_value=0)
    return {"expected": expected, "observed": {name: counts[name].astype(int).tolist() for name in names}}


def of_month(days: Days, dataset: Dataset) -> dict[str, Coverage]:
    """Every column of the dataset over the whole month; nothing where a month has no counts."""
    if not days:
        return {}
    expected = sum(days["expected"])
    return {
        name: Coverage(expected, sum(days["observed"][name])) if name in days["observed"] else Coverage(0, 0)
        for name in dataset.column_names
    }


def of_days(days: Days, dataset: Dataset, month: Month) -> Iterator[tuple[date, dict[str, Coverage]]]:
    """Every local day of the month, with the dataset's columns that its source gives."""
    given = {name: days["observed"][name] for name in dataset.column_names if name in days.get("observed", ())}
    for n, expected in enumerate(days.get("expected", ())):
        counts = {name: Coverage(expected, observed[n]) for name, observed in given.items()}
        yield month.days()[n], counts
