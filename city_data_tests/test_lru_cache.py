"""The LRU cache: eviction order and capacity."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from city_data.lru_cache import LruCache

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
