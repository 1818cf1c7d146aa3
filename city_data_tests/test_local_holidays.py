"""A town's own feasts: their three forms, and the years that a list covers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from dateutil.easter import easter
from hypothesis import given
from hypothesis import strategies as st

from city_data.calendar_days import calendar_day
from city_data.local_holidays import LocalHolidays

FORMS: list[dict[str, Any]] = [
    {"name": "Fixed", "source": "law", "every_year": "06-13"},
    {"name": "Whit Monday", "source": "law", "days_after_easter": 50},
    {"name": "Moved", "source": "council", "dates": ["2024-11-09", "2025-11-10"]},
]


def town(first: int, last: int | None, days: list[dict[str, Any]]) -> LocalHolidays:
    return LocalHolidays.model_validate({"first_year": first, "last_year": last, "source": "council", "days": days})


@given(st.integers(1900, 2100), st.integers(1990, 2024), st.one_of(st.none(), st.integers(2025, 2060)))
def test_each_covered_year_has_its_feasts_and_no_other_year_is_known(year: int, first: int, last: int | None) -> None:
    days = town(first, last, FORMS if last is not None else FORMS[:2]).of_year(year)
    if year < first or (last is not None and year > last):
        assert days is None
        return
    whit_monday = easter(year) + timedelta(days=50)
    assert whit_monday.weekday() == 0
    expected = {date(year, 6, 13): ["Fixed"]}
    expected[whit_monday] = [*expected.get(whit_monday, []), "Whit Monday"]
    if last is not None:
        expected |= {date.fromisoformat(day): ["Moved"] for day in FORMS[2]["dates"] if day.startswith(f"{year}-")}
    assert days == expected


def test_feasts_on_one_day_are_both_named() -> None:
    whit_monday = easter(2025) + timedelta(days=50)
    feasts = town(2025, 2025, [FORMS[1], FORMS[0] | {"every_year": f"{whit_monday:%m-%d}"}])
    assert feasts.of_year(2025) == {whit_monday: ["Whit Monday", "Fixed"]}
    assert calendar_day(whit_monday, "FR", "Zone C", feasts).town_holiday.name == "Whit Monday; Fixed"


def test_an_empty_list_says_that_there_are_none() -> None:
    none = town(2024, 2024, [])
    assert calendar_day(date(2024, 5, 15), "FR", "Zone C", none).town_holiday.is_known
    assert calendar_day(date(2024, 5, 15), "FR", "Zone C", none).public_holiday.is_known
    assert not calendar_day(date(2025, 5, 15), "FR", "Zone C", none).public_holiday.is_known
    assert not calendar_day(date(2024, 5, 15), "FR", None, none).public_holiday.is_known  # it may be the region's
    assert calendar_day(date(2024, 5, 15), "LU", None, none).public_holiday.is_known  # a country without regions


def test_feast_on_a_public_holiday_leaves_each_level_its_name() -> None:
    feasts = town(2025, 2025, [FORMS[0] | {"every_year": "12-25"}])
    day = calendar_day(date(2025, 12, 25), "ES", "MD", feasts)
    assert day.public_holiday.name == "Natividad del Señor; Fixed"
    assert (day.country_holiday.name, day.town_holiday.name) == ("Natividad del Señor", "Fixed")


def test_a_holiday_that_both_lists_name_is_the_towns() -> None:
    feasts = town(2009, None, [FORMS[0] | {"name": "Dia de Santo António"}])
    day = calendar_day(date(2026, 6, 13), "PT", "11", feasts)
    assert day.public_holiday.name == day.town_holiday.name == "Dia de Santo António"
    assert (day.region_holiday.name, day.region_holiday.is_known) == (None, True)
    without = calendar_day(date(2026, 6, 13), "PT", "11", None)
    assert without.public_holiday.name == without.region_holiday.name == "Dia de Santo António"


def test_source_of_a_day_is_that_of_its_feasts_or_of_the_list_and_of_no_other_year() -> None:
    feasts = town(2024, 2025, [FORMS[0], FORMS[1], FORMS[0] | {"name": "Other", "source": "decree"}])
    assert feasts.source_of(date(2025, 6, 13)) == "law; decree"
    assert feasts.source_of(easter(2025) + timedelta(days=50)) == "law"
    assert feasts.source_of(date(2025, 6, 14)) == "council"
    assert feasts.source_of(date(2026, 6, 13)) is None
