"""The reader's use of Redis. Belongs here: reading segments in the event loop, concurrently.

Does not: keys, the circuit breaker and writing (cache.py), which runs in the thread that built the segment, or seals
(cache_seal.py). Reads stay in the loop because a thread switch costs more than the read itself.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import redis
import redis.asyncio

from city_data.store.cache import Cache, CircuitBreaker, opened
from city_data.store.cache_seal import Seal
from city_data.store.segments import Segment

# Longer than the timeout of a thread: in an event loop the wait includes the work of other requests.
TIMEOUT_S = 0.25
_CONNECTIONS = 8
_T = TypeVar("_T")


class SharedCache:
    """Redis may be absent, failing or hostile: that is a miss, and no method raises for it. For one event loop."""

    def __init__(
        self,
        url: str | None,
        read_seal: Callable[[], Awaitable[Seal]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ConfigurationError for a wrong URL."""
        self._writes = Cache(url)
        self._read_seal = read_seal
        self._seal: Seal | None = None
        self._breaker = CircuitBreaker(clock)
        self._client: redis.asyncio.Redis | None = None
        if url:
            # Without a timeout: waiting for a free connection says nothing about the health of Redis.
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=None,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                retry=None,
            )
            self._client = redis.asyncio.Redis.from_pool(pool)

    async def get_segments(self, wanted: Sequence[tuple[str, str]]) -> Sequence[Segment | None]:
        """For each pair of a key (`cache.name_of`) and a version's identity its segment, or None where it is absent or
        its seal is broken; broken ones are deleted. Raises the exceptions of `read_seal`.
        """
        client = self._client
        if client is None or not wanted or self._breaker.is_open:
            return [None] * len(wanted)
        if self._seal is None:
            self._seal = await self._read_seal()
        values = await self._tried(client.mget([name for name, _ in wanted]))
        if values is None:
            return [None] * len(wanted)
        segments, broken = opened(wanted, values, self._seal)
        if broken:
            await self._tried(client.delete(*broken))
        return segments

    def put_segment(self, name: str, identity: str, segment: Segment) -> None:
        """Store a segment, if Redis was read before: then there is a seal. In a thread."""
        if self._seal is not None:
            self._writes.put_segment(name, identity, segment, self._seal)

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
