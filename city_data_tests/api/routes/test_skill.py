"""The forecasts' skill over HTTP; the errors themselves are tested in store/test_skill.py."""

from __future__ import annotations

from starlette.testclient import TestClient

from city_data.store.database import Database
from city_data_tests.store.test_skill import LEADS, OCTOBER, store, store_forecasts

SKILL = "/api/v1/cities/madrid/forecast/skill"


def test_city_says_how_wrong_its_forecasts_were(client: TestClient, database: Database) -> None:
    store_forecasts(database, OCTOBER)
    days = [
        {"date": start, "temperature": 15.0, "precipitation": 2.0, "raw_data": {"precipitation_day": "some day"}}
        for start in OCTOBER.day_starts("Europe/Madrid")
    ]
    store(database, "weather", OCTOBER, days, len(days))
    answer = client.get(SKILL)
    assert answer.status_code == 200
    body = answer.json()
    assert body["city_id"] == "madrid"
    assert [(one["column"], one["lead_days"], one["month"], one["unit"], one["count"]) for one in body["skill"]] == [
        ("temperature", lead, 10, "°C", 31) for lead in LEADS
    ]
    assert all(one["mae"] >= abs(one["bias"]) for one in body["skill"])
    assert body["left_out"] == [{"column": "precipitation", "day": "some day", "count": 31}]


def test_city_without_forecasts_has_none(empty_reader: TestClient) -> None:
    assert empty_reader.get(SKILL).json() == {"city_id": "madrid", "skill": [], "left_out": []}


def test_unknown_city_and_parameter_are_refused(empty_reader: TestClient) -> None:
    assert empty_reader.get(SKILL.replace("madrid", "atlantis")).status_code == 404
    assert empty_reader.get(SKILL, params={"lead": "3"}).status_code == 422
