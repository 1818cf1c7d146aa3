"""Redis as the reader asks it: in the event loop. Belongs here: reading segments, several requests at once.

Does not: keys, seals and when Redis is left alone (city_data/store/cache.py), or writing, which whoever made a segment
does in a thread of its own. By a thread a read of 24 months took 820 us, by the loop it takes 350 (both measured).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import redis
import redis.asyncio

from city_data.store.cache import CircuitBreaker, opened
from city_data.store.segments import Segment

# In an event loop a wait counts what other requests did meanwhile, so it is longer than a thread's.
TIMEOUT_S = 0.25
_CONNECTIONS = 8
_T = TypeVar("_T")


class SharedCache:
    """As Cache reads: Redis may be absent, away or wrong, and nothing here raises. For one event loop."""

    def __init__(
        self, url: str | None, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._breaker = CircuitBreaker(clock)
        self._client: redis.asyncio.Redis | None = None
        if url:
            # Who finds all connections taken waits for one, however long: that says nothing of Redis.
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=None,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                retry=None,
            )
            self._client = redis.asyncio.Redis.from_pool(pool)

    async def get_segments(self, names: Sequence[str]) -> Sequence[Segment | None]:
        """What is held and whole under each of these keys (`cache.name_of`), else None; what is damaged is deleted."""
        client = self._client
        if client is None or not names or self._breaker.is_open:
            return [None] * len(names)
        values = await self._tried(client.mget(names))
        if values is None:
            return [None] * len(names)
        segments, damaged = opened(names, values)
        if damaged:
            await self._tried(client.delete(*damaged))
        return segments

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _tried(self, work: Awaitable[_T]) -> _T | None:
        try:
            result = await work
        except (redis.RedisError, OSError) as error:
            self._breaker.failed(error)
            return None
        self._breaker.succeeded()
        return result
