"""The LRU cache: eviction order and capacity; recent reads: shared, equal, expired and failed ones."""

from __future__ import annotations

import asyncio
import time

import pytest
from anyio import CapacityLimiter
from hypothesis import given
from hypothesis import strategies as st

from api.caching import LruCache, RecentReads

CAPACITY = 10
SIZES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, CAPACITY + 3)), max_size=40)


def test_get_all_marks_entries_as_used_like_get() -> None:
    for together in (True, False):
        memory: LruCache[str, int] = LruCache(3)
        for number, key in enumerate("abc"):
            memory.put(key, number, 1)
        values = memory.get_all(["a", "b"]) if together else [memory.get(key) for key in ("a", "b")]
        assert values == [0, 1]
        memory.put("d", 3, 1)
        assert [memory.get(key) for key in ("a", "b", "c", "d")] == [0, 1, None, 3]
        assert memory.get_all(["a", "c", "d"]) is None


@given(SIZES)
def test_the_sum_of_sizes_stays_within_the_capacity(puts: list[tuple[int, int]]) -> None:
    memory: LruCache[int, int] = LruCache(CAPACITY)
    for key, size in puts:
        memory.put(key, size, size)
        assert memory.used <= CAPACITY
        assert (memory.get(key) is not None) or size > CAPACITY
    values = [value for value in map(memory.get, range(6)) if value is not None]
    assert sum(values) == memory.used
    assert len(values) == len(memory)


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
