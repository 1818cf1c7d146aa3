"""In-process caching. Belongs here: an LRU cache bounded by size, and single flight.

Does not: the cached values or how they are built (bodies/reader.py, query/versions.py).
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Evicts the least recently used entries when the sum of sizes exceeds `capacity`. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        self.used = 0

    def get(self, key: K) -> V | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def get_all(self, keys: Iterable[K]) -> list[V] | None:
        """The values of these keys if all of them are present."""
        values = []
        with self._lock:
            for key in keys:
                entry = self._entries.get(key)
                if entry is None:
                    return None
                self._entries.move_to_end(key)
                values.append(entry[0])
        return values

    def put(self, key: K, value: V, size: int) -> None:
        if size > self._capacity:
            return
        with self._lock:
            replaced = self._entries.pop(key, None)
            self._entries[key] = (value, size)
            self.used += size - (replaced[1] if replaced else 0)
            while self.used > self._capacity:
                self.used -= self._entries.popitem(last=False)[1][1]

    def __len__(self) -> int:
        return len(self._entries)


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
