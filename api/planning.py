"""What of a range is held, and by which versions. Belongs here: the pure step from ledger rows to what will be served.

Does not: reading segments (reading.py). Whole months are served as they are; only months at the range's edges are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from math import floor

from api.ranges import Interval
from city_data.cities import City
from city_data.datasets import DatasetName
from city_data.store.ledger import MonthEntry
from city_data.window import Month

NO_DATA = "none"


@dataclass(frozen=True)
class Piece:
    """A month to serve: `whole`, or cut at the range's edge."""

    entry: MonthEntry
    whole: bool

    @property
    def version(self) -> int:
        if self.entry.version is None:
            raise ValueError(f"{self.entry.city_id} {self.entry.month} has no data")
        return self.entry.version

    @property
    def identity(self) -> str:
        """Which bytes: the version, and when and what it was, for a month that was dropped and loaded anew."""
        entry = self.entry
        loaded = entry.loaded_at.isoformat() if entry.loaded_at else ""
        return f"{entry.dataset}/{entry.city_id}/{entry.month}/{entry.version}/{entry.content_sha256}/{loaded}"


@dataclass(frozen=True)
class Plan:
    """`coverage` is 0..1 over the range asked; `missing` are months of it that hold nothing; `tag` names the answer."""

    city: City
    dataset: DatasetName
    interval: Interval
    pieces: tuple[Piece, ...]
    missing: tuple[Month, ...]
    coverage: float
    data_version: str
    tag: str

    @property
    def coverage_text(self) -> str:
        """Rounded down, so that 1.0000 is said of nothing that has a hole."""
        return f"{floor(self.coverage * 10_000) / 10_000:.4f}"


@lru_cache(maxsize=20_000)
def _bounds(month: Month, timezone: str) -> tuple[datetime, datetime]:
    return month.bounds(timezone)


def plan(city: City, dataset: DatasetName, interval: Interval, entries: Mapping[Month, MonthEntry]) -> Plan:
    """`entries` are the ledger's rows of this city and dataset."""
    pieces: list[Piece] = []
    missing: list[Month] = []
    asked = covered = 0.0
    last = Month.at(interval.end, city.timezone)
    for month in Month.at(interval.start, city.timezone).until(last + 1):
        start, end = _bounds(month, city.timezone)
        overlap = (min(end, interval.end) - max(start, interval.start)).total_seconds()
        if overlap <= 0:  # the range ends where this month begins
            continue
        asked += overlap
        entry = entries.get(month)
        if entry is None or not entry.has_data:
            missing.append(month)
            continue
        covered += overlap * (entry.coverage or 0.0)
        pieces.append(Piece(entry, whole=interval.start <= start and end <= interval.end))
    versions = hashlib.sha256("\n".join(piece.identity for piece in pieces).encode())
    tag = versions.copy()
    tag.update(f"\n{city.city_id}/{dataset}/{interval.start.isoformat()}/{interval.end.isoformat()}".encode())
    return Plan(
        city=city,
        dataset=dataset,
        interval=interval,
        pieces=tuple(pieces),
        missing=tuple(missing),
        coverage=covered / asked if asked else 0.0,
        data_version=versions.hexdigest()[:16] if pieces else NO_DATA,
        tag=tag.hexdigest()[:32],
    )
