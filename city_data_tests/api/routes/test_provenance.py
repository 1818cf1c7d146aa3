"""The route of a month's provenance."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from city_data.store.database import Database
from city_data.store.ledger import record_state
from city_data.store.months import replace_month
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TRAFFIC, month_load

PATH = "/api/v1/external/operations/cities/madrid/months/2025-10"
DAY = timedelta(days=1)
FILE = {
    "name": "10-2025.zip",
    "sha256": "ab" * 32,
    "bytes": 79_000_000,
    "url": "https://datos.madrid.es/10-2025.zip",
    "params": {"id": "208627"},
    "media_type": "application/zip",
    "last_modified": "Mon, 10 Nov 2025 09:00:00 GMT",
    "origin": None,
}
LICENCE = {"licence": "CC BY 4.0", "licence_url": "https://creativecommons.org/licenses/by/4.0/"}
MEANING = {
    "quantity": "vehicles in an hour",
    "area": "city panel",
    "per": "loop",
    "method": "mean",
    "method_version": 2,
    "comparable": False,
}
PROVENANCE = {
    "modelled": False,
    **LICENCE,
    "method_version": 2,
    "panel": {"points": 4100},
    "means": {"x": 1.0},
    "meanings": {"traffic_volume": MEANING},
}


def publish(database: Database, number: int, **changes: object) -> None:
    load = month_load("traffic", "2025-10", LOADED + number * DAY, float(number))
    known = {
        "raw_files": [FILE],
        "received": 748,
        "used": 745,
        "rejected": {"negative": 3},
        "provenance": PROVENANCE,
        "state": "provisional",
    }
    replace_month(database, replace(load, **{**known, **changes}))  # type: ignore[arg-type]


def test_provenance_has_versions_files_method_and_states(client: TestClient, database: Database) -> None:
    record_state(
        database, "madrid", "traffic", Month(2025, 10), "not_yet_published", at=LOADED - DAY, message="not yet"
    )
    publish(database, 0)
    publish(database, 1, raw_files=[{**FILE, "sha256": "cd" * 32}])
    publish(database, 1, state="settled", at=LOADED + 5 * DAY, fetched_at=LOADED + 5 * DAY)
    answer = client.get(PATH)
    assert answer.json() == client.get("/api/v1/cities/madrid/months/2025-10").json()
    answer_body = answer.json()
    assert (answer_body["city_name"], answer_body["month"], answer_body["timezone"]) == (
        "Madrid",
        "2025-10",
        "Europe/Madrid",
    )
    assert (answer_body["start"], answer_body["end"]) == ("2025-09-30T22:00:00Z", "2025-10-31T23:00:00Z")
    assert answer_body["weather"] is None
    traffic = answer_body["traffic"]
    assert (traffic["state"], traffic["version"], traffic["rows"], traffic["expected_rows"]) == ("settled", 2, 745, 745)
    assert (traffic["kind"], traffic["licence"], traffic["method_version"]) == ("observed", "CC BY 4.0", 2)
    assert (traffic["coverage"], traffic["column_coverage"]) == (0.9, {"traffic_volume": 0.9})
    assert (traffic["received"], traffic["used"], traffic["nulled"]) == (748, 745, {})
    assert traffic["licence_url"] == LICENCE["licence_url"]
    assert traffic["meanings"] == {"traffic_volume": MEANING}
    assert (traffic["rejected"], traffic["details"]) == ({"negative": 3}, {"panel": {"points": 4100}})
    (file,) = traffic["files"]
    assert (file["url"], file["bytes"], file["fetched_at"]) == (FILE["url"], 79_000_000, "2026-11-06T03:00:00Z")
    versions = [(v["version"], v["current"], v["state"], v["loaded_at"]) for v in traffic["versions"]]
    assert versions == [
        (1, False, "provisional", "2026-11-01T03:00:00Z"),
        (2, True, "provisional", "2026-11-02T03:00:00Z"),
    ]
    assert [v["files"][0]["sha256"] for v in traffic["versions"]] == ["ab" * 32, "cd" * 32]
    assert [(s["state"], s["version"], s["reason"]) for s in traffic["states"]] == [
        ("not_yet_published", None, "not yet"),
        ("provisional", 1, None),
        ("settled", 2, None),
    ]


def test_snapshot_id_of_each_version_reads_that_version(client: TestClient, database: Database) -> None:
    october = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31"}
    bodies = []
    for number in range(3):
        publish(database, number)
        bodies.append(client.get(TRAFFIC, params=october).content)
    ids = [version["snapshot_id"] for version in client.get(PATH).json()["traffic"]["versions"]]
    again = [client.get(TRAFFIC, params=october | {"version": one}) for one in ids]
    assert [answer.content for answer in again] == bodies
    assert {answer.headers["X-Source"] for answer in again} == {"test"}
    assert all(LICENCE["licence_url"] in answer.headers["Link"] for answer in again)


def test_stations_have_the_attributes_that_are_known(client: TestClient, database: Database) -> None:
    stations = ["3195", {"id": "3129", "name": "MADRID AEROPUERTO", "altitude_m": 609, "weight": 0.5}]
    placed = {"id": "07156", "latitude": 40.4668, "longitude": -3.5556}
    cell = {"latitude": 40.4168, "longitude": -3.7038, "elevation": 651.0}
    publish(database, 0, provenance={"modelled": True, "stations": [*stations, placed], "grid_cell": cell})
    traffic = client.get(PATH).json()["traffic"]
    places = [{key: value for key, value in station.items() if value is not None} for station in traffic["places"]]
    assert places == [
        {"id": "3195"},
        stations[1],
        {**placed, "distance_km": pytest.approx(13.7, abs=0.2)},
        {"id": "grid_cell", **cell, "distance_km": 0.0},
    ]
    assert (traffic["kind"], traffic["licence"], traffic["details"]) == ("modelled", None, {})
    assert traffic["meanings"] == {}


def test_month_without_data_has_the_reason(client: TestClient, database: Database) -> None:
    record_state(database, "madrid", "traffic", Month(2025, 10), "failed", at=LOADED, message="truncated ZIP")
    traffic = client.get(PATH).json()["traffic"]
    assert (traffic["state"], traffic["version"], traffic["last_error"]) == ("failed", None, "truncated ZIP")
    assert (traffic["kind"], traffic["versions"], traffic["files"]) == (None, [], [])
    assert [(state["state"], state["reason"]) for state in traffic["states"]] == [("failed", "truncated ZIP")]


def test_unknown_month_is_404_and_names_the_known_range(client: TestClient, database: Database) -> None:
    assert "has no month of this city yet" in client.get(PATH).json()["detail"]
    publish(database, 0)
    other = client.get(PATH.replace("2025-10", "2019-01"))
    assert (other.status_code, "from 2025-10 to 2025-10" in other.json()["detail"]) == (404, True)
    assert client.get(PATH.replace("madrid", "atlantis")).status_code == 404
    for text in ("2025-13", "october", "2025-1", "2025-10-02", "0000-01"):
        wrong = client.get(PATH.replace("2025-10", text))
        assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["path", "month"])
