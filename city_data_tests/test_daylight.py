"""Hours of daylight beside sunrises and sunsets from elsewhere, and the properties of any place and year."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.daylight import daylight_hours

PLACES = {
    "Madrid": (40.4168, -3.7038),
    "Paris": (48.8566, 2.3522),
    "Lisbon": (38.7223, -9.1393),
    "Quito": (-0.18, -78.47),
    "Sydney": (-33.87, 151.21),
    "Reykjavik": (64.1466, -21.9426),
}
# Sunrise and sunset on the city's clocks by PyEphem 4 (libastro, VSOP87): upper edge, refraction of 34', sea level.
RISEN_AND_SET = """
Madrid 2024-12-21 08:34:33 17:51:40
Madrid 2026-03-20 07:18:25 19:26:45
Madrid 2026-06-21 06:44:47 21:48:28
Madrid 2026-09-01 07:42:03 20:46:52
Madrid 2024-02-29 07:49:26 19:05:35
Paris 2024-12-21 08:41:28 16:56:17
Paris 2026-06-21 05:46:58 21:57:49
Paris 2026-09-01 07:07:12 20:33:01
Lisbon 2026-12-22 07:51:25 17:18:50
Lisbon 2026-06-21 06:12:00 21:04:45
Quito 2024-12-21 06:08:12 18:16:21
Quito 2026-06-21 06:12:23 18:19:05
Sydney 2026-12-22 05:41:05 20:05:55
Sydney 2026-06-21 06:59:58 16:53:47
Reykjavik 2026-12-22 11:22:45 15:29:59
Reykjavik 2026-03-20 07:28:37 19:43:25
"""
HALF_A_MINUTE = 30 / 3600
DAYS = st.dates(date(1950, 1, 1), date(2050, 12, 31))


@pytest.mark.parametrize("line", RISEN_AND_SET.strip().splitlines())
def test_day_is_as_long_as_from_its_sunrise_to_its_sunset(line: str) -> None:
    name, day, *clock = line.split()
    risen, gone = (datetime.fromisoformat(f"{day}T{text}") for text in clock)
    hours = daylight_hours(date.fromisoformat(day), *PLACES[name])
    assert hours == pytest.approx((gone - risen) / timedelta(hours=1), abs=HALF_A_MINUTE)


@pytest.mark.parametrize(("day", "hours"), [("2026-06-21", 24.0), ("2026-12-21", 0.0)])
def test_polar_day_and_night_are_whole(day: str, hours: float) -> None:
    assert daylight_hours(date.fromisoformat(day), 69.65, 18.96) == hours  # Tromsø
    assert daylight_hours(date.fromisoformat(day), -77.85, 166.67) == 24.0 - hours  # McMurdo


@given(DAYS, st.floats(-90, 90), st.floats(-180, 180))
def test_any_day_of_any_place_has_0_to_24_hours(day: date, latitude: float, longitude: float) -> None:
    assert 0 <= daylight_hours(day, latitude, longitude) <= 24


@given(DAYS, st.floats(-50, 50), st.floats(-180, 180))
def test_night_here_is_nearly_the_day_of_the_other_hemisphere(day: date, latitude: float, longitude: float) -> None:
    """The two add up to a day and what the horizon of almanacs adds to each: at 50 degrees 14 minutes at most."""
    both = daylight_hours(day, latitude, longitude) + daylight_hours(day, -latitude, longitude)
    assert 24 <= both <= 24 + 28 / 60


@given(DAYS, st.floats(30, 60), st.floats(-180, 180))
def test_days_change_by_few_minutes(day: date, latitude: float, longitude: float) -> None:
    change = daylight_hours(day + timedelta(days=1), latitude, longitude) - daylight_hours(day, latitude, longitude)
    assert abs(change) < 6.5 / 60
