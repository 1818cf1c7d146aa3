"""Calendar days: names that do not depend on the machine, and unknown holidays as unknown."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.calendar_days import calendar_day, regions
from city_data.cities import load_registry

COUNTRIES = ["ES", "PT", "FR", "DE", "SA", "US", "ZZ"]
DAYS = st.dates(date(1850, 1, 1), date(2150, 12, 31))


@given(DAYS, st.sampled_from(COUNTRIES))
def test_every_day_has_its_weekday_in_every_country(day: date, country: str) -> None:
    day_record = calendar_day(day, country, None)
    assert day_record.weekday == day.weekday()
    assert day_record == calendar_day(day, country, None)
    following = calendar_day(day + timedelta(days=7), country, None)
    assert (following.weekday, following.is_weekend) == (day_record.weekday, day_record.is_weekend)
    levels = (day_record.public_holiday, day_record.country_holiday, day_record.region_holiday, day_record.town_holiday)
    assert all(level.is_known or level.name is None for level in levels)
    assert not day_record.town_holiday.is_known  # without the town's list nothing of it is known
    assert day_record.school_free is None  # without a region no country's school year is known


@given(st.dates(date(2018, 1, 1), date(2026, 12, 31)), st.sampled_from(["Zone A", "Zone B", "Zone C"]))
def test_partial_school_years_are_unknown(day: date, zone: str) -> None:
    assert calendar_day(day, "FR", zone).school_free is not None


@given(st.dates(date(2010, 1, 1), date(2026, 12, 31)), st.sampled_from(["MD", "CT", "VC"]))
def test_regional_holidays_include_the_national_ones(day: date, region: str) -> None:
    everywhere, here = calendar_day(day, "ES", None), calendar_day(day, "ES", region)
    assert everywhere.public_holiday.name is None or here.public_holiday.name is not None
    assert here.region_holiday.is_known
    assert not everywhere.region_holiday.is_known
    assert here.public_holiday.name == (here.country_holiday.name or here.region_holiday.name)
    assert here.school_free is None


@pytest.mark.parametrize(
    ("day", "country", "region", "name"),
    [
        (date(2025, 5, 2), "ES", "MD", "Fiesta de la Comunidad de Madrid"),
        (date(2025, 5, 2), "ES", "CT", None),
        (date(2025, 9, 11), "ES", "CT", "Fiesta Nacional de Cataluña"),
        (date(2025, 10, 9), "ES", "VC", "Día de la Comunidad Valenciana"),
        (date(2026, 6, 13), "PT", "11", "Dia de Santo António"),
        (date(2026, 6, 13), "PT", None, None),
        (date(2026, 7, 14), "FR", "Zone C", "Fête nationale"),
    ],
)
def test_holidays_of_a_region(day: date, country: str, region: str | None, name: str | None) -> None:
    assert calendar_day(day, country, region).public_holiday.name == name


def test_school_vacations_are_known_where_the_library_has_them() -> None:
    august, september = (calendar_day(date(2026, *day), "FR", "Zone C") for day in ((8, 3), (9, 14)))
    assert (august.school_free, august.school_vacation) == (True, "Vacances d'été")
    assert (september.school_free, september.school_vacation) == (False, None)
    # Of 2017 the library has the autumn alone, of Bulgaria one day a year: the others may be vacations all the same.
    assert calendar_day(date(2017, 3, 1), "FR", "Zone C").school_free is None
    assert calendar_day(date(2026, 3, 2), "BG", None).school_free is None


def test_unknown_holidays_are_none_and_not_false() -> None:
    assert not calendar_day(date(2026, 12, 25), "ZZ", None).country_holiday.is_known
    assert not calendar_day(date(1900, 12, 25), "ES", "MD").country_holiday.is_known
    christmas, after = calendar_day(date(2026, 12, 25), "ES", "MD"), calendar_day(date(2026, 12, 26), "ES", "MD")
    assert (christmas.public_holiday.is_known, christmas.country_holiday.is_known) == (True, True)
    assert (after.public_holiday.is_known, after.country_holiday.is_known) == (False, True)  # it may be the town's
    assert calendar_day(date(2026, 7, 3), "SA", None).is_weekend  # a Friday


def test_names_are_the_countrys_whatever_the_machines_language() -> None:
    script = (
        "from datetime import date; from city_data.calendar_days import calendar_day;"
        "print(calendar_day(date(2026, 12, 25), 'ES', 'MD').public_holiday.name)"
    )
    output = set()
    for language in ("en_US.UTF-8", "es_ES.UTF-8", "C.UTF-8"):
        variables = {
            **os.environ,
            "LANG": language,
            "LC_ALL": language,
            "LANGUAGE": language,
            "PYTHONIOENCODING": "utf-8",
        }
        done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
        output.add(done.stdout.strip())
    assert output == {"Natividad del Señor"}


def test_every_shipped_city_has_a_region() -> None:
    for city in load_registry(environ={}).all():
        assert city.region in regions(city.country)
