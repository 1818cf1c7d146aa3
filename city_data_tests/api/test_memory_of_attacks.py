"""The memory of a worker after each attack: a process of its own, as tests in one process share their memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from city_data.datasets import TRAFFIC
from city_data_tests.api.conftest import Load
from city_data_tests.api.issuer import TENANT_A, Issuer
from city_data_tests.api.locked import path
from city_data_tests.api.sockets import Connection, sent_until_closed, small_windows, written
from city_data_tests.bench.serving import world

MOST_MB = 220
POST = f"/api/v1/tenants/{TENANT_A}/external/operations/traffic/historical"
CHUNKED = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
HALF = {"Content_Type": "application/json", "Content_Length": "60000"}


class Target:
    """A worker, and the header of a caller whose token it accepts."""

    def __init__(self, reader: world.Reader, token: str) -> None:
        self.reader, self.port = reader, urlsplit(reader.url).port or 0
        self.token = {"Authorization": f"Bearer {token}"}


def endless(target: Target, opening: bytes, block: bytes) -> None:
    def attack(_: int) -> int:
        with Connection(target.port) as connection:
            connection.socket.sendall(opening)
            return sent_until_closed(connection, block, 46_000_000)

    with ThreadPoolExecutor(6) as attackers:
        assert max(attackers.map(attack, range(12))) < 8_000_000


def endless_trailers(target: Target) -> None:
    endless(target, written(POST, "POST", **CHUNKED, **target.token) + b"0\r\n", b"X: y\r\n" * 10_000)


def endless_framing(target: Target) -> None:
    extended = b"1;" + b"x" * 200 + b"\r\na\r\n"
    endless(target, written(POST, "POST", **CHUNKED, **target.token), extended * 1_000)


def half_requests(target: Target) -> None:
    with ExitStack() as stack:
        for authorization in [{}, target.token] * 130:
            one = stack.enter_context(Connection(target.port))
            one.socket.sendall(written(POST, "POST", **HALF, **authorization) + b" " * 59_999)
        assert httpx.get(f"{target.reader.url}/health/live", timeout=15).status_code == 200


def unread_answers(target: Target) -> None:
    request = written(path(), Accept_Encoding="identity", **target.token)
    with small_windows(target.port, 200, request * 4):
        assert httpx.get(f"{target.reader.url}/health/live", timeout=15).status_code == 200


def expensive_answers(target: Target) -> None:
    """Every set of columns in every format, and training frames, until the caller's allowance is spent."""
    sets = [",".join(one) for count in (1, 2, 3, 4) for one in combinations(TRAFFIC.column_names, count)]
    paths = [path(columns=one, format=kind) for kind in ("parquet", "arrow", "csv", "json") for one in sets]
    frames = [one.replace("historical-traffic-optimized", "training-frame") for one in (path(), path(format="parquet"))]

    def status(one: str) -> int:
        return httpx.get(target.reader.url + one, headers=target.token, timeout=60).status_code

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(status, [*frames, *paths * 2])) == {200, 429}


def settled(reader: world.Reader) -> int:
    """The worker's megabytes once it has given back the memory of answers under way, every ten seconds."""
    deadline = time.monotonic() + 25
    while (size := reader.megabytes) > MOST_MB and time.monotonic() < deadline:
        time.sleep(0.5)
    return round(size)


ATTACKS: list[Callable[[Target], None]] = [
    endless_trailers,
    endless_framing,
    half_requests,
    unread_answers,
    expensive_answers,
]


def test_a_worker_stays_small_after_every_attack(database_url: str, load: Load, tmp_path: Path) -> None:
    """Each attack by a caller of its own, whose allowance is the default burst and hardly refilled."""
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
        load("weather", month)
    issuer, sizes = Issuer(), dict[str, int]()
    limited = {"API_RATE_PER_S": "0.1", "API_RATE_BURST": "200", "ENABLED_CITIES": "madrid"}
    with world.reader(tmp_path, database_url, issuer, None, **limited) as reader:
        for attack in ATTACKS:
            attack(Target(reader, issuer.token(sub=attack.__name__)))
            sizes[attack.__name__] = settled(reader)
    assert max(sizes.values()) <= MOST_MB, sizes
