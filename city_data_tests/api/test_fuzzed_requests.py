"""Raw requests of every odd shape: a reader with a cache of requests answers them as one without.

CITY_DATA_TEST_REQUESTS sets their number; it was run with 20,000.
"""

from __future__ import annotations

import os
import random
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from city_data_tests.api.conftest import HERE, Load, MakeClient
from city_data_tests.api.issuer import TENANT_A, TENANT_B
from city_data_tests.api.locked import GOOD, LONG, TOKEN, locked_reader, path, same
from city_data_tests.api.sockets import Answer, Connection

REQUESTS = int(os.environ.get("CITY_DATA_TEST_REQUESTS", "400"))
OTHERS = f"Bearer {GOOD.token(tenant_id=TENANT_B)}"
FILES = "/api/v1/cities/madrid/traffic"


def of_city(city_id: str = "madrid", **query: str) -> str:
    """As `path`, with a city's id instead of coordinates."""
    return path(city_id=city_id, **query).replace(f"{urlencode(HERE)}&", "")


def frame(name: str, **query: str) -> str:
    return f"/api/v1/tenants/{TENANT_A}/external/{name}?{urlencode({'city_id': 'madrid'} | query)}"


TWO_DAYS = {"start_date": "2025-10-05", "end_date": "2025-10-06"}
AHEAD = {"as_of": "2025-11-05"}
FRAMES = [
    frame("operations/training-frame", **TWO_DAYS),
    frame("operations/training-frame", **TWO_DAYS, weather="forecast", lead_days="3", resolution="dayparts"),
    frame("operations/training-frame", **TWO_DAYS, lead_days="3"),
    frame("operations/training-frame", **TWO_DAYS, weather="forecasts"),
    frame("operations/training-frame", **TWO_DAYS, format="parquet"),
    frame("operations/training-frame", **TWO_DAYS) + "&version=SNAPSHOT",
    frame("forecast-frame", **AHEAD, days="2"),
    frame("forecast-frame", **AHEAD, days="8"),
    frame("forecast-frame", **AHEAD, format="parquet", resolution="dayparts"),
    frame("forecast-frame", **AHEAD, day="2"),
    "/api/v1/cities/madrid/forecast/skill",
    "/api/v1/cities/madrid/forecast/skill?lead_days=1",
    "/api/v1/cities/madrid/forecast/month=2025-10/data.parquet",
    "/api/v1/cities/madrid/calendar/month=2025-11/data.parquet",
    of_city(dataset="calendar"),
    of_city(dataset="calendar", resolution="hourly"),
    of_city(dataset="forecast", columns="temperature", resolution="daily"),
    of_city(dataset="forecast", lead_days="3"),
]
MONTH = f"{FILES}/month=2025-10/data.parquet"
HOT = [
    *[path()] * 8,
    of_city(),
    of_city(),
    MONTH,
    f"{MONTH}?version=SNAPSHOT",
    FRAMES[0],
    frame("forecast-frame", days="2"),
]
TARGETS = [
    *HOT,
    *FRAMES,
    of_city(dataset="weather"),
    of_city(format="parquet"),
    of_city("mardid"),
    path(city_id="madrid"),
    f"{FILES}/files",
    f"{FILES}/month=2025-13/data.parquet",
    f"{FILES}/month=2024-01/data.parquet",
    f"{MONTH}?vresion=1",
    "/api/v1/cities/madrid/noise/files",
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


def fuzzed(chance: random.Random, tag: str, snapshot: str) -> bytes:
    lines = ["Host: reader"] if chance.random() < 0.97 else []
    if chance.random() < 0.9:
        lines.append(f"Authorization: {chance.choice(HEADERS['Authorization'])}")
    body, target = "", chance.choice(HOT * 12 + TARGETS).replace("SNAPSHOT", snapshot)
    names = chance.sample(list(HEADERS), chance.choice([0, 0, 1, 1, 2, 3]))
    if "/month=" in target or "-frame?" in target:  # whose readers ask for parts, or again
        names = [*names, chance.choice(["Range", "If-Range", "If-None-Match"])]
    for name in dict.fromkeys(names):
        value = chance.choice(HEADERS[name]).replace("TAG", tag)
        spelled = chance.choice([name, name.lower(), name.upper()])
        lines.append(f"{spelled}:{chance.choice([' ', '', '  '])}{value}")
        body = "{}" if (name, value) == ("Content-Length", "2") else body
    chance.shuffle(lines)
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
        load("calendar", month)
        load("forecast", month)
    chance, tag, snapshot, statuses = random.Random(REQUESTS), '"x"', "x", set[tuple[bool, int]]()
    framed = set[int]()
    generous = {"api_rate_per_s": 1_000_000, "api_rate_burst": 1_000_000}
    with ExitStack() as stack:
        pair = [
            stack.enter_context(locked_reader(make_client, tmp_path, LONG, remembers=remembers, **generous))
            for remembers in (True, False)
        ]
        for _ in range(REQUESTS):
            request = fuzzed(chance, tag, snapshot)
            first, second = (asked(reader.port, request) for reader in pair)
            assert same(first, second), (request, vars(first), vars(second))
            statuses.add((b"/month=" in request, first.status))
            if b"-frame?" in request:
                framed.add(first.status)
            tag = first.header("etag") or tag
            snapshot = quote(first.header("x-snapshot-id") or snapshot)
        assert pair[0].routed < pair[1].routed * 0.9
    assert {200, 206, 304, 400, 401, 404, 422} <= {status for _, status in statuses}
    assert {200, 206, 304, 401, 422} <= {status for of_a_month, status in statuses if of_a_month}
    assert framed >= {200, 304, 401, 422}
