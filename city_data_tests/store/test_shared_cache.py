"""Asynchronous reads from Redis: a stopped, hung or hostile Redis costs time, never an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import redis
from structlog.testing import capture_logs

from city_data.local.embedded import EmbeddedRedis
from city_data.store.cache import FAILURES_TO_OPEN, OPEN_FOR_S, Cache, name_of
from city_data.store.cache_seal import Seal
from city_data.store.segments import encode
from city_data.store.shared_cache import TIMEOUT_S, SharedCache
from city_data.window import Month

MONTHS = [Month(2026, 8), Month(2026, 9)]
SEGMENTS = [encode([b'{"a":1}', b'{"a":null}']), encode([b'{"a":2}'])]
NAMES = [name_of("traffic", "madrid", month, 1) for month in MONTHS]
IDENTITIES = [f"traffic/madrid/{month}/1/abc/2026-09-01" for month in MONTHS]
WANTED = list(zip(NAMES, IDENTITIES, strict=True))
SEAL, OTHER_SEAL = Seal(b"k" * 32), Seal(b"o" * 32)
T = TypeVar("T")


async def seal() -> Seal:
    return SEAL


def sealed(identity: str, by: Seal) -> bytes:
    """What a holder of `by` would keep for the first name."""
    value = struct.pack("<4sIQI", b"CDS3", *SEGMENTS[1][1:]) + SEGMENTS[1].body
    return by.make(NAMES[0], identity, value) + value


def with_cache(url: str | None, work: Callable[[SharedCache], Awaitable[T]], **changes: object) -> T:
    async def run() -> T:
        cache = SharedCache(url, seal, **changes)  # type: ignore[arg-type]
        try:
            return await work(cache)
        finally:
            await cache.close()

    return asyncio.run(run())


@pytest.fixture
def filled(redis_url: str) -> str:
    cache = Cache(redis_url, timeout_s=1)
    for (name, identity), segment in zip(WANTED, SEGMENTS, strict=True):
        assert cache.put_segment(name, identity, segment, SEAL)
    return redis_url


def test_segments_come_in_the_order_of_their_names(filled: str) -> None:
    absent = name_of("traffic", "madrid", MONTHS[0], 2)
    segments = with_cache(filled, lambda cache: cache.get_segments([WANTED[1], (absent, IDENTITIES[0]), WANTED[0]]))
    assert list(segments) == [SEGMENTS[1], None, SEGMENTS[0]]


@pytest.mark.parametrize(
    "poison",
    [
        "empty",
        "garbage",
        "flipped body",
        "flipped head",
        "flipped seal",
        "of another key",
        "without its seal",
        "sealed by another",
        "of another load",
    ],
)
def test_damaged_segment_is_a_miss_and_deleted(filled: str, poison: str) -> None:
    with redis.Redis.from_url(filled) as client:
        good, other = client.mget(NAMES)  # type: ignore[misc]
        values = {
            "empty": b"",
            "garbage": b"garbage" * 99,
            "flipped body": good[:-3] + bytes([good[-3] ^ 1]) + good[-2:],
            "flipped head": good[:38] + bytes([good[38] ^ 1]) + good[39:],
            "of another key": other,
            "flipped seal": bytes([good[0] ^ 1]) + good[1:],
            "without its seal": good[28:],
            "sealed by another": sealed(IDENTITIES[0], OTHER_SEAL),
            "of another load": sealed(IDENTITIES[0] + "T00:00:01", SEAL),
        }
        client.set(NAMES[0], values[poison])
        segments = with_cache(filled, lambda cache: cache.get_segments(WANTED))
        assert list(segments) == [None, SEGMENTS[1]]
        assert [client.exists(name) for name in NAMES] == [0, 1]


def test_a_value_of_another_type_is_a_miss(filled: str) -> None:
    with redis.Redis.from_url(filled) as client:
        client.delete(NAMES[0])
        client.hset(NAMES[0], "a", "b")
    assert list(with_cache(filled, lambda cache: cache.get_segments(WANTED))) == [None, SEGMENTS[1]]


def test_more_readers_than_connections_wait_for_a_connection(filled: str) -> None:
    async def many(cache: SharedCache) -> list[object]:
        return await asyncio.gather(*(cache.get_segments(WANTED) for _ in range(200)))

    with redis.Redis.from_url(filled) as client:
        before = int(client.info("stats")["total_connections_received"])  # type: ignore[index]
        assert with_cache(filled, many) == [SEGMENTS] * 200
        assert int(client.info("stats")["total_connections_received"]) - before <= 8  # type: ignore[index]


def test_without_a_url_every_key_is_a_miss() -> None:
    assert list(with_cache(None, lambda cache: cache.get_segments(WANTED))) == [None, None]


def test_stopped_redis_is_skipped_for_a_while_and_used_again(tmp_path: Path) -> None:
    server, now = EmbeddedRedis(tmp_path / "redis"), [100.0]
    server.start()

    async def lives(cache: SharedCache) -> None:
        Cache(server.url, timeout_s=1).put_segment(*WANTED[0], SEGMENTS[0], SEAL)
        assert list(await cache.get_segments(WANTED)) == [SEGMENTS[0], None]
        server.stop()
        with capture_logs() as logged:
            for _ in range(FAILURES_TO_OPEN + 5):
                assert list(await cache.get_segments(WANTED)) == [None, None]
        assert len(logged) == FAILURES_TO_OPEN
        server.start()
        assert list(await cache.get_segments(WANTED)) == [None, None]
        now[0] += OPEN_FOR_S
        Cache(server.url, timeout_s=1).put_segment(*WANTED[0], SEGMENTS[0], SEAL)
        assert list(await cache.get_segments(WANTED)) == [SEGMENTS[0], None]

    try:
        with_cache(server.url, lives, clock=lambda: now[0])
    finally:
        server.stop()


def test_hung_redis_costs_its_timeout_and_does_not_block_the_loop(filled: str) -> None:
    with redis.Redis.from_url(filled) as client:
        pid = int(client.info()["process_id"])  # type: ignore[index]

    async def hangs(cache: SharedCache) -> tuple[float, int]:
        await cache.get_segments(WANTED)
        os.kill(pid, signal.SIGSTOP)
        try:
            turns, began = 0, time.monotonic()
            asking = asyncio.ensure_future(cache.get_segments(WANTED))
            while not asking.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert list(asking.result()) == [None, None]
            return time.monotonic() - began, turns
        finally:
            os.kill(pid, signal.SIGCONT)

    took, turns = with_cache(filled, hangs)
    assert TIMEOUT_S * 0.9 < took < TIMEOUT_S + 0.5
    assert turns > 3
