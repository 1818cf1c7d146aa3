"""Reads by snapshot id: equal bytes whatever was loaded since, and an error for versions no longer stored."""

from __future__ import annotations

from datetime import timedelta

import httpx
import psycopg
import pytest
from starlette.testclient import TestClient

from city_data.datasets import DATASETS
from city_data.store.database import Database
from city_data.store.partitions import drop_month
from city_data.store.snapshot_ids import SnapshotId
from city_data.store.versions import read_versions
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TENANT, TRAFFIC, WEATHER, Load, MakeClient

TWO = HERE | {"start_date": "2025-10-01", "end_date": "2025-11-30"}
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_AS_OF", (LOADED + 20 * DAY).isoformat())


def raw(client: TestClient, encoding: str, path: str = TRAFFIC, **query: str) -> tuple[bytes, httpx.Headers]:
    """A body as it went over the wire, and its headers."""
    with client.stream("GET", path, params=TWO | query, headers={"Accept-Encoding": encoding}) as response:
        assert response.status_code == 200, response.read()
        return b"".join(response.iter_raw()), response.headers


def snapshot_of(client: TestClient, path: str = TRAFFIC, **query: str) -> str:
    return str(client.get(path, params=TWO | query).headers["X-Snapshot-Id"])


@pytest.mark.parametrize("path", [TRAFFIC, WEATHER])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_id_gives_the_same_bytes_after_a_revision(
    make_client: MakeClient, load: Load, redis_url: str, path: str, encoding: str
) -> None:
    dataset = "traffic" if path is TRAFFIC else "weather"
    load(dataset, "2025-10")
    load(dataset, "2025-11")
    client = make_client()
    before, headers = raw(client, encoding, path)
    load(dataset, "2025-10", at=LOADED + DAY, add=5.0)
    load(dataset, "2025-11", at=LOADED + 2 * DAY, add=7.0)

    for reader in (client, make_client(), make_client(redis_url=redis_url), make_client(redis_url=redis_url)):
        again, again_headers = raw(reader, encoding, path, version=headers["X-Snapshot-Id"])
        assert again == before
        assert {
            name: value for name, value in again_headers.items() if name.startswith("x-") or name in ("etag", "link")
        } == {name: value for name, value in headers.items() if name.startswith("x-") or name in ("etag", "link")}
    now, current = raw(client, encoding, path)
    assert now != before
    assert current["X-Snapshot-Id"] != headers["X-Snapshot-Id"]
    assert current["ETag"] != headers["ETag"]
    first = client.get(path, params=TWO).json()[0]
    assert first["traffic_volume" if path is TRAFFIC else "temperature"] == 5.0


def test_data_version_is_the_digest_of_the_id(client: TestClient, load: Load) -> None:
    nothing = client.get(TRAFFIC, params=TWO).headers
    assert nothing["X-Snapshot-Id"] == "1~madrid~traffic~none"
    load("traffic", "2025-10")
    load("traffic", "2025-11")
    load("traffic", "2025-11", at=LOADED + DAY, add=1.0)
    headers = client.get(TRAFFIC, params=TWO).headers
    assert headers["X-Snapshot-Id"] == f"1~madrid~traffic.2025-10.1.2~{headers['X-Data-Version']}"
    assert client.get(TRAFFIC, params=TWO | {"version": nothing["X-Snapshot-Id"]}).json() == []


def test_known_etag_of_a_snapshot_is_304(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    headers = client.get(TRAFFIC, params=TWO).headers
    load("traffic", "2025-10", at=LOADED + DAY, add=1.0)
    known = {"If-None-Match": headers["ETag"]}
    again = client.get(TRAFFIC, params=TWO | {"version": headers["X-Snapshot-Id"]}, headers=known)
    assert (again.status_code, again.headers["X-Snapshot-Id"]) == (304, headers["X-Snapshot-Id"])


def test_larger_range_has_the_months_of_the_snapshot_and_lists_missing_ones(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    snapshot = snapshot_of(client)
    load("traffic", "2025-11")
    load("traffic", "2025-12")
    wider = TWO | {"end_date": "2025-12-31", "version": snapshot}
    response = client.get(TRAFFIC, params=wider)
    assert len(response.json()) == 745
    assert response.headers["X-Missing-Months"] == "2025-11,2025-12"
    assert float(response.headers["X-Coverage"]) < 0.4
    assert response.headers["X-Snapshot-Id"] == snapshot
    inside = client.get(TRAFFIC, params=wider | {"start_date": "2025-10-30", "end_date": "2025-10-30"})
    assert len(inside.json()) == 24


def test_as_of_gives_the_version_current_at_that_time(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11", at=LOADED + DAY)
    load("traffic", "2025-10", at=LOADED + 3 * DAY, add=5.0)

    def volumes(moment: str) -> tuple[int, float | None]:
        records = client.get(TRAFFIC, params=TWO | {"as_of": moment}).json()
        return len(records), records[0]["traffic_volume"] if records else None

    assert volumes("2026-11-01T02:59:59Z") == (0, None)
    assert volumes("2026-11-01T03:00:00Z") == (745, 0.0)
    assert volumes("2026-11-03") == (745 + 720, 0.0)  # a bare date is the start of that local day
    assert volumes("2026-11-04T03:00:00") == (745 + 720, 5.0)  # a naive time is UTC
    was = client.get(TRAFFIC, params=TWO | {"as_of": "2026-11-03"})
    assert client.get(TRAFFIC, params=TWO | {"version": was.headers["X-Snapshot-Id"]}).content == was.content


def test_deprecated_body_accepts_version_and_as_of(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    before = client.get(TRAFFIC, params=TWO)
    load("traffic", "2025-10", at=LOADED + DAY, add=5.0)
    path = f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical"
    body = {"latitude": 40.42, "longitude": -3.7, "start_date": "2025-10-01", "end_date": "2025-11-30"}
    for how in ({"version": before.headers["X-Snapshot-Id"]}, {"as_of": f"{LOADED.isoformat()}"}):
        assert client.post(path, json=body | how).content == before.content
    wrong = client.post(path, json=body | {"version": "latest"})
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body", "version"])


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"version": "latest"}, "version", "X-Snapshot-Id"),
        ({"version": "1~madrid~traffic.2025-13.1~0123456789abcdef"}, "version", "invalid month"),
        ({"version": "1~rome~traffic.2025-10.1~0123456789abcdef"}, "version", "the snapshot is of rome"),
        ({"version": "1~madrid~weather.2025-10.1~0123456789abcdef"}, "version", "the snapshot is of weather"),
        ({"version": "9" * 4097}, "version", "at most 4096"),
        ({"as_of": "lately"}, "as_of", "ISO 8601"),
        ({"as_of": "2026-11-21T03:00:01Z"}, "as_of", "in the future"),
        ({"as_of": "2026-11-02", "version": "1~madrid~traffic~none"}, "as_of", "not both"),
    ],
)
def test_invalid_version_or_one_of_another_city_is_422(
    empty_reader: TestClient, query: dict[str, str], field: str, message: str
) -> None:
    response = empty_reader.get(TRAFFIC, params=TWO | query)
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert problem["loc"] == ["query", field]
    assert message in problem["msg"]


def test_expired_version_is_410_and_named(client: TestClient, load: Load, database: Database) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11")
    snapshot = snapshot_of(client)
    drop_month(database, Month(2025, 10))
    response = client.get(TRAFFIC, params=TWO | {"version": snapshot})
    assert response.status_code == 410
    assert response.json()["detail"].startswith(
        "No longer stored: traffic 2025-10 version 1. Request without `version`"
    )
    never = snapshot.replace(".1x2~", ".1.7~")
    assert "2025-11 version 7" in client.get(TRAFFIC, params=TWO | {"version": never}).json()["detail"]


def test_reloaded_month_is_410(client: TestClient, load: Load, database: Database, database_url: str) -> None:
    load("traffic", "2025-10")
    snapshot = snapshot_of(client)
    drop_month(database, Month(2025, 10))
    assert load("traffic", "2025-10", add=1.0).version == 2  # numbers go on: no cache can mean the other month
    assert client.get(TRAFFIC, params=TWO | {"version": snapshot}).status_code == 410
    assert client.get(TRAFFIC, params=TWO | {"as_of": LOADED.isoformat()}).status_code == 200
    earlier = client.get(TRAFFIC, params=TWO | {"as_of": (LOADED - DAY).isoformat()})
    assert (earlier.status_code, "2025-10 before version 2" in earlier.json()["detail"]) == (410, True)

    drop_month(database, Month(2025, 10))
    with psycopg.connect(database_url) as connection:  # as after a restore from a backup
        connection.execute("DELETE FROM retention_audit")
    assert load("traffic", "2025-10", add=2.0).version == 1
    response = client.get(TRAFFIC, params=TWO | {"version": snapshot})
    assert response.status_code == 410
    assert "dropped and reloaded" in response.json()["detail"]


def test_version_beyond_the_number_stored_is_410(
    client: TestClient, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITY_DATA_KEEP_VERSIONS", "2")
    load("traffic", "2025-10")
    snapshots = [snapshot_of(client)]
    for number in (1, 2):
        load("traffic", "2025-10", at=LOADED + number * DAY, add=float(number))
        snapshots.append(snapshot_of(client))
    codes = [client.get(TRAFFIC, params=TWO | {"version": snapshot}).status_code for snapshot in snapshots]
    assert codes == [410, 200, 200]
    assert client.get(TRAFFIC, params=TWO | {"as_of": LOADED.isoformat()}).status_code == 410
    assert client.get(TRAFFIC, params=TWO | {"as_of": (LOADED + DAY).isoformat()}).status_code == 200


def test_a_snapshot_of_both_datasets_serves_each(client: TestClient, load: Load, database: Database) -> None:
    load("traffic", "2025-10")
    load("weather", "2025-10")
    versions = {name: read_versions(database, name, "madrid") for name in DATASETS}
    both = str(SnapshotId.of("madrid", versions))
    alone = {path: client.get(path, params=TWO).content for path in (TRAFFIC, WEATHER)}
    load("traffic", "2025-10", at=LOADED + DAY, add=1.0)
    assert {path: client.get(path, params=TWO | {"version": both}).content for path in alone} == alone
    drop_month(database, Month(2025, 10))
    assert "weather 2025-10 version 1" in client.get(TRAFFIC, params=TWO | {"version": both}).json()["detail"]
