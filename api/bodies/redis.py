"""Asynchronous reads from Redis. Belongs here: reading segments in the event loop, concurrently.

Does not: keys, seals and the circuit breaker (city_data/store/cache.py), or writing, which runs in the thread that
built the segment. Reads stay in the loop because a thread switch costs more than the read itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import redis
import redis.asyncio

from city_data.store.cache import CircuitBreaker, opened
from city_data.store.segments import Segment

# Longer than the timeout of a thread: in an event loop the wait includes the work of other requests.
TIMEOUT_S = 0.25
_CONNECTIONS = 8
_T = TypeVar("_T")


class SharedCache:
    """The asynchronous counterpart of Cache: an absent, failing or corrupt Redis is a miss; no method raises."""

    def __init__(
        self, url: str | None, timeout_s: float = TIMEOUT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._breaker = CircuitBreaker(clock)
        self._client: redis.asyncio.Redis | None = None
        if url:
            # Without a timeout: waiting for a free connection says nothing about the health of Redis.
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
        """The segment under each key (`cache.name_of`), or None where it is absent or damaged; damaged ones are
        deleted.
        """
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
