"""The calendar by the provider's parse: what councils and ministries published, and where its knowledge ends.

Belongs here: the meaning of the file of school vacations and of the document of days. Does not: what every provider
owes (test_contract.py), or the holidays themselves (test_calendar_days.py, test_shipped_calendars.py).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from city_data.cities import load_registry
from city_data.pipeline.feeds import enabled_feeds
from city_data.providers import discover
from city_data.providers.base import ParsedMonth, Payload, Request
from city_data.providers.openholidays import OpenHolidaysSettings, month_days
from city_data.window import Month
from city_data_tests.providers.wire import RECORDED
from city_data_tests.sandbox.asking import AS_OF
from city_data_tests.test_shipped_calendars import ASCENSION, MUNICIPAL

PROVIDER = discover()["openholidays"]
REGISTRY = load_registry(environ={})
FEEDS = {feed.city.city_id: feed for feed in enabled_feeds(REGISTRY) if feed.dataset.name == "calendar"}
# The files of the shipped cities, as recorded on 21 January 2026; Valencia's and Zurich's were not.
FILES = {
    "madrid": "es_school_md.csv",
    "barcelona": "es_school_ct.csv",
    "lisbon": "pt_school.csv",
    "paris": "fr_school.csv",
    "lyon": "fr_school.csv",
}

# From the end of lessons, on a Saturday, to the day before they begin again. Zones A and C; both where one is named.
# Arrêté of 7 December 2022 on the school years 2023/24 to 2025/26; the calendar of 2026/27 by the ministry.
FRENCH = {
    "AC": [
        ("2023-12-23", "2024-01-07"),
        ("2024-07-06", "2024-09-01"),
        ("2024-10-19", "2024-11-03"),
        ("2024-12-21", "2025-01-05"),
        ("2025-07-05", "2025-08-31"),
        ("2025-10-18", "2025-11-02"),
        ("2025-12-20", "2026-01-04"),
        ("2026-07-04", "2026-08-31"),
        ("2026-10-17", "2026-11-01"),
        ("2026-12-19", "2027-01-03"),
        ("2027-05-06", "2027-05-09"),
    ],
    "A": [
        ("2024-02-17", "2024-03-03"),
        ("2024-04-13", "2024-04-28"),
        ("2025-02-22", "2025-03-09"),
        ("2025-04-19", "2025-05-04"),
        ("2026-02-07", "2026-02-22"),
        ("2026-04-04", "2026-04-19"),
        ("2027-02-13", "2027-02-28"),
        ("2027-04-10", "2027-04-25"),
    ],
    "C": [
        ("2024-02-10", "2024-02-25"),
        ("2024-04-06", "2024-04-21"),
        ("2025-02-15", "2025-03-02"),
        ("2025-04-12", "2025-04-27"),
        ("2026-02-21", "2026-03-08"),
        ("2026-04-18", "2026-05-03"),
        ("2027-02-06", "2027-02-21"),
        ("2027-04-03", "2027-04-18"),
    ],
}


def parsed(request: Request, body: bytes | None, folder: Path) -> ParsedMonth:
    payloads = [month_days.write(request, folder)]
    if body is not None:
        (folder / "schools.csv").write_bytes(body)
        payloads.append(Payload("schools.csv", folder / "schools.csv", "https://example.org/"))
    return PROVIDER.parse(request, payloads)


@cache
def shipped(city_id: str, first: str, last: str) -> dict[date, dict[str, Any]]:
    """The days of a shipped city, by the recorded file where there is one."""
    feed = FEEDS[city_id]
    settings, body = OpenHolidaysSettings(), None
    if city_id in FILES:
        settings, body = feed.primary.settings, (RECORDED / "openholidays" / FILES[city_id]).read_bytes()  # type: ignore[assignment]
    days: dict[date, dict[str, Any]] = {}
    with TemporaryDirectory() as folder:
        for month in Month.parse(first).until(Month.parse(last) + 1):
            request = replace(feed.request(feed.primary, month, AS_OF), settings=settings)
            rows = parsed(request, body, Path(folder)).frame.to_dict("records")
            days |= {day: {str(k): v for k, v in row.items()} for day, row in zip(month.days(), rows, strict=True)}
    return days


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("city_id", "year"), MUNICIPAL)
def test_municipal_holidays_are_those_published_with_their_source(city_id: str, year: int) -> None:
    days = shipped(city_id, f"{year}-01", f"{year}-12")
    named = {str(day): row["town_holiday"] for day, row in days.items() if row["town_holiday"] is not None}
    assert named == MUNICIPAL[city_id, year]
    assert all(row["town_holiday_known"] and row["public_holiday_known"] for row in days.values())
    for day in map(date.fromisoformat, named):
        assert days[day]["town_holiday"] in days[day]["public_holiday"]
        assert len(days[day]["raw_data"]["sources"]["town_holiday"]) > 10


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("city_id", ["madrid", "valencia", "barcelona"])
def test_levels_without_a_published_decision_for_2027_are_unknown_and_the_country_s_is_not(city_id: str) -> None:
    for row in shipped(city_id, "2027-01", "2027-12").values():
        for level in ("region", "town"):
            assert (row[f"{level}_holiday"], row[f"{level}_holiday_known"]) == (None, False)
            assert f"{level}_holiday" not in row["raw_data"]["sources"]
        assert row["country_holiday_known"] is True
        assert row["public_holiday"] == row["country_holiday"]
        assert row["public_holiday_known"] == (row["public_holiday"] is not None)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("city_id", "zone"), [("lyon", "A"), ("paris", "C")])
def test_french_school_zones_are_those_of_the_ministry(city_id: str, zone: str) -> None:
    """Weekdays: the database begins a vacation on the Sunday after the last lessons."""
    free = set(map(date.fromisoformat, ASCENSION))
    for first, last in [*FRENCH["AC"], *FRENCH[zone]]:
        start = date.fromisoformat(first)
        free |= {start + timedelta(days=n) for n in range((date.fromisoformat(last) - start).days + 1)}
    days = shipped(city_id, "2024-01", "2027-08")
    compared = {day: row for day, row in days.items() if day.weekday() < 5 and day <= date(2027, 7, 3)}
    assert {day for day, row in compared.items() if row["school_free"]} == free & compared.keys()
    assert all(row["school_free"] is not None for row in compared.values())
    # The database has no Ascension of 2024 to 2026: the library has, and the row says so.
    added = {str(day) for day, row in compared.items() if row["raw_data"]["sources"].get("school_free") == "holidays"}
    assert added == ASCENSION


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("city_id", "last"),
    [("madrid", date(2026, 6, 19)), ("barcelona", date(2026, 6, 19)), ("paris", date(2027, 7, 3))],
)
def test_schools_are_unknown_after_the_last_day_of_the_file(city_id: str, last: date) -> None:
    """The library has vacations for ever, which nobody decreed."""
    for day, row in shipped(city_id, str(Month.of(last)), "2027-12").items():
        assert (row["school_free"] is None) == (day > last), day
        assert row["school_vacation"] is None or day <= last
        assert ("school_free" in row["raw_data"]["sources"]) == (day <= last)


@pytest.mark.usefixtures("recorded")
def test_vacations_of_lisbon_are_those_of_the_youngest() -> None:
    """Despacho 8368/2024: lessons of the first cycle ended on 27 June 2025, of the ninth year on 6 June."""
    days = shipped("lisbon", "2025-06", "2025-07")
    assert next(day for day, row in days.items() if row["school_free"]) == date(2025, 6, 28)
    assert days[date(2025, 7, 1)]["school_vacation"] == "Férias de verão"


@pytest.mark.usefixtures("recorded")
def test_single_days_without_lessons_are_free_in_madrid() -> None:
    """The days before and after a vacation that the file names of their own, in 2024/25."""
    days = shipped("madrid", "2024-12", "2025-04")
    free = [str(day) for day, row in days.items() if row["school_free"]]
    assert free[:2] == ["2024-12-21", "2024-12-22"]
    assert {"2025-01-07", "2025-04-11", "2025-04-21"} <= set(free)
    assert not {"2025-01-08", "2025-04-10", "2025-04-22"} & set(free)
    assert days[date(2024, 12, 24)]["school_vacation"] == "Vacaciones de Navidad"
