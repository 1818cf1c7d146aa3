"""Recent reads: shared, equal, expired and failed ones."""

from __future__ import annotations

import asyncio
import time

import pytest
from anyio import CapacityLimiter

from api.caching import RecentReads


def test_concurrent_readers_share_one_read_and_an_equal_result_stays_the_same_object() -> None:
    keys: list[str] = []

    def read(key: str) -> list[str]:
        keys.append(key)
        return [key]

    async def run() -> None:
        reads = RecentReads(read, CapacityLimiter(2), ttl_s=60)
        first, second, other = await asyncio.gather(reads.get("a"), reads.get("a"), reads.get("b"))
        assert (first is second, other, sorted(keys)) == (True, ["b"], ["a", "b"])
        assert (await reads.get("a") is first, len(keys)) == (True, 2)
        assert (await reads.get("a", fresh=True) is first, len(keys)) == (True, 3)
        reads._clock = lambda: time.monotonic() + 61
        assert reads.cached("a") is None

    asyncio.run(run())


def test_a_failed_read_is_raised_and_not_remembered() -> None:
    answers: list[int] = []

    def read(_: str) -> int:
        if not answers:
            answers.append(1)
            raise OSError("away")
        return 7

    async def run() -> None:
        reads = RecentReads(read, CapacityLimiter(1), ttl_s=60)
        with pytest.raises(OSError, match="away"):
            await reads.get("a")
        assert await reads.get("a") == 7

    asyncio.run(run())
