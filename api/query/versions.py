"""Which versions of which months there are. Belongs here: the ledger as the reader knows it, at most a second old.

Does not: the segments themselves (bodies/reader.py).
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
_REMEMBERED = 1_000  # city-datasets; their months are small


class Versions:
    """One indexed query a city and dataset, remembered for `ttl_s`, and shared by those who ask at once."""

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
        self._kept: LruCache[tuple[str, DatasetName], tuple[float, Sequence[Version]]] = LruCache(_REMEMBERED)
        self._kept_flights: SingleFlight[tuple[str, DatasetName], Sequence[Version]] = SingleFlight()

    async def months(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Months:
        """The ledger's rows by month, oldest first. Raises DatabaseUnavailable: an old answer is never passed off."""
        known = None if fresh else self.remembered(city_id, dataset)
        if known is not None:
            return known
        key = (city_id, dataset)
        return await self._flights.do(key, lambda: self._read(key))

    def remembered(self, city_id: str, dataset: DatasetName) -> Months | None:
        """As `months`, where no question of the ledger is due."""
        known = self._known.get((city_id, dataset))
        return known[1] if known is not None and self._clock() - known[0] < self._ttl_s else None

    async def kept(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Sequence[Version]:
        """Every version that is kept, by month and version. Raises DatabaseUnavailable."""
        key = (city_id, dataset)
        known = None if fresh else self._kept.get(key)
        if known is not None and self._clock() - known[0] < self._ttl_s:
            return known[1]
        return await self._kept_flights.do(key, lambda: self._read_kept(key))

    async def _read_kept(self, key: tuple[str, DatasetName]) -> Sequence[Version]:
        read_at = self._clock()
        versions = await anyio.to_thread.run_sync(
            lambda: read_versions(self._database, dataset=key[1], city_id=key[0]), limiter=self._limiter
        )
        self._kept.put(key, (read_at, versions), 1)
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
            months = before[1]  # the same object, by which plans know that nothing has changed
        self._known.put(key, (read_at, months), 1)
        return months

    async def any_data(self, city_ids: set[str]) -> bool:
        """Whether any of these cities has a month of anything. Not remembered: asked only until it is true."""
        entries = await anyio.to_thread.run_sync(lambda: read_months(self._database), limiter=self._limiter)
        return any(entry.has_data and entry.city_id in city_ids for entry in entries)
