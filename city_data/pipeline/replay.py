"""Offline replay: months rebuilt from the raw archive after a parser fix, compared with the served ones.

Belongs here: rebuilding and comparing. Does not: the network, ever; publishing, which is an ordinary run of `monthly`
and `cache` (operations/backfill.py), so that ledger, checks and UI show it as any other load.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from city_data.cities import RegistryError
from city_data.datasets import Dataset
from city_data.pipeline.feeds import Feed
from city_data.providers.base import ProviderError
from city_data.store.raw import ArchiveError, RawArchive
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.store.database import Database
    from city_data.store.ledger import MonthEntry

# `refused` by the checks, `broken` where the bytes cannot be parsed or are missing: neither would be published.
Outcome = Literal["unchanged", "changed", "not_archived", "refused", "broken"]
REBUILT_STEPS = ("monthly", "cache")


@dataclass(frozen=True)
class ColumnChange:
    """One column, served and rebuilt. `cells` differ; `largest` is the largest absolute difference of two numbers."""

    cells: int
    mean_before: float | None = None
    mean_after: float | None = None
    largest: float | None = None


@dataclass(frozen=True)
class Rebuilt:
    """The result of one month's replay. `columns` are those that changed; `detail` is why it cannot be published."""

    feed: Feed
    month: Month
    outcome: Outcome
    rows_before: int = 0
    rows_after: int = 0
    columns: Mapping[str, ColumnChange] = field(default_factory=dict)
    detail: str = ""


def rebuild(feed: Feed, month: Month, archive: RawArchive, database: Database) -> Rebuilt:
    """Parse the month's newest archived bytes and compare with the version that is served. Changes nothing.

    Raises DatabaseUnavailable.
    """
    from city_data.frames import canonical
    from city_data.pipeline.build import build_month
    from city_data.store.ledger import read_months

    entries = read_months(database, city_id=feed.city.city_id, dataset=feed.dataset.name, first=month - 1, last=month)
    by_month = {entry.month: entry for entry in entries}
    if month not in archive.months(feed.dataset.name, feed.city.city_id):
        return Rebuilt(feed, month, "not_archived", detail="nothing in the raw archive")
    try:
        built = build_month(feed, month, archive, by_month.get(month - 1))
    except (ArchiveError, ProviderError, RegistryError) as error:
        return Rebuilt(feed, month, "broken", detail=str(error))
    if built.refused:
        why = "; ".join(f"{outcome.name}: {outcome.description}" for outcome in built.refused)
        return Rebuilt(feed, month, "refused", rows_after=len(built.frame), detail=why)
    entry = by_month.get(month)
    digest = canonical.content_sha256(canonical.records(built.frame, feed.dataset))
    if entry is not None and entry.has_data and entry.content_sha256 == digest:
        return Rebuilt(feed, month, "unchanged", len(built.frame), len(built.frame))
    served = _served(feed, month, entry, database)
    return Rebuilt(
        feed, month, "changed", len(served), len(built.frame), columns=compare(served, built.frame, feed.dataset)
    )


def compare(before: pd.DataFrame, after: pd.DataFrame, dataset: Dataset) -> dict[str, ColumnChange]:
    """The columns in which two canonical frames differ; a row that only one has differs wherever it has a value."""
    joined = before.merge(after, on=list(dataset.key), how="outer", suffixes=("_before", "_after"))
    kinds = {column.name: column.kind for column in dataset.columns}
    changes = {}
    for name in dataset.frame_columns[len(dataset.key) :]:
        old, new = joined[f"{name}_before"], joined[f"{name}_after"]
        differs = [not _same(one, other) for one, other in zip(old, new, strict=True)]
        if not any(differs):
            continue
        if kinds.get(name) != "number":
            changes[name] = ColumnChange(sum(differs))
            continue
        gaps = (new.astype("float64") - old.astype("float64")).abs()
        largest = float(gaps.max()) if gaps.notna().any() else None
        changes[name] = ColumnChange(sum(differs), _mean(old), _mean(new), largest)
    return changes


def _served(feed: Feed, month: Month, entry: MonthEntry | None, database: Database) -> pd.DataFrame:
    from city_data.store.series import read_series

    start, end = month.bounds(feed.city.timezone)
    if entry is None or not entry.has_data:
        end = start
    return read_series(database, feed.dataset.name, feed.city.city_id, start, end)


def _same(one: Any, other: Any) -> bool:
    return (_is_missing(one) and _is_missing(other)) or bool(one == other)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # NaN alone is not itself


def _mean(values: pd.Series[Any]) -> float | None:
    return float(values.astype("float64").mean()) if values.notna().any() else None
