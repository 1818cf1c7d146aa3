"""Plans of answers: the months of a range and their versions. Belongs here: making a plan from the ledger's rows.

Does not: reading segments or frames (segments.py, versions.py). Whole months are served as stored; only months at the
range's edges are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from math import floor
from zoneinfo import ZoneInfo

from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName
from city_data.store.cache import name_of
from city_data.store.snapshot_ids import SnapshotId, StoredVersion, digest
from city_data.window import Interval, Month


@dataclass(frozen=True)
class MonthSlice:
    """A month to serve: whole, or from `start` on and before `end` where the range's edge cuts it.

    Equal slices have equal bytes: `identity` names the version, and the entry's other fields do not count.
    """

    entry: StoredVersion = field(compare=False)
    start: datetime | None
    end: datetime | None
    identity: str

    @cached_property
    def name(self) -> str:
        """The cache key of the slice's bytes. A text, because its hash is computed once, that of a dataclass on each
        lookup.
        """
        return self.identity if self.whole else f"{self.identity} {self.start} {self.end}"

    @cached_property
    def stored_name(self) -> str:
        """The key in Redis of the whole month, as the platform stores it."""
        return name_of(self.entry.dataset, self.entry.city_id, self.entry.month, self.version)

    @property
    def zstd_name(self) -> str:
        """The key in Redis of the whole month in zstd."""
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
    """The months of an answer. `coverage` is 0..1 over the requested range; `missing` are its months without data.

    `snapshot` has the versions of the months; `tag` identifies the answer."""

    city: City
    dataset: DatasetName
    interval: Interval
    slices: tuple[MonthSlice, ...]
    missing: tuple[Month, ...]
    coverage: float
    snapshot: SnapshotId
    tag: str

    @property
    def coverage_text(self) -> str:
        """Rounded down, so that 1.0000 means no gap at all."""
        return f"{floor(self.coverage * 10_000) / 10_000:.4f}"

    @property
    def entries(self) -> list[StoredVersion]:
        return [month_slice.entry for month_slice in self.slices]

    @property
    def stem(self) -> str:
        """The name of the records' file: city, dataset, first and last local day."""
        zone = ZoneInfo(self.city.timezone)
        ends = self.interval.start, self.interval.end - timedelta(microseconds=1)
        return "_".join([self.city.city_id, self.dataset, *(f"{end.astimezone(zone):%Y-%m-%d}" for end in ends)])


def loaded_at(month_slices: Sequence[MonthSlice]) -> dict[tuple[Month, int], datetime | None]:
    """The versions that the slices belong to, each with the time of its load."""
    return {(one.entry.month, one.version): one.entry.loaded_at for one in month_slices}


def whole_month(entry: StoredVersion) -> MonthSlice:
    return MonthSlice(entry, None, None, entry.identity)


@lru_cache(maxsize=20_000)
def _bounds(month: Month, timezone: str) -> tuple[datetime, datetime]:
    return month.bounds(timezone)


def plan(
    city: City,
    dataset: DatasetName,
    interval: Interval,
    entries: Mapping[Month, StoredVersion],
    whole: Callable[[StoredVersion], MonthSlice] = whole_month,
) -> Plan:
    """The plan of an interval; `entries` are the city's and dataset's months, as ledger rows or stored versions."""
    slices: list[MonthSlice] = []
    missing: list[Month] = []
    requested_s = covered_s = 0.0
    last = Month.at(interval.end, city.timezone)
    for month in Month.at(interval.start, city.timezone).until(last + 1):
        start, end = _bounds(month, city.timezone)
        overlap = (min(end, interval.end) - max(start, interval.start)).total_seconds()
        if overlap <= 0:  # the range ends where this month begins
            continue
        requested_s += overlap
        entry = entries.get(month)
        if entry is None or not entry.has_data:
            missing.append(month)
            continue
        covered_s += overlap * (entry.coverage or 0.0)
        cut_start = interval.start if interval.start > start else None
        cut_end = interval.end if interval.end < end else None
        is_cut = cut_start is not None or cut_end is not None
        slices.append(MonthSlice(entry, cut_start, cut_end, entry.identity) if is_cut else whole(entry))
    identities = [month_slice.identity for month_slice in slices]
    months = {month_slice.entry.month: month_slice.version for month_slice in slices}
    tag = hashlib.sha256("\n".join(identities).encode())
    # A version's bytes depend on the columns of this release: an added column changes the answer.
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
        slices=tuple(slices),
        missing=tuple(missing),
        coverage=covered_s / requested_s if requested_s else 0.0,
        snapshot=SnapshotId(city.city_id, {dataset: months}, digest(identities)),
        tag=tag.hexdigest()[:32],
    )
