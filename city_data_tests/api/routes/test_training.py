"""The training frame over HTTP: its grid, its columns, its mask, and its snapshots."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from httpx import Response
from starlette.testclient import TestClient

from city_data.datasets import DATASETS, expected_stamps
from city_data.frames import canonical, training_columns
from city_data.store.database import Database
from city_data.store.months import MonthLoad, replace_month
from city_data.store.partitions import drop_month
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TENANT, Load, MakeClient, month_load
from city_data_tests.api.rows import ON_REQUEST

FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
ORIGINS = ("_source", "_resolution", "_lead_days")
FRAMED = ("weather", "traffic", "calendar")
LATER = LOADED + timedelta(days=2)


def ask(client: TestClient, start: str, end: str, headers: dict[str, str] | None = None, **more: str) -> Response:
    return client.get(FRAME, params={**HERE, "start_date": start, "end_date": end, **more}, headers=headers)


def records(client: TestClient, start: str, end: str, **more: str) -> list[dict[str, Any]]:
    response = ask(client, start, end, **more)
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()
    return rows


def test_a_day_has_weather_traffic_and_calendar(client: TestClient, load: Load) -> None:
    for dataset in ("weather", "traffic", "calendar"):
        load(dataset, "2026-10")
    rows = records(client, "2026-10-01", "2026-10-31")
    assert len(rows) == 31
    holiday = rows[11]
    # Made months count up: the day's weather is 11; its hours of traffic 264 to 287, without those that end in 9.
    expected: dict[str, Any] = {
        "date": "2026-10-11T22:00:00Z",
        "local_date": "2026-10-12",
        "weekday": 0,
        "daylight_hours": 11.29,
        "temperature": 11.0,
        "precipitation": None,
        "humidity": None,
        "wind_speed": None,
        "pressure": None,
        "description": None,
        **dict.fromkeys(ON_REQUEST),
        "traffic_volume": round(sum(n for n in range(264, 288) if n % 10 != 9) / 22, 2),
        "pedestrian_count": None,
        "congestion_level": None,
        "average_speed": None,
        "is_weekend": False,
        "public_holiday": "Fiesta Nacional de España",
        "country_holiday": "Fiesta Nacional de España",
        "region_holiday": None,
        "town_holiday": None,
        "school_vacation": None,
        "school_free": None,
        "days_to_holiday": 0,
        "days_since_holiday": 0,
        "is_bridge_day": False,
        "weather_source": "test",
        "weather_resolution": "daily",
        "weather_lead_days": None,
        "traffic_source": "test",
        "traffic_resolution": "hourly",
        "calendar_source": "test",
        "calendar_resolution": "daily",
    }
    place = ("date", "local_date", "weekday", "daylight_hours")
    names = [name for name in expected if name not in place and not name.endswith(ORIGINS)]
    no_holiday = {"region_holiday", "town_holiday"}  # of a day whose holidays are known
    masks = {f"{name}_missing": expected[name] is None and name not in no_holiday for name in names}
    assert holiday == expected | masks
    assert (masks["temperature_missing"], masks["school_free_missing"]) == (False, True)


def test_hourly_rows_repeat_daily_weather_on_days_of_23_and_25_hours(client: TestClient, load: Load) -> None:
    load("weather", "2026-10")
    load("traffic", "2026-10")
    rows = records(client, "2026-10-24", "2026-10-26", resolution="hourly")
    assert len(rows) == 24 + 25 + 24
    sunday = [row for row in rows if row["local_date"] == "2026-10-25"]
    assert [row["hour"] for row in sunday] == [0, 1, 2, 2, *range(3, 24)]
    assert {row["temperature"] for row in sunday} == {24.0}
    assert {row["weather_resolution"] for row in sunday} == {"daily"}
    assert [row["traffic_volume"] for row in sunday] == [None if n % 10 == 9 else n for n in range(576, 601)]
    assert [row["traffic_volume_missing"] for row in sunday] == [n % 10 == 9 for n in range(576, 601)]
    headers = ask(client, "2026-10-24", "2026-10-26", resolution="hourly").headers
    assert (headers["x-weather-resolution"], headers["x-traffic-resolution"]) == ("daily", "hourly")


def test_grid_is_complete_without_data(client: TestClient, load: Load) -> None:
    load("traffic", "2026-02")
    rows = records(client, "2026-01-31", "2026-03-01")
    assert [row["local_date"] for row in rows] == [
        "2026-01-31",
        *(f"2026-02-{n:02}" for n in range(1, 29)),
        "2026-03-01",
    ]
    assert [row["traffic_volume_missing"] for row in rows] == [True, *[False] * 28, True]
    assert all(row["temperature_missing"] and row["weather_source"] is None for row in rows)
    assert all(row["weather_resolution"] is None for row in rows)
    headers = ask(client, "2026-01-31", "2026-03-01").headers
    january_to_march = ("2026-01", "2026-02", "2026-03")
    missing = [f"{dataset}/{month}" for dataset in FRAMED for month in january_to_march]
    assert headers["x-missing-months"].split(",") == [name for name in missing if name != "traffic/2026-02"]
    assert headers["x-weather-coverage"] == headers["x-coverage"] == "0.0000"
    assert 0.8 < float(headers["x-traffic-coverage"]) < 0.9
    assert "x-weather-resolution" not in headers
    assert (headers["x-served-start"], headers["x-served-end"]) == ("2026-01-30T23:00:00Z", "2026-02-28T23:00:00Z")


def test_day_with_too_few_hours_is_missing(client: TestClient, database: Database) -> None:
    load = month_load("traffic", "2026-03")
    hours = load.frame["traffic_volume"].fillna(5.0)
    hours[: 24 - 19] = None  # 19 of the 1st, 20 of the 2nd, 19 of the 23 hours of the 29th
    hours[24 : 48 - 20] = None
    hours[28 * 24 : 28 * 24 + 4] = None
    replace_month(database, replace(load, frame=load.frame.assign(traffic_volume=hours)))
    rows = records(client, "2026-03-01", "2026-03-31")
    missing = [row["local_date"] for row in rows if row["traffic_volume_missing"]]
    assert missing == ["2026-03-01", "2026-03-29"]
    assert all((row["traffic_volume"] is None) == row["traffic_volume_missing"] for row in rows)
    assert rows[0]["traffic_source"] == "test"


def test_future_days_have_calendar_columns(client: TestClient, load: Load) -> None:
    load("calendar", "2027-12")
    rows = records(client, "2027-12-24", "2027-12-26")
    assert [row["public_holiday"] for row in rows] == [None, "Natividad del Señor", None]
    assert [row["is_weekend"] for row in rows] == [False, True, True]
    assert [row["is_weekend_missing"] for row in rows] == [False] * 3


def test_known_etag_is_304(client: TestClient, load: Load) -> None:
    load("traffic", "2026-10")
    first = ask(client, "2026-10-01", "2026-10-31")
    known = {"If-None-Match": first.headers["etag"]}
    second = ask(client, "2026-10-01", "2026-10-31", known)
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["x-snapshot-id"] == first.headers["x-snapshot-id"]
    assert ask(client, "2026-10-01", "2026-10-31", known, resolution="hourly").status_code == 200
    load("weather", "2026-10")
    assert ask(client, "2026-10-01", "2026-10-31", known).status_code == 200
    plain = ask(client, "2026-10-01", "2026-10-31", {"Accept-Encoding": "identity"})
    packed = ask(client, "2026-10-01", "2026-10-31", {"Accept-Encoding": "gzip"})
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.json() == packed.json()


def test_dropped_month_is_410_by_id_and_missing_without_one(
    make_client: MakeClient, load: Load, database: Database
) -> None:
    load("traffic", "2026-10")
    client = make_client(api_ledger_ttl_s=60)
    snapshot = ask(client, "2026-10-01", "2026-10-02").headers["x-snapshot-id"]
    drop_month(database, Month(2026, 10))
    other = make_client()
    assert ask(other, "2026-10-01", "2026-10-02", version=snapshot).status_code == 410
    assert [row["traffic_volume"] for row in records(other, "2026-10-01", "2026-10-02")] == [None, None]
    # The first client's ledger is a minute old, and its month's frame is not in memory: it looks again.
    late = ask(client, "2026-10-01", "2026-10-02", resolution="hourly")
    assert late.status_code == 200
    assert all(row["traffic_volume_missing"] for row in late.json())


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        ({"resolution": "weekly"}, 422, "resolution"),
        ({"start_date": "2020-01-01", "resolution": "hourly"}, 422, "1100 days"),
        ({"start_date": "2020-01-01"}, 200, ""),
        ({"end_date": "2026-09-01"}, 422, "end_date is before"),
        ({"latitude": "0"}, 404, "nearest"),
        ({"version": "nonsense"}, 422, "snapshot id"),
        ({"version": "nonsense", "as_of": "2026-10-01"}, 422, "not both"),
    ],
)
def test_invalid_request_names_the_reason(
    empty_reader: TestClient, more: dict[str, str], status: int, message: str
) -> None:
    query = {**HERE, "start_date": "2026-10-01", "end_date": "2026-10-02", **more}
    response = empty_reader.get(FRAME, params=query)
    assert response.status_code == status
    assert message in response.text


def test_headers_name_every_source(client: TestClient, load: Load) -> None:
    for dataset in FRAMED:
        load(dataset, "2026-10")
    headers = ask(client, "2026-10-01", "2026-10-02").headers
    assert (headers["x-source"], headers["x-calendar"]) == ("test", "test")
    assert datetime.fromisoformat(headers["x-served-start"]) == datetime(2026, 9, 30, 22, tzinfo=UTC)


@pytest.mark.parametrize("resolution", ["daily", "dayparts", "hourly"])
def test_every_format_has_the_same_cells(client: TestClient, load: Load, resolution: str) -> None:
    load("weather", "2026-09")
    load("traffic", "2026-10")
    query = {"start": "2026-09-29", "end": "2026-10-03", "resolution": resolution}
    expected = records(client, **query)
    lines = ask(client, **query, format="ndjson").text.splitlines()
    assert [json.loads(line) for line in lines] == expected
    arrow = pa.ipc.open_stream(ask(client, **query, format="arrow").content).read_all()
    parquet = pq.read_table(io.BytesIO(ask(client, **query, format="parquet").content))
    assert arrow.schema == training_columns.schema(resolution)  # type: ignore[arg-type]
    assert arrow.schema.field("temperature").metadata == {b"unit": "°C".encode()}
    assert arrow.to_pylist() == parquet.to_pylist()
    plain = [orjson.loads(orjson.dumps(row, option=orjson.OPT_UTC_Z)) for row in arrow.to_pylist()]
    assert plain == expected
    answer = ask(client, **query, format="csv")
    assert answer.headers["content-disposition"].endswith(f'"madrid_training_{resolution}_2026-09-29_2026-10-03.csv"')
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == list(expected[0])
    for row, record in zip(rows, expected, strict=True):
        assert row["local_date"] == record["local_date"]
        assert row["date"] == record["date"]
        assert row["temperature"] == ("" if record["temperature"] is None else f"{record['temperature']:g}")
        assert row["temperature_missing"] == str(record["temperature_missing"]).lower()


def test_range_that_cuts_months_has_the_same_rows(client: TestClient, load: Load) -> None:
    load("traffic", "2026-09")
    load("traffic", "2026-10")
    first = ask(client, "2026-09-01", "2026-10-31")
    cut = ask(client, "2026-09-02", "2026-10-30").json()
    again = ask(client, "2026-09-01", "2026-10-31")
    assert again.content == first.content
    assert cut == first.json()[1:-1]


@pytest.mark.parametrize("resolution", ["daily", "dayparts", "hourly"])
def test_months_read_at_once_have_the_rows_of_each_read_by_itself(
    make_client: MakeClient, database: Database, load: Load, resolution: str
) -> None:
    """Eight months, more than are joined together; weather has hours in some, days in others, and none in one."""
    months = [Month(2026, 3) + n for n in range(8)]
    for month in months[:3] + months[4:]:
        replace_month(database, hours_of_weather(month) if month.month in (4, 8) else month_load("weather", str(month)))
    for month in (months[1], months[6]):
        load("traffic", str(month))
    for kind in ("json", "csv", "arrow"):
        one_by_one, at_once, more = make_client(), make_client(), {"resolution": resolution, "format": kind}
        rows = [
            row for month in months for row in _rows(ask(one_by_one, f"{month}-01", str(month.last_day), **more), kind)
        ]
        assert {row["weather_resolution"] or None for row in rows} == {"daily", "hourly", None}
        assert _rows(ask(at_once, "2026-03-01", "2026-10-31", **more), kind) == rows
        without_a_day = [row for row in rows if str(row["local_date"]) > "2026-03-01"]
        assert _rows(ask(at_once, "2026-03-02", "2026-10-31", **more), kind) == without_a_day
        for month in months:  # of one snapshot and ETag: a download that broke off goes on from another process
            by_itself, of_many = (ask(one, f"{month}-01", str(month.last_day), **more) for one in (one_by_one, at_once))
            assert of_many.headers["etag"] == by_itself.headers["etag"]
            assert of_many.content == by_itself.content


def hours_of_weather(month: Month) -> MonthLoad:
    days, stamps = month_load("weather", str(month)), expected_stamps(month, "Europe/Madrid", "hourly")
    columns = {"date": pd.DatetimeIndex(stamps), "temperature": [n / 2 for n in range(len(stamps))], "source": "test"}
    frame = canonical.canonical_frame(pd.DataFrame(columns), DATASETS["weather"])
    return replace(days, frame=frame, expected_rows=len(stamps))


def _rows(response: Response, kind: str) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    match kind:
        case "json":
            rows: list[dict[str, Any]] = response.json()
            return rows
        case "csv":
            return list(csv.DictReader(io.StringIO(response.text)))
    table: list[dict[str, Any]] = pa.ipc.open_stream(response.content).read_all().to_pylist()
    return table
