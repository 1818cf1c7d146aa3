"""The training frame by its snapshot id: one names the versions of all datasets, for ever."""

from __future__ import annotations

from datetime import timedelta

from starlette.testclient import TestClient

from city_data_tests.api.conftest import HERE, LOADED, Load
from city_data_tests.api.routes.test_training import FRAME, FRAMED, LATER, ask


def test_snapshot_id_reads_the_same_frame_again(client: TestClient, load: Load) -> None:
    for dataset in FRAMED:
        load(dataset, "2026-09")
        load(dataset, "2026-10")
    before = ask(client, "2026-09-15", "2026-10-10")
    snapshot = before.headers["x-snapshot-id"]
    assert snapshot.startswith("1~madrid~weather.2026-09.1x2~traffic.2026-09.1x2~calendar.2026-09.1x2~")
    load("weather", "2026-10", at=LATER, add=100.0)
    load("calendar", "2026-10", at=LATER, has_feasts=False)
    after = ask(client, "2026-09-15", "2026-10-10")
    assert after.json()[-2]["temperature"] == before.json()[-2]["temperature"] + 100
    assert after.json()[-1]["traffic_volume"] == before.json()[-1]["traffic_volume"]
    assert (before.json()[-1]["days_to_holiday"], after.json()[-1]["days_to_holiday"]) == (2, None)
    assert after.headers["x-snapshot-id"] != snapshot
    again = ask(client, "2026-09-15", "2026-10-10", version=snapshot)
    assert (again.content, again.headers["etag"]) == (before.content, before.headers["etag"])
    at_load = ask(client, "2026-09-15", "2026-10-10", as_of=(LOADED + timedelta(hours=1)).isoformat())
    assert at_load.content == before.content


def test_frame_id_works_for_history_but_a_history_id_does_not_for_the_frame(client: TestClient, load: Load) -> None:
    load("weather", "2026-10")
    load("traffic", "2026-10")
    snapshot = ask(client, "2026-10-01", "2026-10-31").headers["x-snapshot-id"]
    path = FRAME.replace("training-frame", "historical-traffic-optimized")
    query = {**HERE, "start_date": "2026-10-01", "end_date": "2026-10-31"}
    history = client.get(path, params={**query, "version": snapshot})
    assert history.status_code == 200
    of_traffic = client.get(path, params=query).headers["x-snapshot-id"]
    refused = ask(client, "2026-10-01", "2026-10-31", version=of_traffic)
    assert refused.status_code == 422
    assert "the snapshot is of traffic" in refused.json()["detail"][0]["msg"]


def test_id_of_a_release_without_a_calendar_has_it_missing(client: TestClient, load: Load) -> None:
    for dataset in ("weather", "traffic"):
        load(dataset, "2026-10")
    issued = ask(client, "2026-10-01", "2026-10-31").headers["x-snapshot-id"]
    of_then = issued.replace("~calendar", "")
    load("calendar", "2026-10")
    answer = ask(client, "2026-10-01", "2026-10-31", version=of_then)
    assert answer.headers["x-missing-months"] == "calendar/2026-10"
    assert {row["is_weekend"] for row in answer.json()} == {None}
    assert [row["temperature"] for row in answer.json()][:3] == [0.0, 1.0, 2.0]
