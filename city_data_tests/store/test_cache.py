"""A cache that is away, hung or wrong costs a moment, never an answer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from city_data.local.embedded import EmbeddedRedis
from city_data.store.cache import FAILURES_TO_OPEN, OPEN_FOR_S, Cache, name_of, opened
from city_data.store.segments import encode
from city_data.window import Month

MONTH = Month(2026, 8)
SEGMENT = encode([b'{"a":1}', b'{"a":null}'])
KEY = name_of("traffic", "madrid", MONTH, 1)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as opened:
        yield opened


def test_segments_are_read_back_and_deleted_by_month(redis_url: str, client: redis.Redis) -> None:
    cache = Cache(redis_url)
    assert cache.put_segment(KEY, SEGMENT)
    assert cache.put_segment(name_of("traffic", "madrid", MONTH + 1, 3), SEGMENT)
    assert opened([KEY, f"{KEY}2"], client.mget([KEY, f"{KEY}2"])) == ([SEGMENT, None], [])  # type: ignore[arg-type]
    assert cache.status() == "ok"
    assert int(str(client.ttl(KEY))) > 0
    assert cache.inventory() == {MONTH, MONTH + 1}
    assert (cache.drop_month(MONTH), cache.drop_month(MONTH)) == (1, 0)
    assert cache.inventory() == {MONTH + 1}


def test_foreign_keys_are_ignored(redis_url: str, client: redis.Redis) -> None:
    for name in (b":t:c:2026-13:1", b":t:c:0000-01:1", b":\xff\xfe:c:2026-08:1", b":nothing"):
        client.set(b"city_data:segment:v1" + name, b"x")
    assert Cache(redis_url).inventory() == {MONTH}
    assert Cache(redis_url).drop_month(MONTH) == 1


def test_a_full_redis_refuses_quietly(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "full", disabled=())
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")
    assert Cache(server.url).put_segment(KEY, SEGMENT) is False
    server.stop()


def test_cache_is_off_without_a_url() -> None:
    cache = Cache(None)
    assert cache.put_segment(KEY, SEGMENT) is False
    assert (cache.inventory(), cache.drop_month(MONTH), cache.status()) == (set(), 0, "off")


def test_circuit_breaker_opens_for_a_stopped_redis_and_closes_again(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    now = [100.0]
    cache = Cache(server.url, clock=lambda: now[0])
    cache.put_segment(KEY, SEGMENT)
    server.stop()
    with capture_logs() as logged:
        for _ in range(FAILURES_TO_OPEN + 5):
            assert cache.put_segment(KEY, SEGMENT) is False
        assert (len(logged), cache.status()) == (FAILURES_TO_OPEN, "away")
        now[0] += OPEN_FOR_S
        assert (cache.status(), len(logged)) == ("away", FAILURES_TO_OPEN + 1)
        assert (cache.inventory(), len(logged)) == (set(), FAILURES_TO_OPEN + 1)
    server.start()
    now[0] += OPEN_FOR_S
    assert cache.status() == "ok"
    assert cache.put_segment(KEY, SEGMENT)
    server.stop()


def test_a_hung_redis_costs_a_tenth_of_a_second(redis_url: str, client: redis.Redis) -> None:
    warm, fresh = Cache(redis_url), Cache(redis_url)
    assert warm.status() == "ok"
    pid = int(client.info()["process_id"])  # type: ignore[index]
    os.kill(pid, signal.SIGSTOP)
    try:
        for cache in (warm, fresh):
            started = time.monotonic()
            assert cache.put_segment(KEY, SEGMENT) is False
            assert time.monotonic() - started < 0.25  # 0.1 s of waiting, and a busy machine
    finally:
        os.kill(pid, signal.SIGCONT)


def test_time_to_live_is_a_setting(redis_url: str, client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_CACHE_TTL_DAYS", "7")
    Cache(redis_url).put_segment(KEY, SEGMENT)
    assert 7 * 86_400 - 60 < int(str(client.ttl(KEY))) <= 7 * 86_400
    monkeypatch.setenv("CITY_DATA_CACHE_TTL_DAYS", "soon")
    with pytest.raises(ValueError, match="CITY_DATA_CACHE_TTL_DAYS"):
        Cache(redis_url)
