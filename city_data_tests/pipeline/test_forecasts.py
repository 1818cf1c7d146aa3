"""Forecasts of a city from the source to the reader: days ahead, the days they become, and another model's month."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.operations.backfill import Done
from city_data.providers import open_meteo_forecast
from city_data_tests.world import AS_OF, World, shipped

HISTORY = "/api/v1/tenants/00000000-0000-4000-8000-000000000001/external/historical-forecast"


@pytest.fixture
def madrid(world: World) -> World:
    """Madrid with all of its sources."""
    world.write_cities([entry for entry in shipped() if entry["city_id"] == "madrid"])
    return world


def load(world: World, *months: str) -> list[Done]:
    done = world.load("forecast", *months)
    assert [one.error for one in done] == [None] * len(months)
    return done


def answer(world: World, start: str, end: str, **query: str) -> list[dict[str, object]]:
    settings = Settings.model_validate({"database_url": world.database_url, "auth_mode": "none"})
    with TestClient(create_app(settings)) as client:
        response = client.get(HISTORY, params={"city_id": "madrid", "start_date": start, "end_date": end, **query})
    assert response.status_code == 200, response.text
    records: list[dict[str, object]] = response.json()
    return records


def test_days_ahead_are_served_as_far_as_they_are_forecast_and_final_once_they_have_passed(madrid: World) -> None:
    load(madrid, "2026-11", "2026-12")
    november, december = (madrid.entry("forecast", month) for month in ("2026-11", "2026-12"))
    assert november is not None
    assert december is not None
    assert (december.state, december.rows, december.expected_rows) == ("provisional", 24, 744 * 7)
    assert (november.state, november.provenance["model"]) == ("provisional", open_meteo_forecast.MODEL)
    # Up to the day after the fetch each hour has every lead; of each further day the shorter ones are not known yet.
    assert november.rows == 24 * (7 * 25 + 6 + 5 + 4 + 3 + 2)

    days = answer(madrid, "2026-11-29", "2026-12-01", columns="temperature", resolution="daily")
    assert [(day["date"], day["lead_days"]) for day in days] == [
        *(("2026-11-28T23:00:00Z", lead) for lead in (5, 6, 7)),
        *(("2026-11-29T23:00:00Z", lead) for lead in (6, 7)),
        ("2026-11-30T23:00:00Z", 7),
    ]
    served = answer(madrid, "2026-11-29", "2026-12-01", include="raw")
    marks = Counter(bool(record["raw_data"].get("provisional")) for record in served)  # type: ignore[attr-defined]
    assert marks[True] == 3 * 14, "the hours from 10:00 on, at 10:00: runs of their lead are still to begin"

    madrid.at(AS_OF + timedelta(days=14))
    load(madrid, "2026-11")
    whole = madrid.entry("forecast", "2026-11")
    assert whole is not None
    assert (whole.state, whole.rows, whole.version, whole.coverage) == ("settled", 720 * 7, 2, 1.0)
    later = {(one["date"], one["lead_days"]): one for one in answer(madrid, "2026-11-29", "2026-11-30", include="raw")}
    assert not any(one["raw_data"].get("provisional") for one in later.values())  # type: ignore[attr-defined]


def test_month_of_another_model_is_a_finding_and_is_published(madrid: World, monkeypatch: pytest.MonkeyPatch) -> None:
    load(madrid, "2026-08")
    monkeypatch.setattr(open_meteo_forecast, "MODEL", "icon_global")
    monkeypatch.setattr("city_data.sandbox.open_meteo_forecast._MODELS", ("icon_global",))
    (done,) = load(madrid, "2026-09")
    found = {
        event.dagster_event.asset_check_evaluation_data.check_name: event.dagster_event.asset_check_evaluation_data
        for event in madrid.instance.all_logs(done.run_id)
        if event.dagster_event and event.dagster_event.event_type_value == "ASSET_CHECK_EVALUATION"
    }
    origin = found["origin_drift"]
    assert (origin.passed, origin.blocking) == (False, False)
    assert origin.description == "model ecmwf_ifs025 to icon_global"
    assert all(one.passed for name, one in found.items() if name != "origin_drift")
