"""No frame of forecasts has a value that was issued later than its lead says: the stand-in's values tell their run.

`FRAME_MONTHS=24` checks a frame of two years, month by month; otherwise the month of a clock change and one of winter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cities import load_registry
from city_data.datasets import DATASETS
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.sandbox import Sandbox
from city_data.store.database import Database
from city_data.store.raw import RawArchive
from city_data.window import Month, rolling_window
from city_data_tests.api.conftest import TENANT
from city_data_tests.stored_months import store_months
from city_data_tests.world import AS_OF, environment

FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
MONTHS = (
    rolling_window(AS_OF, int(os.environ["FRAME_MONTHS"])).complete_months()
    if "FRAME_MONTHS" in os.environ
    else [Month(2025, 10), Month(2026, 1)]
)
LOWEST_HPA = 850
HOUR = timedelta(hours=1)


def forecast_that_tells_its_age(_: object, runs: Any, hours: Any) -> dict[str, Any]:
    """The pressure, and the rain until an hour, say how many hours before it their run began. All else differs by run:
    one forecast for two leads is refused."""
    age, others = (hours - runs * 24).astype(float), 10.0 + runs % 7
    names = ("temperature_2m", "relative_humidity_2m", "wind_speed_10m", "cloud_cover")
    return {**dict.fromkeys(names, others), "pressure_msl": LOWEST_HPA + age, "precipitation": age}


@pytest.fixture(params=["madrid", "lisbon"])
def feed(
    request: pytest.FixtureRequest,
    shared_sandbox: Sandbox,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Feed:
    """Lisbon's midnight is UTC's in winter, when a run begins."""
    for name, value in environment(tmp_path, shared_sandbox, database_url, "redis://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CITY_DATA_CITIES", raising=False)
    monkeypatch.setenv("ENABLED_CITIES", request.param)
    monkeypatch.setattr("city_data.sandbox.open_meteo_forecast.forecast", forecast_that_tells_its_age)
    return next(one for one in enabled_feeds(load_registry()) if one.dataset.stands_in_for is not None)


@pytest.fixture
def client(feed: Feed, database: Database, database_url: str, tmp_path: Path) -> Iterator[TestClient]:
    store_months(database, RawArchive(str(tmp_path / "raw")), feed, MONTHS, AS_OF)
    with TestClient(create_app(Settings.model_validate({"database_url": database_url, "auth_mode": "none"}))) as opened:
        yield opened


def test_no_value_is_of_a_run_later_than_its_lead(client: TestClient, feed: Feed) -> None:
    zone, checked = ZoneInfo(feed.city.timezone), 0
    for month in MONTHS:
        query = {"start_date": str(month.first_day), "end_date": str(month.last_day), "resolution": "hourly"}
        of_forecasts = {"weather": "forecast", "lead_days": "3", "city_id": feed.city.city_id}
        response = client.get(FRAME, params=query | of_forecasts)
        assert response.status_code == 200, response.text
        rows = response.json()
        assert len(rows) == len(month.hours(feed.city.timezone))
        for row in rows:
            day, hour = date.fromisoformat(row["local_date"]), datetime.fromisoformat(row["date"])
            issued = [hour - timedelta(hours=row["pressure"] - LOWEST_HPA)]
            issued.append(hour + HOUR - timedelta(hours=row["precipitation"]))
            for moment in issued:
                assert moment.astimezone(zone).date() <= day - timedelta(days=3), row
                assert moment.astimezone(UTC).date() >= day - timedelta(days=5), row  # nor of a much older one
            checked += len(issued)
    assert checked == 2 * sum(len(month.hours(feed.city.timezone)) for month in MONTHS)
    assert {column.name for column in DATASETS["forecast"].columns if column.day_rule == "sum"} == {"precipitation"}
