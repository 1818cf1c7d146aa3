"""Attacks by the content of requests, and by the content of the cache.

Attacks by tokens: auth/test_tokens.py; by other tenants' paths and known ETags: auth/test_gate.py; by sockets:
transport/test_protocol.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from api.query.known_parameters import known_parameters
from city_data.local.embedded import free_port
from city_data.store.cache import Cache
from city_data_tests.api.conftest import HERE, TENANT, TRAFFIC, Load, MakeClient
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, TENANT_B, Issuer, bearer, key_set, service

DAY = {"start_date": "2025-10-01", "end_date": "2025-10-01"}
POST = f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical"
CITY = "/api/v1/cities/{}/data-availability"


@pytest.mark.parametrize(
    "changes",
    [
        {"start_date": "2025-10-01\x00"},
        {"latitude": "40\x00"},
        {"start_date": "0001-01-01"},
        {"end_date": "9999-12-31"},
        {"start_date": "0001-01-01T00:00:00+14:00"},
        {"end_date": "9999-12-31T23:59:59-14:00"},
        {"start_date": "1900-01-01", "end_date": "2199-12-31"},
        {"start_date": "2147483648"},
        {"latitude": "2147483648"},
        {"latitude": "9" * 400},
        {"longitude": "-9223372036854775809"},
        {"longitude": "1e309"},
        {"start_date": "' OR 1=1 --"},
        {"start_date": "２０２５-10-01"},
        {"start_date": "2025-10-01T00:00:00+99:99"},
        {"start_date": "-0001-01-01"},
        {"start_date": "2025-W40-1T24:61"},
    ],
)
def test_query_out_of_bounds_is_422(empty_reader: TestClient, changes: dict[str, str]) -> None:
    response = empty_reader.get(TRAFFIC, params=HERE | DAY | changes)
    assert response.status_code == 422, response.text
    assert response.json()["detail"][0]["loc"][-1] in changes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\x00",
        b"\xff\xfe",
        b"[" * 60_000,
        b"null",
        b"[]",
        b'{"start_date": 20251001, "end_date": "2025-10-01"}',
        b'{"start_date": "2025-10-01", "end_date": "2025-10-01", "latitude": 1e999, "longitude": NaN}',
        b'{"start_date": "2025-10-01", "end_date": "2025-10-01", "latitude": %s, "longitude": 0}' % (b"9" * 5000),
        b'{"start_date": "\\ud800", "end_date": "\\u0000", "latitude": 40.4, "longitude": -3.7}',
        b'{"start_date": {"$ne": null}, "end_date": ["2025-10-01"], "latitude": true, "longitude": {}}',
    ],
)
def test_body_out_of_bounds_is_422(empty_reader: TestClient, body: bytes) -> None:
    response = empty_reader.post(POST, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert len(response.content) < 2_000


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resoluton", "resolution"),
        ("Columns", "columns"),
        ("lat", "latitude"),
        ("start", "start_date"),
        ("zzz", "there are as_of, city_id, columns"),
        ("x" * 5_000, "there are as_of"),
        ("%00", "there are as_of"),
    ],
)
def test_an_unknown_parameter_is_422_and_names_the_nearest(empty_reader: TestClient, name: str, near: str) -> None:
    response = empty_reader.get(TRAFFIC, params=HERE | DAY | {name: "daily"})
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["type"], entry["loc"][0], near in entry["msg"]) == ("unknown_parameter", "query", True), entry
    assert len(response.content) < 1_000


@pytest.mark.parametrize(
    "path", [POST, CITY.format("madrid"), "/api/v1/cities", "/api/v1/cities/madrid/months/2025-10"]
)
def test_every_route_refuses_unknown_parameters(empty_reader: TestClient, path: str) -> None:
    response = empty_reader.request("POST" if path == POST else "GET", path, params={"noise": "1"})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["query", "noise"])


def test_the_known_parameters_are_those_of_the_document(empty_reader: TestClient) -> None:
    """For every route, so that one declared in another way is found."""
    documented = empty_reader.app.openapi()["paths"]  # type: ignore[attr-defined]
    for context in iter_route_contexts(empty_reader.app.routes):  # type: ignore[attr-defined]
        for method in context.route.methods & {"GET", "POST"} if context.path in documented else ():
            listed = documented[context.path][method.lower()].get("parameters", [])
            named = sorted(one["name"] for one in listed if one["in"] == "query")
            assert list(known_parameters(context.route.endpoint)) == named, context.path


@pytest.mark.parametrize("city", ["%00", "'; DROP TABLE city_month; --", "..%2f..%2fetc", "💥", "x" * 5_000, "%ff"])
def test_unknown_city_is_404(empty_reader: TestClient, city: str) -> None:
    response = empty_reader.get(CITY.format(city))
    assert response.status_code == 404
    assert len(response.content) < 500


@pytest.mark.parametrize("tenant", ["%00", "2147483648", "-1", "*", "..", f"{TENANT}%00", "x" * 5_000])
def test_invalid_tenant_id_is_rejected(empty_reader: TestClient, tenant: str) -> None:
    assert empty_reader.get(TRAFFIC.replace(TENANT, tenant), params=HERE | DAY).status_code in (404, 422)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"])
def test_other_methods_are_405(empty_reader: TestClient, method: str) -> None:
    assert empty_reader.request(method, TRAFFIC, params=HERE | DAY).status_code == 405
    assert f'method="{method}"' not in empty_reader.get("/metrics").text


def test_poisoned_cache_never_serves_another_month_or_tenant(
    make_client: MakeClient, load: Load, redis_url: str
) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11", add=5_000.0)
    october = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31"}
    november = HERE | {"start_date": "2025-11-01", "end_date": "2025-11-30"}
    warm = make_client(redis_url=redis_url)
    expected = [warm.get(TRAFFIC, params=query).content for query in (october, november)]
    redis = Cache(redis_url, timeout_s=1)._client
    assert redis is not None
    names = sorted(redis.scan_iter())
    assert len(names) == 4  # each month as it is stored, and in the requested encoding
    for first, second in (names[:2], names[2:]):
        values = [redis.get(first), redis.get(second)]
        assert all(isinstance(value, bytes) for value in values)
        redis.set(first, values[1])
        redis.set(second, values[0][:-1])  # type: ignore[index]
    client = make_client(redis_url=redis_url)
    assert [client.get(TRAFFIC, params=query).content for query in (october, november)] == expected


CANARY_TOKEN, CANARY_COORDINATES = "canary-of-the-reader", ("40.4321987", "-3.7012345")


def test_logs_and_metrics_contain_no_token_and_no_coordinates(database_url: str, load: Load, tmp_path: Path) -> None:
    """The real process, with good, bad and failing requests; metrics answer on their own port."""
    load("traffic", "2025-10")
    issuer, (port, metrics_port) = Issuer(), (free_port(), free_port())
    (tmp_path / "jwks.json").write_bytes(key_set(issuer))
    tokens = [issuer.token(), issuer.token(aud="another"), f"{issuer.token()}x", "canary-of-no-jwt"]
    tokens.append(issuer.token(tenant_id=TENANT_B))
    with service() as tenants:
        tenants.body = b'{"latitude": %s, "longitude": %s}' % tuple(map(str.encode, CANARY_COORDINATES))
        variables = {
            "API_DATABASE_URL": database_url,
            "API_PORT": str(port),
            "API_METRICS_PORT": str(metrics_port),
            "AUTH_JWT_ISSUER": ISSUER,
            "AUTH_JWT_AUDIENCE": AUDIENCE,
            "AUTH_JWKS_FILE": str(tmp_path / "jwks.json"),
            "TENANT_SERVICE_URL": tenants.url,
            "TENANT_SERVICE_TOKEN": CANARY_TOKEN,
        }
        log = tmp_path / "log"
        with log.open("wb") as out:
            reader = subprocess.Popen([sys.executable, "-m", "api"], env=variables, stdout=out, stderr=out)
        try:
            _await(port)
            answers = _ask_everything(f"http://127.0.0.1:{port}", tokens, tenants)
            metrics = httpx.get(f"http://127.0.0.1:{metrics_port}/metrics").text
            beside = httpx.get(f"http://127.0.0.1:{port}/metrics")
        finally:
            reader.terminate()
            reader.wait(15)
    text = log.read_text()
    secret = [*tokens, CANARY_TOKEN, database_url.split(":")[2].split("@")[0], *CANARY_COORDINATES, "40.432", "-3.701"]
    assert [canary for canary in secret if canary in text or canary in metrics] == []
    assert {200, 401, 404, 422, 503} <= set(answers)
    lines = [line for line in map(json.loads, text.splitlines()) if line["event"] == "request"]
    assert len(lines) == len(answers) + 1  # and the question for /metrics
    line = next(line for line in lines if line["status"] == 200 and line["tenant"] == TENANT_A)
    assert {"tenant", "city", "distance_km", "days", "records", "served_from", "ms", "route", "level"} <= set(line)
    assert beside.status_code == 404
    assert 'external_auth_failures_total{reason="audience"} 1.0' in metrics
    assert re.search(r'external_api_request_duration_seconds_count\{city="madrid".*status="200"\} 2.0', metrics)
    assert "canary" not in metrics


def _ask_everything(url: str, tokens: list[str], tenants: Any) -> list[int]:
    path = url + TRAFFIC.replace(TENANT, TENANT_A)
    coordinates = dict(zip(("latitude", "longitude"), CANARY_COORDINATES, strict=True))
    good, query = bearer(tokens[0]), coordinates | DAY
    answers = [httpx.get(path, params=query, headers=bearer(token)).status_code for token in tokens]
    answers += [
        httpx.get(path, params=DAY, headers=good).status_code,
        httpx.get(path, params=query | {"start_date": "canary"}, headers=good).status_code,
        httpx.get(path, params=query | {"latitude": "canary"}, headers=good).status_code,
        httpx.get(f"{url}/canary/{tokens[0]}", headers=good).status_code,
        httpx.get(path.replace(TENANT_A, "canary"), params=query | {"access_token": tokens[0]}).status_code,
    ]
    tenants.status = 500
    answers.append(httpx.get(path.replace(TENANT_A, TENANT_B), params=DAY, headers=bearer(tokens[-1])).status_code)
    return answers


def _await(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health/live").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.1)
    raise AssertionError("the reader did not start")
