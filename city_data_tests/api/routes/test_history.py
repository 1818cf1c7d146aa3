"""The routes of history: every hour that exists, cut to the requested range, with equal bytes by every path."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from city_data.store.cache import Cache
from city_data.store.database import Database
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TENANT, TRAFFIC, WEATHER, Load, MakeClient

OCTOBER = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31"}


def get(client: TestClient, path: str = TRAFFIC, **query: str) -> httpx.Response:
    return client.get(path, params=OCTOBER | query)


@pytest.mark.parametrize(("month", "hours"), [("2025-10", 745), ("2026-03", 743), ("2026-02", 672)])
def test_one_record_for_every_hour_that_exists(client: TestClient, load: Load, month: str, hours: int) -> None:
    load("traffic", month)
    days = Month.parse(month)
    response = get(client, start_date=str(days.first_day), end_date=str(days.last_day))
    records = response.json()
    assert response.status_code == 200
    assert len(records) == hours
    assert records[0].keys() == {
        "date",
        "traffic_volume",
        "pedestrian_count",
        "congestion_level",
        "average_speed",
        "source",
    }
    assert records[9]["traffic_volume"] is None
    assert [record["date"] for record in records] == [
        f"{stamp:%Y-%m-%dT%H:%M:%SZ}" for stamp in days.hours("Europe/Madrid")
    ]


def test_headers_describe_the_answer(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    headers = get(client, end_date="2025-11-30").headers
    assert headers["X-City-Id"] == "madrid"
    assert float(headers["X-City-Distance-Km"]) < 1
    assert (headers["X-Served-Start"], headers["X-Served-End"]) == ("2025-09-30T22:00:00Z", "2025-10-31T22:00:00Z")
    assert headers["X-Missing-Months"] == "2025-11"
    assert 0.4 < float(headers["X-Coverage"]) < 0.5
    assert headers["Vary"] == "Accept, Accept-Encoding"


def test_weather_records_have_ids_and_local_days(client: TestClient, load: Load) -> None:
    load("weather", "2025-10")
    records = get(client, WEATHER).json()
    assert [record["location_id"] for record in records][::30] == ["madrid_2025-10-01", "madrid_2025-10-31"]
    assert len({record["id"] for record in records}) == 31
    assert records[0]["date"] == "2025-09-30T22:00:00Z"
    assert records[0]["created_at"] == f"{LOADED:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("kind", ["traffic", "weather"])
def test_alias_and_deprecated_post_give_the_same_bytes(client: TestClient, load: Load, kind: str) -> None:
    load(kind, "2025-10")
    base = f"/api/v1/tenants/{TENANT}/external"
    current = get(client, f"{base}/operations/historical-{kind}-optimized")
    alias = get(client, f"{base}/historical-{kind}")
    body = {"latitude": 40.42, "longitude": -3.7, "start_date": "2025-10-01", "end_date": "2025-10-31"}
    post = client.post(f"{base}/operations/{kind}/historical", json=body)
    assert alias.content == post.content == current.content
    assert post.headers["Deprecation"] == "true"
    assert post.headers["Link"] == f'<{base}/operations/historical-{kind}-optimized>; rel="successor-version"'
    assert "Deprecation" not in current.headers


def test_gzip_is_one_member_of_the_same_bytes(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11")
    range_ = OCTOBER | {"start_date": "2025-10-05", "end_date": "2025-11-12"}
    plain = client.get(TRAFFIC, params=range_, headers={"Accept-Encoding": "identity"})
    with client.stream("GET", TRAFFIC, params=range_, headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
    member = zlib.decompressobj(31)
    assert member.decompress(raw) == plain.content == gzip.decompress(raw)
    assert member.unused_data == b""
    assert len(raw) < len(plain.content) / 4
    assert plain.headers["ETag"] != packed.headers["ETag"]


def test_not_modified_until_a_new_version(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    first = get(client)
    tag = first.headers["ETag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(TRAFFIC, params=OCTOBER, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    load("traffic", "2025-10", at=LOADED + timedelta(days=1), add=1.0)
    changed = client.get(TRAFFIC, params=OCTOBER, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["X-Data-Version"] != first.headers["X-Data-Version"]
    assert changed.json()[0]["traffic_volume"] == 1.0


def test_unavailable_or_corrupt_redis_gives_the_same_bytes(make_client: MakeClient, load: Load, redis_url: str) -> None:
    def gzipped(client: TestClient) -> httpx.Response:
        return client.get(TRAFFIC, params=OCTOBER, headers={"Accept-Encoding": "gzip"})

    load("traffic", "2025-10")
    expected = gzipped(make_client()).content
    assert gzipped(make_client(redis_url=redis_url)).content == expected
    cache = Cache(redis_url, timeout_s=1)
    assert cache.inventory() == {Month(2025, 10)}  # the reader left it for the next
    assert gzipped(make_client(redis_url=redis_url)).content == expected
    assert gzipped(make_client(redis_url="redis://127.0.0.1:1/0")).content == expected
    client = cache._client
    assert client is not None
    (key,) = client.scan_iter()
    for poison in (b"", b"garbage", b"CDS1" + bytes(40)):
        client.set(key, poison)
        assert gzipped(make_client(redis_url=redis_url)).content == expected
    client.delete(key)
    client.lpush(key, "a list")
    assert gzipped(make_client(redis_url=redis_url)).content == expected


MOMENTS = st.datetimes(datetime(2025, 9, 29), datetime(2025, 12, 3)).map(lambda moment: moment.replace(microsecond=0))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=st.tuples(MOMENTS, MOMENTS).map(sorted))
def test_any_range_equals_the_table(client: TestClient, load: Load, database: Database, ends: list[datetime]) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11")
    start, end = (moment.replace(tzinfo=UTC) for moment in ends)
    records = get(client, start_date=ends[0].isoformat(), end_date=end.isoformat()).json()
    frame = read_series(database, "traffic", "madrid", start, end + timedelta(microseconds=1))
    assert [datetime.fromisoformat(record["date"]) for record in records] == list(frame["date"])
    expected = [None if value != value else value for value in frame["traffic_volume"]]
    assert [record["traffic_volume"] for record in records] == expected


def test_range_without_data_is_an_empty_array_with_coverage_zero(empty_reader: TestClient) -> None:
    response = get(empty_reader)
    assert (response.status_code, response.json()) == (200, [])
    assert (response.headers["X-Coverage"], response.headers["X-Data-Version"]) == ("0.0000", "none")
    assert response.headers["X-Missing-Months"] == "2025-10"
    assert "X-Served-Start" not in response.headers
