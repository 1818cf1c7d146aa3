"""What of a range is held, and by which versions. Belongs here: the pure step from ledger rows to what will be served.

Does not: reading segments (bodies/reader.py). Whole months are served as they are; only months at the range's edges are
cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from math import floor

from api.caching import LruCache
from api.query.interval import Interval
from api.query.snapshot_ids import Held, SnapshotId, digest
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName
from city_data.store.cache import name_of
from city_data.window import Month

_REMEMBERED = 2_000
_PIECES = 50_000


@dataclass(frozen=True)
class MonthSlice:
    """A month to serve: whole, or from `start` on and before `end` where the range's edge cuts it.

    Equal pieces are equal bytes: `identity` names the version, whatever else is known of it.
    """

    entry: Held = field(compare=False)
    start: datetime | None
    end: datetime | None
    identity: str

    @cached_property
    def name(self) -> str:
        """What equal pieces share, to find their bytes by: a text is hashed once, a piece at every look."""
        return self.identity if self.whole else f"{self.identity} {self.start} {self.end}"

    @cached_property
    def stored_name(self) -> str:
        """The key in Redis of the whole month, as the platform stores it."""
        return name_of(self.entry.dataset, self.entry.city_id, self.entry.month, self.version)

    @property
    def zstd_name(self) -> str:
        """The same in zstd."""
        return name_of(self.entry.dataset, self.entry.city_id, self.entry.month, self.version, "/zstd")

    @property
    def whole(self) -> bool:
        return self.start is None and self.end is None

    @property
    def version(self) -> int:
        if self.entry.version is None:
            raise ValueError(f"{self.entry.city_id} {self.entry.month} has no data")
        return self.entry.version


@dataclass(frozen=True)
class Plan:
    """`coverage` is 0..1 over the range asked; `missing` are months of it that hold nothing; `tag` names the answer.

    `snapshot` are the versions that it is made of."""

    city: City
    dataset: DatasetName
    interval: Interval
    pieces: tuple[MonthSlice, ...]
    missing: tuple[Month, ...]
    coverage: float
    snapshot: SnapshotId
    tag: str
    said: dict[str, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def coverage_text(self) -> str:
        """Rounded down, so that 1.0000 is said of nothing that has a hole."""
        return f"{floor(self.coverage * 10_000) / 10_000:.4f}"


class Plans:
    """Plans that were made, each good for as long as its city's months are the very same object (versions.py).

    Whole months are shared between them: a plan of two years is then a few KB, not twenty."""

    def __init__(self) -> None:
        self._made: LruCache[tuple[str, DatasetName, Interval], tuple[Mapping[Month, Held], Plan]]
        self._made = LruCache(_REMEMBERED)
        self._whole: LruCache[str, MonthSlice] = LruCache(_PIECES)

    def plan(self, city: City, dataset: DatasetName, interval: Interval, entries: Mapping[Month, Held]) -> Plan:
        key = (city.city_id, dataset, interval)
        known = self._made.get(key)
        if known is not None and known[0] is entries:
            return known[1]
        made = plan(city, dataset, interval, entries, self._piece)
        self._made.put(key, (entries, made), 1)
        return made

    def _piece(self, entry: Held) -> MonthSlice:
        known = self._whole.get(entry.identity)
        if known is None or known.entry is not entry:
            known = _whole(entry)
            self._whole.put(entry.identity, known, 1)
        return known


def _whole(entry: Held) -> MonthSlice:
    return MonthSlice(entry, None, None, entry.identity)


@lru_cache(maxsize=20_000)
def _bounds(month: Month, timezone: str) -> tuple[datetime, datetime]:
    return month.bounds(timezone)


def plan(
    city: City,
    dataset: DatasetName,
    interval: Interval,
    entries: Mapping[Month, Held],
    whole: Callable[[Held], MonthSlice] = _whole,
) -> Plan:
    """`entries` are this city's and dataset's months, each as its ledger row or as a kept version."""
    pieces: list[MonthSlice] = []
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
        cut_start = interval.start if interval.start > start else None
        cut_end = interval.end if interval.end < end else None
        is_cut = cut_start is not None or cut_end is not None
        pieces.append(MonthSlice(entry, cut_start, cut_end, entry.identity) if is_cut else whole(entry))
    identities = [piece.identity for piece in pieces]
    months = {piece.entry.month: piece.version for piece in pieces}
    tag = hashlib.sha256("\n".join(identities).encode())
    # A version's bytes are those of the columns of this release: a column more is another answer.
    named = (
        city.city_id,
        dataset,
        DATASETS[dataset].columns_digest,
        interval.start.isoformat(),
        interval.end.isoformat(),
    )
    tag.update(f"\n{'/'.join(named)}".encode())
    return Plan(
        city=city,
        dataset=dataset,
        interval=interval,
        pieces=tuple(pieces),
        missing=tuple(missing),
        coverage=covered / asked if asked else 0.0,
        snapshot=SnapshotId(city.city_id, {dataset: months}, digest(identities)),
        tag=tag.hexdigest()[:32],
    )
