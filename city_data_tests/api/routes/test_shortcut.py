"""The short way answers as the long one does; whatever is not well formed is refused by the long one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from city_data_tests.api.conftest import HERE, LOADED, Load, MakeClient

# Capital letters are a UUID to FastAPI, and nothing to the shortcut.
SHORT = "/api/v1/tenants/0000000a-0000-4000-8000-00000000000a/external/{}"
LONG = "/api/v1/tenants/0000000A-0000-4000-8000-00000000000A/external/{}"
RANGE = HERE | {"start_date": "2025-10-05", "end_date": "2025-11-12"}


@pytest.fixture
def reader(make_client: MakeClient, load: Load) -> TestClient:
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
        load("weather", month)
    return make_client()


def both(
    client: TestClient, query: dict[str, Any], route: str, **headers: str
) -> tuple[httpx.Response, httpx.Response]:
    short, long = (client.get(path.format(route), params=query, headers=headers) for path in (SHORT, LONG))
    return short, long


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"format": "csv", "columns": "date", "include": "raw"},
        {"resolution": "daily"},
        {"as_of": "2026-11-02"},
        {"latitude": "91"},
        {"latitude": "0", "longitude": "0"},
        {"latitude": ""},
        {"start_date": "2025-13-01"},
        {"start_date": "x" * 65},
        {"end_date": "1800-01-01"},
        {"format": "xml"},
        {"columns": "noise"},
        {"version": "latest"},
        {"unknown": "is ignored"},
    ],
)
@pytest.mark.parametrize("route", ["operations/historical-traffic-optimized", "historical-traffic"])
def test_both_ways_say_the_same(reader: TestClient, query: dict[str, str], route: str) -> None:
    short, long = both(reader, RANGE | query, route, **{"Accept-Encoding": "gzip"})
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert dict(short.headers) == dict(long.headers)


def test_what_is_missing_or_said_twice_is_the_same(reader: TestClient) -> None:
    for query in ({}, {"start_date": "2025-10-05"}, [*RANGE.items(), ("end_date", "2025-10-06")]):
        short, long = both(reader, query, "historical-traffic")  # type: ignore[arg-type]
        assert (short.status_code, short.content) == (long.status_code, long.content)


def test_a_new_version_is_seen_by_a_plan_that_is_remembered(reader: TestClient, load: Load) -> None:
    first, _ = both(reader, RANGE, "historical-weather")
    again, _ = both(reader, RANGE, "historical-weather", **{"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    load("weather", "2025-10", at=LOADED + timedelta(days=1), add=3.0)
    changed, long = both(reader, RANGE, "historical-weather", **{"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json()[0]["temperature"] == 4.0 + 3.0
    assert changed.content == long.content


def test_metrics_and_logs_name_the_route(reader: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    both(reader, RANGE, "historical-traffic")
    text = reader.get("/metrics").text
    template = 'route="/api/v1/tenants/{tenant_id}/external/historical-traffic"'
    line = f'external_api_request_duration_seconds_count{{city="madrid",method="GET",{template},status="200"}}'
    assert f"{line} 2.0" in text
    assert "0000000a" in capsys.readouterr().out.splitlines()[0]
