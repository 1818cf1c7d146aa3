"""Error responses: invalid input is 4xx with a message, an unavailable store is 503 and recovers."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from city_data.local.embedded import free_port
from city_data_tests.api.conftest import HERE, TENANT, TRAFFIC, Load, MakeClient

DAY = {"start_date": "2025-10-01", "end_date": "2025-10-01"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2025-10-01\x00"}, "start_date"),
        ({"start_date": "0001-01-01"}, "start_date"),
        ({"start_date": "2025-02-30"}, "start_date"),
        ({"start_date": "9" * 5000}, "start_date"),
        ({"end_date": "2025-09-30"}, "end_date"),
        ({"start_date": "1901-01-01", "end_date": "2190-01-01"}, "end_date"),
        ({"latitude": "nan"}, "latitude"),
        ({"latitude": "91"}, "latitude"),
        ({"longitude": "inf"}, "longitude"),
        ({"longitude": "1e999"}, "longitude"),
        ({"latitude": "40,42"}, "latitude"),
    ],
)
def test_bad_input_is_422_and_names_the_field(empty_reader: TestClient, changes: dict[str, str], field: str) -> None:
    response = empty_reader.get(TRAFFIC, params=HERE | DAY | changes)
    assert response.status_code == 422
    assert [problem["loc"][-1] for problem in response.json()["detail"]] == [field]
    assert len(response.content) < 1000


def test_missing_coordinates_are_422_without_a_tenant_service(empty_reader: TestClient) -> None:
    response = empty_reader.get(TRAFFIC, params=DAY)
    assert response.status_code == 422
    assert {problem["loc"][-1] for problem in response.json()["detail"]} == {"latitude", "longitude"}
    assert empty_reader.get(TRAFFIC.replace(TENANT, "not-a-uuid"), params=HERE | DAY).status_code == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"start_date": 1}', b"\xff\xfe"])
def test_bad_bodies_are_422(empty_reader: TestClient, body: bytes) -> None:
    path = f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical"
    response = empty_reader.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.json()["detail"]


def test_location_without_a_city_is_404_and_names_the_nearest(empty_reader: TestClient) -> None:
    response = empty_reader.get(TRAFFIC, params=DAY | {"latitude": "48.8566", "longitude": "2.3522"})
    assert response.status_code == 404
    assert "Madrid (madrid), 105" in response.json()["detail"]
    unknown = empty_reader.get("/api/v1/cities/atlantis/data-availability")
    assert unknown.status_code == 404
    assert "enabled: madrid" in unknown.json()["detail"]


def test_unavailable_database_is_503(make_client: MakeClient) -> None:
    client = make_client(database_url=f"postgresql://postgres@127.0.0.1:{free_port()}/none")
    for path in (TRAFFIC, "/api/v1/cities/madrid/data-availability", "/health/ready"):
        response = client.get(path, params=HERE | DAY if path == TRAFFIC else {})
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "postgres@" not in response.text
    assert client.get("/health/live").status_code == 200


def test_ready_once_there_is_data_and_from_then_on(
    make_client: MakeClient, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client()
    waiting = client.get("/health/ready")
    assert (waiting.status_code, waiting.json()["status"]) == (503, "waiting")
    load("weather", "2025-10")
    assert client.get("/health/ready").json()["status"] == "ready"

    def unavailable(*_: object, **__: object) -> None:
        raise AssertionError("the database is not asked again")

    monkeypatch.setattr("api.query.versions.read_months", unavailable)
    assert client.get("/health/ready").status_code == 200
