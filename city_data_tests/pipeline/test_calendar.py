"""A city's calendar from end to end: fetched ahead, provisional, versioned, replayed, and read as it was."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.calendar_days import calendar_day
from city_data.pipeline.replay import rebuild
from city_data.pipeline.settling import due_months
from city_data.providers.openholidays import month_days
from city_data.window import Month
from city_data_tests.world import AS_OF, World, shipped

PATH = "/api/v1/tenants/00000000-0000-4000-8000-000000000001/external/historical-calendar"
HERE = {"latitude": 40.42, "longitude": -3.7}


@pytest.fixture
def calendars(world: World) -> World:
    world.write_cities(shipped())
    world.enable("madrid", "lisbon")
    return world


@pytest.fixture
def reader(calendars: World) -> Iterator[TestClient]:
    settings = {"database_url": calendars.database_url, "auth_mode": "none", "api_ledger_ttl_s": 0}
    with TestClient(create_app(Settings.model_validate(settings))) as client:
        yield client


def rows(reader: TestClient, first: str, last: str, **more: str) -> tuple[list[dict[str, object]], str]:
    answer = reader.get(PATH, params=HERE | {"start_date": first, "end_date": last} | more)
    assert answer.status_code == 200, answer.text
    return answer.json(), answer.headers["X-Snapshot-Id"]


def test_calendar_is_stored_a_year_ahead_and_read_by_its_snapshot_for_ever(
    calendars: World, reader: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = calendars.feed("calendar")
    due = {month for task, month in due_months([feed], [], calendars.window, AS_OF) if task == feed}
    assert (min(due), max(due)) == (calendars.window.first, Month(2027, 11))
    assert [done.error for done in calendars.load("calendar", "2026-05", "2027-05")] == [None, None]

    passed, ahead = (calendars.entry("calendar", month) for month in ("2026-05", "2027-05"))
    assert passed is not None
    assert ahead is not None
    assert [(entry.state, entry.rows, entry.coverage, entry.source) for entry in (passed, ahead)] == [
        ("settled", 31, 1.0, "sandbox:openholidays"),
        ("provisional", 31, pytest.approx(1.0, abs=0.3), "sandbox:openholidays"),
    ]
    assert passed.provenance["holidays"]["library"].startswith("holidays 0.")
    assert "ODbL" in passed.provenance["licence"]
    assert passed.provenance["school"]["last_day"] == "2027-06-18"

    (day,), snapshot = rows(reader, "2026-05-15", "2026-05-15")
    assert (day["town_holiday"], day["town_holiday_known"], day["weekday"]) == ("San Isidro Labrador", True, 4)
    assert (day["school_free"], day["is_weekend"], day["days_to_holiday"]) == (False, False, 0)
    (unknown,), _ = rows(reader, "2027-05-15", "2027-05-15")
    assert (unknown["town_holiday"], unknown["town_holiday_known"], unknown["public_holiday_known"]) == (
        None,
        False,
        False,
    )

    # Another library, or another list of the town, makes another month from the next fetch on, and no other before.
    monkeypatch.setattr(month_days, "calendar_day", lambda day, _, *place: calendar_day(day, "", *place))
    assert rebuild(feed, Month(2026, 5), calendars.archive, calendars.database).outcome == "unchanged"
    calendars.at(AS_OF + timedelta(days=1))
    assert [done.error for done in calendars.load("calendar", "2026-05")] == [None]
    (after,), _ = rows(reader, "2026-05-15", "2026-05-15")
    assert (after["country_holiday_known"], after["town_holiday"]) == (False, "San Isidro Labrador")
    again, _ = rows(reader, "2026-05-15", "2026-05-15", version=snapshot)
    assert again == [day]


def test_month_ahead_settles_once_it_has_ended_and_two_fetches_agree(calendars: World) -> None:
    states = []
    for moment in (
        AS_OF,
        datetime(2026, 12, 31, 9, tzinfo=UTC),
        *(datetime(2027, 1, n, 9, tzinfo=UTC) for n in (1, 2)),
    ):
        calendars.at(moment)
        assert [done.error for done in calendars.load("calendar", "2026-12", city_id="lisbon")] == [None]
        entry = calendars.entry("calendar", "2026-12", "lisbon")
        assert entry is not None
        states.append((entry.state, entry.version))
    assert states == [("provisional", 1)] * 3 + [("settled", 1)]
