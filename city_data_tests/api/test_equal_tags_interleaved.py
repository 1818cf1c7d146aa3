"""Whatever is loaded or expires at any await of any reader, equal tags mean equal bytes, and an id brings them again.

CITY_DATA_TEST_STEPS sets the number of requests; it was run with 10,000.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import httpx
import pytest

from api.app import create_app
from api.settings import Settings
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.store.partitions import drop_month
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TENANT, WEATHER, month_load

STEPS, AT_ONCE = int(os.environ.get("CITY_DATA_TEST_STEPS", "400")), 8
MONTHS = [Month(2025, 10), Month(2025, 11)]
RANGES = [("2025-10-01", "2025-11-30"), ("2025-10-01", "2025-10-31"), ("2025-10-20", "2025-11-10")]
FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
HISTORY = [
    *(("json", "identity"), ("json", "gzip"), ("json", "zstd")),
    *(("csv", "gzip"), ("arrow", "identity"), ("parquet", "identity")),
]
# Frames are made of three months' worth of work: they are asked for less often.
FORMS = [(WEATHER, *form) for form in HISTORY] * 4 + [(FRAME, "json", "gzip"), (FRAME, "arrow", "identity")]
Requested = tuple[tuple[str, str], tuple[str, str, str]]
T = TypeVar("T")


@dataclass
class World:
    """The store, what was done to it, and every answer by its tag and representation."""

    database: Database
    chance: random.Random
    bodies: dict[tuple[str, str], bytes] = field(default_factory=dict)
    ids: dict[str, tuple[Requested, bytes, int]] = field(default_factory=dict)
    writes: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    expired: int = 0
    loads: int = 0
    unavailable: int = 0

    async def run_sync(self, work: Callable[..., T], *args: Any, **_: Any) -> T:
        """In place of a thread: the loop turns some times before and after, and anything may happen to the store."""
        await self.turn()
        result = work(*args)
        await self.turn()
        return result

    async def turn(self) -> None:
        for _ in range(self.chance.randrange(4)):
            if self.chance.random() < 0.08:
                self.write()
            await asyncio.sleep(0)

    def write(self) -> None:
        month, number = self.chance.choice(MONTHS), next(self.writes)
        if self.chance.random() < 0.15:
            drop_month(self.database, month)
            self.expired = number
        else:
            self.load(month, number)

    def load(self, month: Month, number: int) -> None:
        """Every value has five digits, so that no version is longer than another."""
        self.loads += 1
        at = LOADED + timedelta(seconds=number)
        replace_month(self.database, month_load("weather", str(month), at, 10_000.0 + number % 89 * 1_000))

    async def ask(self, client: httpx.AsyncClient, requested: Requested, **more: str) -> httpx.Response:
        (start, end), (path, kind, encoding) = requested
        query = HERE | {"start_date": start, "end_date": end, "format": kind} | more
        request = client.build_request("GET", path, params=query, headers={"Accept-Encoding": encoding})
        response = await client.send(request, stream=True)
        response._content = b"".join([part async for part in response.aiter_raw()])
        return response

    async def read(self, client: httpx.AsyncClient) -> None:
        requested: Requested = (self.chance.choice(RANGES), self.chance.choice(FORMS))
        response = await self.ask(client, requested)
        if response.status_code == 503:  # replaced or expired twice in one read
            self.unavailable += 1
            return
        assert response.status_code == 200, response.content
        tag, body = response.headers["etag"], response.content
        assert self.bodies.setdefault((tag, requested[1][2]), body) == body, tag
        before = next(self.writes)
        self.ids[response.headers["x-snapshot-id"] + str(requested)] = requested, body, before

    async def read_again(self, client: httpx.AsyncClient) -> None:
        """An answer by its id: the same bytes, unless a month of it has expired since."""
        if not self.ids:
            return
        key = self.chance.choice(list(self.ids))
        requested, body, known = self.ids[key]
        response = await self.ask(client, requested, version=key.partition("(")[0])
        if response.status_code == 503:
            self.unavailable += 1
        elif response.status_code == 410:
            assert self.expired > 0
            self.ids.pop(key, None)  # another request may have found it gone
        else:
            assert (response.status_code, response.content) == (200, body), known


async def play(world: World, readers: list[dict[str, object]]) -> None:
    apps = [create_app(Settings.model_validate(each)) for each in readers]
    clients = [httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://reader") for app in apps]

    async def some(count: int) -> None:
        for _ in range(count):
            action = world.chance.choices([world.read, world.read_again], [3, 1])[0]
            await action(world.chance.choice(clients))

    async with AsyncExitStack() as stack:
        for app in apps:
            await stack.enter_async_context(app.router.lifespan_context(app))
        await asyncio.gather(*(some(STEPS // AT_ONCE) for _ in range(AT_ONCE)))


@pytest.mark.timeout(3_600)
def test_equal_tags_mean_equal_bytes_under_concurrent_loads(
    database: Database, database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENABLED_CITIES", "madrid")
    warm: dict[str, object] = {"database_url": database_url, "api_ledger_ttl_s": 0, "auth_mode": "none"}
    cold = {"api_segment_bytes": 0, "api_answer_bytes": 0}
    world = World(database, random.Random(STEPS))
    for month in MONTHS:
        world.load(month, next(world.writes))
    monkeypatch.setattr("anyio.to_thread.run_sync", world.run_sync)
    asyncio.run(play(world, [warm, warm | cold, warm | cold | {"redis_url": redis_url}]))
    assert world.loads > STEPS // 20
    assert len(world.bodies) > STEPS // 10
    assert world.unavailable < STEPS // 10
