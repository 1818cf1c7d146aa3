"""The training frame's parts of days, and what its days say of the holidays around them."""

from __future__ import annotations

from dataclasses import replace

from starlette.testclient import TestClient

from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data_tests.api.conftest import Load, month_load
from city_data_tests.api.routes.test_training import records


def test_parts_of_days_of_23_and_25_hours(client: TestClient, load: Load) -> None:
    load("weather", "2026-10")
    load("traffic", "2026-10")
    rows = records(client, "2026-10-24", "2026-10-25", resolution="dayparts")
    assert [row["daypart"] for row in rows] == ["night", "morning", "noon", "afternoon", "evening"] * 2
    assert [row["date"] for row in rows[5:7]] == ["2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z"]
    # Hours count up from 576 at midnight, without those that end in 9: 576 to 582, 583 to 587, 588 to 591.
    assert [row["traffic_volume"] for row in rows[5:8]] == [
        round((576 + 577 + 578 + 580 + 581 + 582) / 6, 2),
        585.0,
        round((588 + 590 + 591) / 3, 2),
    ]
    assert [row["temperature"] for row in rows] == [23.0] * 5 + [24.0] * 5
    assert {row["weather_resolution"] for row in rows} == {"daily"}
    short = records(client, "2026-03-29", "2026-03-29", resolution="dayparts")
    assert [row["date"][11:13] for row in short] == ["23", "04", "09", "13", "17"]


def test_part_of_a_day_with_too_few_hours_is_missing(client: TestClient, database: Database) -> None:
    load = month_load("traffic", "2026-03")
    hours = load.frame["traffic_volume"].fillna(5.0)
    hours[[0, 1, 6, 28 * 24 + 0, 28 * 24 + 5]] = (
        None  # 4 of 6 and 4 of 5 hours of the 1st; 4 of 5 and 4 of 5 of the 29th
    )
    replace_month(database, replace(load, frame=load.frame.assign(traffic_volume=hours)))
    rows = records(client, "2026-03-01", "2026-03-31", resolution="dayparts")
    assert [(row["local_date"], row["daypart"]) for row in rows if row["traffic_volume_missing"]] == [
        ("2026-03-01", "night")
    ]


def test_distances_and_bridge_days_of_madrid(client: TestClient, load: Load) -> None:
    for month in ("2025-12", "2026-01"):
        load("calendar", month)
    december = records(client, "2025-12-05", "2025-12-09")  # 10 November, 6, 8 and 25 December are holidays
    assert [row["days_to_holiday"] for row in december] == [1, 0, 1, 0, 16]
    assert [row["days_since_holiday"] for row in december] == [25, 0, 1, 0, 1]
    january = records(client, "2026-01-01", "2026-01-31")  # the Friday after New Year's Day, the Monday before Epiphany
    assert [row["local_date"] for row in january if row["is_bridge_day"]] == ["2026-01-02", "2026-01-05"]
    assert not any(row["is_bridge_day_missing"] for row in january)


def test_distance_over_a_feast_that_a_town_has_not_decided_is_missing(client: TestClient, load: Load) -> None:
    for month in ("2027-12", "2028-01"):
        load("calendar", month)
    rows = records(client, "2027-12-30", "2028-01-03")
    assert [row["public_holiday"] for row in rows] == [None, None, "Año Nuevo", None, None]
    assert [row["days_to_holiday"] for row in rows] == [None, None, 0, None, None]
    assert [row["days_to_holiday_missing"] for row in rows] == [True, True, False, True, True]
    assert [row["is_bridge_day"] for row in rows] == [None, None, False, False, None]


def test_municipal_holiday_is_a_public_holiday_and_unknown_where_it_is_not_decided(
    client: TestClient, load: Load
) -> None:
    for month in ("2026-05", "2028-05"):
        load("calendar", month)
    decided, undecided = (records(client, f"{year}-05-14", f"{year}-05-15") for year in (2026, 2028))
    names = ("public_holiday", "town_holiday", "country_holiday", "region_holiday")
    masks = [f"{name}_missing" for name in names]
    assert [decided[1][name] for name in names] == ["San Isidro Labrador", "San Isidro Labrador", None, None]
    assert [decided[0][name] for name in names] == [None] * 4
    assert not any(row[mask] for row in decided for mask in masks)
    assert [undecided[1][name] for name in names] == [None] * 4
    assert [undecided[1][mask] for mask in masks] == [True, True, False, True]
