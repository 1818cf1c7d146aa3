"""Sharing of work between requests. Belongs here: single flight, and recent reads of a store.

Does not: the shared values or how they are built (bodies/reader.py, query/versions.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter

from city_data.lru_cache import LruCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
_REMEMBERED = 1_000


class SingleFlight(Generic[K, V]):
    """Concurrent calls with an equal key share one execution. For one event loop."""

    def __init__(self) -> None:
        self._flights: dict[K, asyncio.Future[V]] = {}

    async def do(self, key: K, work: Callable[[], Awaitable[V]]) -> V:
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.ensure_future(work())
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        # Shielded: a cancelled caller must not cancel the work for the others.
        return await asyncio.shield(flight)

    def _landed(self, key: K, done: asyncio.Future[V]) -> None:
        self._flights.pop(key, None)
        if not done.cancelled():
            done.exception()  # retrieved, so that asyncio logs nothing when every caller was cancelled


class RecentReads(Generic[K, V]):
    """Results of `read`, at most `ttl_s` old and shared by concurrent callers. For one event loop.

    An equal result stays the same object, which shows callers that nothing has changed.
    """

    def __init__(self, read: Callable[[K], V], limiter: CapacityLimiter, ttl_s: float) -> None:
        self._read, self._limiter, self._ttl_s, self._clock = read, limiter, ttl_s, time.monotonic
        self._known: LruCache[K, tuple[float, V]] = LruCache(_REMEMBERED)
        self._flights: SingleFlight[K, V] = SingleFlight()

    def cached(self, key: K) -> V | None:
        known = self._known.get(key)
        return known[1] if known is not None and self._clock() - known[0] < self._ttl_s else None

    async def get(self, key: K, *, fresh: bool = False) -> V:
        """Raises the exceptions of `read`: an expired result is never returned."""
        known = None if fresh else self.cached(key)
        return known if known is not None else await self._flights.do(key, lambda: self._refresh(key))

    async def _refresh(self, key: K) -> V:
        read_at = self._clock()
        latest = await anyio.to_thread.run_sync(self._read, key, limiter=self._limiter)
        before = self._known.get(key)
        if before is not None and before[1] == latest:
            latest = before[1]
        self._known.put(key, (read_at, latest), 1)
        return latest
