"""Months hold every hour that exists, once, in every time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.window import Month, as_of, rolling_window

ZONES = ["Europe/Madrid", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "UTC"]
months = st.builds(Month, st.integers(1990, 2090), st.integers(1, 12))
zones = st.sampled_from(ZONES)


@given(months, zones)
def test_neighbouring_months_meet_without_gap_or_overlap(month: Month, zone: str) -> None:
    assert month.bounds(zone)[1] == (month + 1).bounds(zone)[0]


@given(months, zones)
def test_bounds_are_local_midnights(month: Month, zone: str) -> None:
    start, end = (moment.astimezone(ZoneInfo(zone)) for moment in month.bounds(zone))
    assert (start.day, start.hour, start.minute) == (1, 0, 0)
    assert (end.day, end.hour, end.minute) == (1, 0, 0)


@given(months, st.integers(-400, 400))
def test_adding_months_can_be_undone(month: Month, count: int) -> None:
    assert (month + count) - count == month


@given(months)
def test_text_round_trip(month: Month) -> None:
    assert Month.parse(str(month)) == month == Month.parse(f"{month}-01")


@given(st.datetimes(datetime(2000, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)), zones)
def test_moment_lies_within_its_months_bounds(moment: datetime, zone: str) -> None:
    start, end = Month.at(moment, zone).bounds(zone)
    assert start <= moment < end


@given(st.datetimes(datetime(2000, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC)))
def test_window_is_24_complete_months_and_the_open_one(moment: datetime) -> None:
    window = rolling_window(moment)
    assert len(window.complete_months()) == 24
    assert window.months()[-1] == Month.of(moment)
    assert all(month in window for month in window.months())
    assert window.first - 1 not in window


@pytest.mark.parametrize(
    ("month", "zone", "hours"),
    [
        (Month(2026, 3), "Europe/Madrid", 743),
        (Month(2026, 10), "Europe/Madrid", 745),
        (Month(2024, 2), "Europe/Madrid", 29 * 24),
        (Month(2026, 2), "Asia/Kolkata", 28 * 24),
        (Month(2026, 12), "Europe/Madrid", 744),
    ],
)
def test_only_existing_hours_are_expected(month: Month, zone: str, hours: int) -> None:
    stamps = month.hours(zone)
    assert len(stamps) == len(set(stamps)) == hours
    assert stamps[-1] < month.bounds(zone)[1] <= stamps[-1] + timedelta(hours=1)


@given(months, zones)
def test_every_full_hour_belongs_to_one_month(month: Month, zone: str) -> None:
    stamps, (start, end) = month.hours(zone), month.bounds(zone)
    assert all((stamp.minute, stamp.second) == (0, 0) and start <= stamp < end for stamp in stamps)
    assert {b - a for a, b in pairwise(stamps)} == {timedelta(hours=1)}
    assert (month + 1).hours(zone)[0] == stamps[-1] + timedelta(hours=1)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "202610", "2026-10-02", "", "x"])
def test_invalid_months_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="month"):
        Month.parse(text)


def test_as_of_is_a_setting_and_its_errors_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_AS_OF", "2026-11-24T09:00:00+01:00")
    assert as_of() == datetime(2026, 11, 24, 8, tzinfo=UTC)
    monkeypatch.setenv("CITY_DATA_AS_OF", "yesterday")
    with pytest.raises(ValueError, match="CITY_DATA_AS_OF"):
        as_of()


def test_retention_months_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_RETENTION_MONTHS", "12")
    assert str(rolling_window(datetime(2026, 11, 24, tzinfo=UTC)).first) == "2025-11"
    for wrong in ("0", "a year", "-3", "241"):
        monkeypatch.setenv("CITY_DATA_RETENTION_MONTHS", wrong)
        with pytest.raises(ValueError, match="CITY_DATA_RETENTION_MONTHS"):
            rolling_window(datetime(2026, 11, 24, tzinfo=UTC))
