"""A cache in memory that is bounded by size. Belongs here: eviction of the least recently used.

Does not: the cached values or their sizes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
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
