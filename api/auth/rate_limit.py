"""The rate limit of callers. Belongs here: a token bucket for each caller, and the headers that report it.

Does not: the answer to a caller over its limit (gate.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from city_data.lru_cache import LruCache

_CALLERS = 10_000


class Allowance(NamedTuple):
    """The requests a caller has left: `remaining` now, and `limit` again after `reset_s`."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset_s),
        ]


@dataclass
class _Bucket:
    level: float
    at: float


class RateLimiter:
    """A token bucket for each caller: `burst` requests, refilled by `per_s`. Counts in this process; least recent
    callers are evicted.
    """

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets: LruCache[str, _Bucket] = LruCache(_CALLERS)

    def take(self, caller: str, cost: int = 1) -> Allowance:
        """Take `cost` requests, or all of a full bucket if that is less."""
        cost = min(cost, self._burst)
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = _Bucket(self._burst, now)
            self._buckets.put(caller, bucket, 1)
        level = min(self._burst, bucket.level + (now - bucket.at) * self._per_s)
        allowed = level >= cost
        level -= cost if allowed else 0
        bucket.level, bucket.at = level, now
        return Allowance(
            allowed,
            self._burst,
            int(level),
            math.ceil((self._burst - level) / self._per_s),
            max(1, math.ceil((cost - level) / self._per_s)),
        )
