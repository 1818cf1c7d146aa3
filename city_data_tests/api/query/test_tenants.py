"""Requests without coordinates: calls to the tenant service over HTTP, their cache, and outages."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest
from fastapi import HTTPException
from starlette.testclient import TestClient

from api.errors import ServiceUnavailable
from api.observability import Metrics
from api.query import tenants
from city_data.cities import load_registry
from city_data_tests.api.conftest import HERE, TENANT, TRAFFIC, Load, MakeClient
from city_data_tests.api.issuer import TENANT_B, Service, service

DAY = {"start_date": "2025-10-01", "end_date": "2025-10-01"}
MADRID = json.dumps({"name": "a shop", "latitude": 40.42, "longitude": -3.70}).encode()


@pytest.fixture
def known() -> Iterator[Service]:
    with service() as tenant_service:
        tenant_service.body = MADRID
        yield tenant_service


@pytest.fixture
def asking(make_client: MakeClient, known: Service, load: Load) -> TestClient:
    load("traffic", "2025-10")
    return make_client(tenant_service_url=f"{known.url}/", tenant_service_token="of-the-reader")


def get(client: TestClient, tenant: str = TENANT, **query: str) -> httpx.Response:
    return client.get(TRAFFIC.replace(TENANT, tenant), params=DAY | query)


def test_location_of_the_tenant_is_used_and_cached(asking: TestClient, known: Service) -> None:
    answers = [get(asking) for _ in range(3)]
    assert [len(answer.json()) for answer in answers] == [24, 24, 24]
    assert answers[0].headers["X-City-Id"] == "madrid"
    assert known.requests == [(f"/api/v1/tenants/{TENANT}", "Bearer of-the-reader")]
    post = asking.post(f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical", json=DAY)
    assert post.content == answers[0].content
    text = asking.get("/metrics").text
    assert 'external_tenant_lookups_total{outcome="found"} 1.0' in text
    assert 'external_tenant_lookups_total{outcome="memory"} 3.0' in text


def test_given_coordinates_make_no_call(asking: TestClient, known: Service) -> None:
    assert len(get(asking, **HERE).json()) == 24
    assert get(asking, latitude="40.42").status_code == 422
    assert known.requests == []


def test_unknown_tenant_is_404_and_cached(asking: TestClient, known: Service) -> None:
    known.status = 404
    answers = [get(asking) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {404}
    assert TENANT in answers[0].json()["detail"]
    assert len(known.requests) == 1
    known.status = 200
    assert get(asking, TENANT_B).status_code == 200


def test_tenant_without_a_location_must_give_coordinates(asking: TestClient, known: Service) -> None:
    known.body = b'{"latitude": null, "longitude": null}'
    response = get(asking)
    assert response.status_code == 422
    assert {problem["loc"][-1] for problem in response.json()["detail"]} == {"latitude", "longitude"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"latitude": "40.4", "longitude": "-3.7"}'),
        (200, b'{"latitude": 400, "longitude": 0}'),
        (200, b'{"latitude": NaN, "longitude": 0}'),
        (200, b'{"latitude": 40.4, "longitude": null}'),
        (200, b'{"latitude": 40.4, "longitude": -3.7, "x": "' + b"x" * 300_000 + b'"}'),
        (200, b"[" * 100_000),
        (302, b""),
        (401, b""),
        (500, b""),
        (429, b""),
    ],
)
def test_response_outside_the_contract_is_503(asking: TestClient, known: Service, status: int, body: bytes) -> None:
    known.status, known.body = status, body
    response = get(asking)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert response.json()["detail"].startswith("The tenant service")
    assert get(asking, **HERE).status_code == 200


@pytest.mark.parametrize("fault", ["refused", "slow"])
def test_unavailable_service_is_503_and_not_called_again_at_once(
    make_client: MakeClient, known: Service, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(tenants, "TIMEOUT_S", 0.2)
    client = make_client(tenant_service_url="http://127.0.0.1:1" if fault == "refused" else known.url)
    known.delay_s = 0.5
    for _ in range(3):
        response = get(client)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert "give latitude and longitude" in response.json()["detail"]
    assert len(known.requests) == (fault == "slow")


def test_cached_locations_expire_and_the_service_recovers(known: Service) -> None:
    now = 1000.0

    async def locate_twice() -> None:
        nonlocal now
        locations = tenants.TenantLocations(known.url, None, Metrics(load_registry()), lambda: now)
        known.status = 503
        for _ in range(3):
            with pytest.raises(ServiceUnavailable):
                await locations.locate(UUID(TENANT))
        assert len(known.requests) == 1
        known.status, now = 200, now + tenants.UNAVAILABLE_S
        assert (await locations.locate(UUID(TENANT))).latitude == 40.42
        known.status, now = 404, now + tenants.KNOWN_S
        for _ in range(2):
            with pytest.raises(HTTPException):
                await locations.locate(UUID(TENANT))
        assert len(known.requests) == 3
        known.status, now = 200, now + tenants.UNKNOWN_S
        assert (await locations.locate(UUID(TENANT))).longitude == -3.70
        await locations.close()

    asyncio.run(locate_twice())


def test_concurrent_lookups_share_one_call(asking: TestClient, known: Service) -> None:
    known.delay_s = 0.3
    ready = threading.Barrier(8)

    def ask(_: int) -> int:
        ready.wait()
        return get(asking).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {200}
    assert len(known.requests) == 1
