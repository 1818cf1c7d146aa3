"""The versions of months. Belongs here: a cache of the ledger and of stored versions, at most `ttl_s` old.

Does not: segments (bodies/reader.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import anyio.to_thread
from anyio import CapacityLimiter

from api.caching import LruCache, SingleFlight
from city_data.datasets import DatasetName
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, read_months
from city_data.store.versions import Version, read_versions
from city_data.window import Month

Months = Mapping[Month, MonthEntry]
_REMEMBERED = 1_000  # pairs of city and dataset; their months are small


class Versions:
    """One indexed query for each city and dataset, cached for `ttl_s` and shared by concurrent callers."""

    def __init__(
        self,
        database: Database,
        limiter: CapacityLimiter,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._limiter = limiter
        self._ttl_s = ttl_s
        self._clock = clock
        self._known: LruCache[tuple[str, DatasetName], tuple[float, Months]] = LruCache(_REMEMBERED)
        self._flights: SingleFlight[tuple[str, DatasetName], Months] = SingleFlight()
        self._stored: LruCache[tuple[str, DatasetName], tuple[float, Sequence[Version]]] = LruCache(_REMEMBERED)
        self._stored_flights: SingleFlight[tuple[str, DatasetName], Sequence[Version]] = SingleFlight()

    async def months(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Months:
        """The ledger's rows by month, oldest first. Raises DatabaseUnavailable: an expired entry is never served."""
        known = None if fresh else self.cached_months(city_id, dataset)
        if known is not None:
            return known
        key = (city_id, dataset)
        return await self._flights.do(key, lambda: self._read(key))

    def cached_months(self, city_id: str, dataset: DatasetName) -> Months | None:
        """The result of `months`, if it is cached and recent enough."""
        known = self._known.get((city_id, dataset))
        return known[1] if known is not None and self._clock() - known[0] < self._ttl_s else None

    async def stored_versions(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Sequence[Version]:
        """Every stored version, sorted by month and version. Raises DatabaseUnavailable."""
        key = (city_id, dataset)
        known = None if fresh else self._stored.get(key)
        if known is not None and self._clock() - known[0] < self._ttl_s:
            return known[1]
        return await self._stored_flights.do(key, lambda: self._read_stored(key))

    async def _read_stored(self, key: tuple[str, DatasetName]) -> Sequence[Version]:
        read_at = self._clock()
        versions = await anyio.to_thread.run_sync(
            lambda: read_versions(self._database, dataset=key[1], city_id=key[0]), limiter=self._limiter
        )
        self._stored.put(key, (read_at, versions), 1)
        return versions

    async def _read(self, key: tuple[str, DatasetName]) -> Months:
        read_at = self._clock()
        city_id, dataset = key
        entries = await anyio.to_thread.run_sync(
            lambda: read_months(self._database, city_id=city_id, dataset=dataset), limiter=self._limiter
        )
        months: Months = {entry.month: entry for entry in entries}
        before = self._known.get(key)
        if before is not None and before[1] == months:
            months = before[1]  # the same object, which tells plans that nothing has changed
        self._known.put(key, (read_at, months), 1)
        return months

    async def any_data(self, city_ids: set[str]) -> bool:
        """Whether any of these cities has a month with data. Not cached: called only until it is true."""
        entries = await anyio.to_thread.run_sync(lambda: read_months(self._database), limiter=self._limiter)
        return any(entry.has_data and entry.city_id in city_ids for entry in entries)
