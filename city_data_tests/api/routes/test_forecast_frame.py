"""Frames of forecasts: what was known so many days before, and the days ahead; both say the same of a day."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pandas as pd
import pytest
from httpx import Response
from starlette.testclient import TestClient

from api.routes.frame_parameters import only_stand_in
from city_data.datasets import DATASETS, expected_stamps
from city_data.frames.canonical import canonical_frame
from city_data.frames.grids import day_of
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.window import Month
from city_data_tests.api.conftest import HERE, TENANT, ZONE, Load, month_load
from city_data_tests.api.routes.test_training import ask

AHEAD = f"/api/v1/tenants/{TENANT}/external/forecast-frame"
FORECAST = DATASETS["forecast"]
TODAY = date(2026, 10, 22)  # the clocks change on the 25th
MORNING = datetime(2026, 10, 22, 6, tzinfo=UTC)
LEADS = range(1, 8)
LoadForecast = Callable[..., None]


@pytest.fixture
def load_forecast(database: Database) -> LoadForecast:
    """A month of forecasts by hour and lead, as far as they were issued on the day `issued` at the latest."""

    def load(month: str, issued: date, at: datetime, add: float = 0.0) -> None:
        stamps = expected_stamps(Month.parse(month), ZONE, "hourly")
        rows = list(product(stamps, LEADS))
        local_day = day_of(ZONE)
        values = [
            100 * lead + hour.day + hour.hour / 100 + add if local_day(hour) - timedelta(lead) <= issued else None
            for hour, lead in rows
        ]
        frame = pd.DataFrame(
            {
                "date": pd.DatetimeIndex([hour for hour, _ in rows]),
                "lead_days": [lead for _, lead in rows],
                "temperature": values,
                "source": "test_forecast",
            }
        )
        load = month_load("traffic", month, at=at)
        canonical = canonical_frame(frame, FORECAST)
        replace_month(database, replace(load, dataset="forecast", frame=canonical, expected_rows=len(rows)))

    return load


def ahead(client: TestClient, **more: str) -> Response:
    response = client.get(AHEAD, params={**HERE, "as_of": MORNING.isoformat(), **more})
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("lead", [1, 3, 7])
def test_day_has_the_values_that_were_known_so_many_days_before(
    client: TestClient, load: Load, load_forecast: LoadForecast, lead: int
) -> None:
    load("weather", "2026-10")
    load("traffic", "2026-10")
    load_forecast("2026-10", date(2026, 10, 31), MORNING)
    rows = ask(client, "2026-10-24", "2026-10-26", resolution="hourly", weather="forecast", lead_days=str(lead)).json()
    stamps = [datetime.fromisoformat(row["date"]) for row in rows]
    assert len(rows) == 24 + 25 + 24
    assert [row["temperature"] for row in rows] == [round(100 * lead + t.day + t.hour / 100, 2) for t in stamps]
    assert {(row["weather_source"], row["weather_lead_days"]) for row in rows} == {("test_forecast", lead)}
    observed = ask(client, "2026-10-24", "2026-10-26", resolution="hourly").json()
    assert {(row["weather_source"], row["weather_lead_days"]) for row in observed} == {("test", None)}
    assert [row["traffic_volume"] for row in rows] == [row["traffic_volume"] for row in observed]


@pytest.mark.parametrize("grid", ["daily", "dayparts", "hourly"])
def test_day_ahead_is_the_same_after_it_passed(
    client: TestClient, load: Load, load_forecast: LoadForecast, grid: str
) -> None:
    for month in ("2026-10", "2026-11"):
        load("calendar", month, at=MORNING)
    load_forecast("2026-10", TODAY, MORNING)
    said = ahead(client, resolution=grid).json()
    assert {row["local_date"] for row in said} == {str(TODAY + timedelta(days=n)) for n in LEADS}
    assert all(row["traffic_volume_missing"] and not row["temperature_missing"] for row in said)
    load("weather", "2026-10")
    load("traffic", "2026-10")
    load_forecast("2026-10", date(2026, 10, 31), MORNING + timedelta(days=12))
    for days in LEADS:
        day = str(TODAY + timedelta(days=days))
        passed = ask(client, day, day, resolution=grid, weather="forecast", lead_days=str(days)).json()
        measured = {name for name in passed[0] if name.startswith(("traffic", "pedestrian"))}
        assert [without(row, measured) for row in passed] == [
            without(row, measured) for row in said if row["local_date"] == day
        ]
        assert {row["weather_lead_days"] for row in passed} == {days}
        assert not all(row["traffic_volume_missing"] for row in passed)


@pytest.mark.parametrize("grid", ["daily", "dayparts", "hourly"])
def test_both_frames_have_the_same_columns_in_the_same_order(client: TestClient, grid: str) -> None:
    answers = (
        ahead(client, resolution=grid, format="csv"),
        ask(client, "2026-10-22", "2026-10-23", resolution=grid, format="csv"),
        ask(client, "2026-10-22", "2026-10-23", resolution=grid, format="csv", weather="forecast", lead_days="1"),
    )
    headers = [next(csv.reader(io.StringIO(answer.text))) for answer in answers]
    assert headers[0] == headers[1] == headers[2]
    stem = f"madrid_{{}}_{grid}_2026-10-2"
    for answer, kind in zip(answers, ("forecast", "training", "training_lead_1"), strict=True):
        assert stem.format(kind) in answer.headers["content-disposition"]


def test_forecast_of_yesterday_serves_until_todays_is_stored_and_says_so(
    client: TestClient, load_forecast: LoadForecast
) -> None:
    load_forecast("2026-10", TODAY - timedelta(days=1), MORNING)
    rows = ahead(client, resolution="hourly").json()
    leads = {row["local_date"]: row["weather_lead_days"] for row in rows}
    assert leads == {f"2026-10-{22 + days}": days + 1 if days < 7 else None for days in LEADS}
    assert {row["temperature_missing"] for row in rows[:-24]} == {False}
    assert [row["temperature"] for row in rows[-24:]] == [None] * 24


def test_snapshot_names_every_dataset_of_a_frame_of_forecasts(
    client: TestClient, load: Load, load_forecast: LoadForecast
) -> None:
    for dataset in ("calendar", "traffic", "weather"):
        load(dataset, "2026-10", at=MORNING)
    load_forecast("2026-10", TODAY, MORNING)
    first = ahead(client)
    snapshot = first.headers["x-snapshot-id"]
    assert snapshot.startswith("1~madrid~traffic.2026-10.1~calendar.2026-10.1~forecast.2026-10.1~")
    load_forecast("2026-10", date(2026, 10, 31), MORNING + timedelta(days=1), add=0.5)
    assert ahead(client, version=snapshot).json() == first.json()
    assert ahead(client).json() == first.json()  # of the moment of `as_of`
    passed = {"weather": "forecast", "lead_days": "2"}
    now, then = (ask(client, "2026-10-24", "2026-10-24", **passed, **more) for more in ({}, {"version": snapshot}))
    assert (now.json()[0]["temperature"], then.json()[0]["temperature"]) == (224.53, 224.03)
    refused = ask(client, "2026-10-24", "2026-10-24", version=snapshot)
    assert refused.status_code == 422
    assert "not of weather" in refused.json()["detail"][0]["msg"]


def test_days_ahead_change_with_the_day(client: TestClient, load_forecast: LoadForecast) -> None:
    load_forecast("2026-10", TODAY, MORNING)
    known = {"If-None-Match": ahead(client, days="1").headers["etag"]}
    for moment, status in (("2026-10-22T21:59:00Z", 304), ("2026-10-22T22:00:00Z", 200)):
        response = client.get(AHEAD, params={**HERE, "days": "1", "as_of": moment}, headers=known)
        assert response.status_code == status


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"weather": "forecast"}, "needs lead_days, 1 to 7"),
        ({"lead_days": "3"}, "add weather=forecast, or leave it out"),
        ({"weather": "forecast", "lead_days": "0"}, "greater than or equal to 1"),
        ({"weather": "forecast", "lead_days": "8"}, "less than or equal to 7"),
        ({"weather": "measured"}, "should be observed or forecast"),
    ],
)
def test_lead_is_needed_for_forecasts_and_for_them_alone(
    client: TestClient, more: dict[str, str], message: str
) -> None:
    response = ask(client, "2026-10-01", "2026-10-02", **more)
    assert response.status_code == 422
    assert message in (said := response.json()["detail"][0]["msg"])
    assert "Value error" not in said


@pytest.mark.parametrize("days", ["0", "8", "two"])
def test_days_ahead_are_one_to_seven(client: TestClient, days: str) -> None:
    response = client.get(AHEAD, params={**HERE, "days": days})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["query", "days"])


def without(row: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def test_second_dataset_of_forecasts_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert only_stand_in() is FORECAST
    monkeypatch.setitem(DATASETS, "nowcast", replace(FORECAST, name="nowcast"))
    with pytest.raises(
        NotImplementedError, match=r"datasets.py has forecast, nowcast: give api/routes/frame_parameters"
    ):
        only_stand_in()


def test_days_after_a_day_in_the_future_are_422_with_a_snapshot_too(client: TestClient) -> None:
    snapshot = ahead(client).headers["X-Snapshot-Id"]
    for more in ({}, {"version": snapshot}):
        response = client.get(AHEAD, params={**HERE, "as_of": "2190-01-01", **more})
        assert response.status_code == 422, response.json()[0]
        assert response.json()["detail"][0]["msg"].startswith("is in the future")
