"""Raw requests of every odd shape: a reader with a cache of requests answers them as one without.

CITY_DATA_TEST_REQUESTS sets their number; it was run with 20,000.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path

import pytest

from city_data_tests.api.conftest import Load, MakeClient
from city_data_tests.api.issuer import TENANT_A, TENANT_B
from city_data_tests.api.locked import GOOD, LONG, TOKEN, locked_reader, path, same
from city_data_tests.api.sockets import Answer, Connection

REQUESTS = int(os.environ.get("CITY_DATA_TEST_REQUESTS", "400"))
OTHERS = f"Bearer {GOOD.token(tenant_id=TENANT_B)}"
TARGETS = [
    path(),
    path(dataset="weather", format="csv"),
    path(format="parquet"),
    path(columns="source"),
    path(TENANT_A.upper()),
    path(TENANT_B),
    path().replace("historical", "%68istorical"),
    path() + "&start_date=2025-10-06",
    path() + "&noise=1",
    path() + "#part",
    path().replace("?", "/?"),
    "/api/v1/cities",
    "*",
]
HEADERS = {
    "Authorization": [TOKEN, TOKEN, TOKEN, OTHERS, TOKEN.replace(" ", "  "), "Bearer", "Basic YTpi", f"{TOKEN} x"],
    "Accept": ["*/*", "text/csv", "application/json;q=0.5, text/csv", "image/png", ""],
    "Accept-Encoding": ["gzip", "zstd", "identity", "gzip;q=0", "*", "br, gzip"],
    "If-None-Match": ["*", '"other"', "TAG", 'W/"x", TAG'],
    "Range": ["bytes=0-9", "bytes=-1", "bytes=99999999-", "lines=1"],
    "If-Range": ["TAG", '"other"'],
    "Connection": ["keep-alive", "Keep-Alive, x"],
    "X-Id": ["1", "\xe9", " padded "],
    "Content-Length": ["0", "2"],
    "Host": ["other.test"],
    "TE": ["trailers"],
}


def fuzzed(chance: random.Random, tag: str) -> bytes:
    lines = ["Host: reader"] if chance.random() < 0.97 else []
    if chance.random() < 0.9:
        lines.append(f"Authorization: {chance.choice(HEADERS['Authorization'])}")
    body = ""
    for name in chance.sample(list(HEADERS), chance.choice([0, 0, 1, 1, 2, 3])):
        value = chance.choice(HEADERS[name]).replace("TAG", tag)
        spelled = chance.choice([name, name.lower(), name.upper()])
        lines.append(f"{spelled}:{chance.choice([' ', '', '  '])}{value}")
        body = "{}" if (name, value) == ("Content-Length", "2") else body
    chance.shuffle(lines)
    target = chance.choice(TARGETS[:1] * 5 + TARGETS)
    version = chance.choice(["1.1"] * 12 + ["1.0"])
    return ("\r\n".join([f"GET {target} HTTP/{version}", *lines]) + f"\r\n\r\n{body}").encode("latin-1")


def asked(port: int, request: bytes) -> Answer:
    with Connection(port) as connection:
        return connection.ask(request)


@pytest.mark.timeout(3_600)
def test_odd_requests_are_answered_the_same_with_and_without_the_cache(
    make_client: MakeClient, load: Load, tmp_path: Path
) -> None:
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
        load("weather", month)
    chance, tag, statuses = random.Random(REQUESTS), '"x"', set[int]()
    generous = {"api_rate_per_s": 1_000_000, "api_rate_burst": 1_000_000}
    with ExitStack() as stack:
        pair = [
            stack.enter_context(locked_reader(make_client, tmp_path, LONG, remembers=remembers, **generous))
            for remembers in (True, False)
        ]
        for _ in range(REQUESTS):
            request = fuzzed(chance, tag)
            first, second = (asked(reader.port, request) for reader in pair)
            assert same(first, second), (request, vars(first), vars(second))
            statuses.add(first.status)
            tag = first.header("etag") or tag
        assert pair[0].routed < pair[1].routed * 0.9
    assert {200, 206, 304, 400, 401, 404, 422} <= statuses
