"""24 months of Madrid as a training frame, held cell by cell against one made with plain pandas from the raw archive.

The reference shares the provider's parser and the hours of daylight with the platform, and nothing else: its grid,
rounding, days, calendar and masks are written anew here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import holidays
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cities import load_registry
from city_data.daylight import daylight_hours
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.sandbox import Sandbox
from city_data.store.database import Database
from city_data.store.raw import RawArchive
from city_data.window import rolling_window
from city_data_tests.api.conftest import HERE, TENANT
from city_data_tests.stored_months import store_months
from city_data_tests.world import AS_OF, environment

ZONE, DAY = "Europe/Madrid", timedelta(days=1)
MONTHS = rolling_window(AS_OF, 24).complete_months()
START, END = "2024-11-01", "2026-10-31"
WEATHER = [
    *("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description"),
    *("temperature_min", "temperature_max", "sunshine_duration", "cloud_cover", "wind_gust", "snowfall"),
]
TRAFFIC = ["traffic_volume", "pedestrian_count", "congestion_level", "average_speed"]
# As decided by Madrid's council, whose Almudena of 2025 was moved from a Sunday.
MUNICIPAL = {
    "2024-11-09": "Nuestra Señora de la Almudena",
    "2025-05-15": "San Isidro Labrador",
    "2025-11-10": "Nuestra Señora de la Almudena",
    "2026-05-15": "San Isidro Labrador",
}
LEVELS = ["low", "medium", "high", "severe"]


@pytest.fixture
def feeds(
    shared_sandbox: Sandbox, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Feed]:
    for name, value in environment(tmp_path, shared_sandbox, database_url, "redis://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CITY_DATA_CITIES", raising=False)
    feeds = enabled_feeds(load_registry())
    return {feed.dataset.name: feed for feed in feeds if feed.dataset.stands_in_for is None}  # of what was measured


@pytest.fixture
def archive(feeds: dict[str, Feed], database: Database, tmp_path: Path) -> RawArchive:
    """Every month fetched, archived, parsed and published, by the steps that the assets take, without their runs."""
    raw_archive = RawArchive(str(tmp_path / "raw"))
    for feed in feeds.values():
        store_months(database, raw_archive, feed, MONTHS, AS_OF)
    return raw_archive


@pytest.fixture
def client(database_url: str) -> Iterator[TestClient]:
    with TestClient(create_app(Settings.model_validate({"database_url": database_url, "auth_mode": "none"}))) as opened:
        yield opened


def served(client: TestClient, resolution: str) -> pd.DataFrame:
    path = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
    query = {**HERE, "start_date": START, "end_date": END, "resolution": resolution}
    response = client.get(path, params=query)
    assert response.status_code == 200, response.text
    assert "x-missing-months" not in response.headers
    return pd.DataFrame.from_records(response.json()).astype(object)


def parsed(feed: Feed, archive: RawArchive, folder: Path) -> pd.DataFrame:
    """What the provider reads in the archived bytes: local clocks beside UTC, numbers as they are stored."""
    frames = []
    for month in MONTHS:
        manifest = archive.latest(feed.dataset.name, "madrid", month)
        request = feed.request(feed.choice(manifest.provider), month, manifest.fetched_at)
        frames.append(feed.choice(manifest.provider).provider.parse(request, archive.payloads(manifest, folder)).frame)
    rows = pd.concat(frames, ignore_index=True)
    local = rows["date"].dt.tz_convert(ZONE)
    numbers = rows.select_dtypes("number").columns
    return rows.assign(local_date=local.dt.strftime("%Y-%m-%d"), **rows[numbers].astype(float).round(2))


def reference(weather: pd.DataFrame, traffic: pd.DataFrame, calendar: pd.DataFrame, hourly: bool) -> pd.DataFrame:
    end = pd.Timestamp(END, tz=ZONE) + pd.DateOffset(days=1)
    grid = pd.date_range(pd.Timestamp(START, tz=ZONE), end, freq="h" if hourly else "D", inclusive="left")
    frame = pd.DataFrame({"stamp": grid, "local_date": grid.strftime("%Y-%m-%d"), "hour": grid.hour})
    days = weather.reindex(columns=["local_date", *WEATHER, "source"])
    days = days.assign(weather_resolution="daily").rename(columns={"source": "weather_source"})
    frame = frame.merge(days, on="local_date", how="left", validate="many_to_one")
    roads = traffic.reindex(columns=["date", "local_date", *TRAFFIC, "source"])
    if hourly:
        roads = roads.drop(columns="local_date").assign(stamp=roads["date"].dt.tz_convert(ZONE)).drop(columns="date")
        frame = frame.merge(roads, on="stamp", how="left", validate="one_to_one")
    else:
        frame = frame.merge(by_day(roads), on="local_date", how="left", validate="one_to_one")
    frame = frame.rename(columns={"source": "traffic_source"})
    frame["traffic_resolution"] = frame["traffic_source"].map(
        lambda source: "hourly" if isinstance(source, str) else None
    )
    frame["date"] = frame["stamp"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    days = [date.fromisoformat(day) for day in frame["local_date"]]
    frame["daylight_hours"] = [round(daylight_hours(day, 40.4168, -3.7038), 2) for day in days]
    frame["weekday"] = frame["stamp"].dt.day_of_week
    frame["is_weekend"] = frame["weekday"] >= 5
    country, region = (
        holidays.country_holidays("ES", subdiv=subdiv, years=[2024, 2025, 2026], language="es")
        for subdiv in (None, "MD")
    )
    frame["country_holiday"] = [country.get(day) for day in frame["local_date"]]
    frame["region_holiday"] = [None if day in country else region.get(day) for day in frame["local_date"]]
    frame["town_holiday"] = [MUNICIPAL.get(day) for day in frame["local_date"]]
    frame["public_holiday"] = [region.get(day) or MUNICIPAL.get(day) for day in frame["local_date"]]
    schools = calendar[["local_date", "school_vacation", "school_free", "source"]]
    frame = frame.merge(schools.rename(columns={"source": "calendar_source"}), on="local_date", validate="many_to_one")
    frame["calendar_resolution"] = "daily"
    frame["weather_lead_days"] = None
    frame["school_vacation_missing"] = [free is None for free in frame["school_free"]]
    frame["is_weekend_missing"] = False
    names = {*region, *map(date.fromisoformat, MUNICIPAL)}
    frame["days_to_holiday"] = [min((one - day).days for one in names if one >= day) for day in days]
    frame["days_since_holiday"] = [min((day - one).days for one in names if one <= day) for day in days]
    frame["is_bridge_day"] = [is_bridge(day, names) for day in days]
    for name in [*WEATHER, *TRAFFIC, "school_free", "days_to_holiday", "days_since_holiday", "is_bridge_day"]:
        frame[f"{name}_missing"] = frame[name].isna()
    for level in ("public", "country", "region", "town"):
        frame[f"{level}_holiday_missing"] = False
    raw_archive = frame.drop(columns=["stamp"] if hourly else ["stamp", "hour"]).astype(object)
    return raw_archive.where(raw_archive.notna(), None)


def is_bridge(day: date, holidays: set[date]) -> bool:
    """A single working day between two days off, one of which is a holiday."""
    here, *around = (one in holidays or one.weekday() >= 5 for one in (day, day - DAY, day + DAY))
    return not here and all(around) and bool({day - DAY, day + DAY} & holidays)


def by_day(hours: pd.DataFrame) -> pd.DataFrame:
    """20 hours with a value make a day: means, speed by flow, the worst hour's congestion."""
    hours = hours.assign(
        level=hours["congestion_level"].map({level: n for n, level in enumerate(LEVELS)}).astype(float),
        both=hours["traffic_volume"].where(hours["average_speed"].notna()),
        product=hours["traffic_volume"] * hours["average_speed"],
    )
    groups = hours.groupby("local_date")
    counts = groups[["traffic_volume", "pedestrian_count", "average_speed", "level", "both"]].count()
    sums = groups[["traffic_volume", "pedestrian_count", "average_speed", "both", "product"]].agg(exact_sum)
    means = sums[["traffic_volume", "pedestrian_count", "average_speed"]] / counts
    means = means[["traffic_volume", "pedestrian_count", "average_speed"]]
    flow = sums["both"]
    weighted = (sums["product"] / flow).where((counts["both"] >= 20) & (flow > 0), means["average_speed"])
    days = means.assign(average_speed=weighted).where(counts[means.columns] >= 20).round(2)
    worst = groups["level"].max().where(counts["level"] >= 20)
    days["congestion_level"] = worst.map(lambda n: None if np.isnan(n) else LEVELS[int(n)]).astype(object)
    return days.assign(source=groups["source"].first()).reset_index()


def exact_sum(values: pd.Series) -> float:
    """pandas' own sum may be off in its last digit, which decides where a mean lies half way between two roundings."""
    return math.fsum(values.dropna())


def test_every_cell_equals_a_plain_pandas_computation(
    archive: RawArchive, feeds: dict[str, Feed], client: TestClient, tmp_path: Path
) -> None:
    weather, traffic, calendar = (parsed(feeds[name], archive, tmp_path) for name in ("weather", "traffic", "calendar"))
    for resolution, rows in (("daily", 730), ("hourly", 730 * 24)):
        frame, expected = served(client, resolution), reference(weather, traffic, calendar, resolution == "hourly")
        assert len(frame) == len(expected) == rows
        assert set(frame.columns) == set(expected.columns)
        expected = expected[list(frame.columns)]
        unequal = (frame != expected) & ~(frame.isna() & expected.isna())
        where = [(str(frame["date"][n]), name, frame[name][n], expected[name][n]) for n, name in cells(unequal)]
        assert where == []
    assert frame["traffic_volume"].notna().mean() > 0.9
    assert frame["temperature"].notna().mean() > 0.9
    assert frame["traffic_volume_missing"].any()  # the sandbox leaves holes, as the source does
    assert {name for name in frame["public_holiday"] if name} >= {
        "Fiesta de la Comunidad de Madrid",
        *MUNICIPAL.values(),
    }


def cells(marked: pd.DataFrame) -> list[tuple[Any, Any]]:
    stacked = marked.stack()
    return list(stacked[stacked].index)[:20]
