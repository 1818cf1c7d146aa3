"""The versions of months, and the providers that they come from: reads of the store, at most `ttl_s` old.

Belongs here: the queries. Does not: segments (bodies/reader.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio.to_thread
from anyio import CapacityLimiter

from api.caching import RecentReads
from city_data.datasets import DatasetName
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, read_months
from city_data.store.provider_facts import ProviderFacts, read_providers
from city_data.store.versions import Version, read_versions
from city_data.window import Month

Months = Mapping[Month, MonthEntry]
_Key = tuple[str, DatasetName]


class Versions:
    """One indexed query for each city and dataset, and one for all providers. Its methods raise DatabaseUnavailable."""

    def __init__(self, database: Database, limiter: CapacityLimiter, ttl_s: float) -> None:
        self._database, self._limiter = database, limiter
        self._months: RecentReads[_Key, Months] = RecentReads(self._read_months, limiter, ttl_s)
        self._stored: RecentReads[_Key, Sequence[Version]] = RecentReads(
            lambda key: read_versions(database, city_id=key[0], dataset=key[1]), limiter, ttl_s
        )
        self._providers: RecentReads[None, Mapping[str, ProviderFacts]] = RecentReads(
            lambda _: read_providers(database), limiter, ttl_s
        )

    async def months(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Months:
        """The ledger's rows by month, oldest first."""
        return await self._months.get((city_id, dataset), fresh=fresh)

    def cached_months(self, city_id: str, dataset: DatasetName) -> Months | None:
        """The result of `months`, if it is cached and recent enough."""
        return self._months.cached((city_id, dataset))

    async def stored_versions(self, city_id: str, dataset: DatasetName, *, fresh: bool = False) -> Sequence[Version]:
        """Every stored version, sorted by month and version."""
        return await self._stored.get((city_id, dataset), fresh=fresh)

    async def providers(self) -> Mapping[str, ProviderFacts]:
        """The recorded facts of all providers, by name."""
        return await self._providers.get(None)

    async def any_data(self, city_ids: set[str]) -> bool:
        """Whether any of these cities has a month with data. Not cached: called only until it is true."""
        entries = await anyio.to_thread.run_sync(lambda: read_months(self._database), limiter=self._limiter)
        return any(entry.has_data and entry.city_id in city_ids for entry in entries)

    def _read_months(self, key: _Key) -> Months:
        city_id, dataset = key
        return {entry.month: entry for entry in read_months(self._database, city_id=city_id, dataset=dataset)}
