"""The calendar's bytes: the file of school vacations and the document of days, each read strictly.

Belongs here: formats, refusals, the sandbox's months by the oracle. Does not: what councils and ministries published
(test_openholidays.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.local_holidays import LocalHolidays
from city_data.pipeline.feeds import location
from city_data.providers.base import Location, Payload, PermanentError, Request
from city_data.providers.openholidays import OpenHolidaysSettings, schools
from city_data.providers.openholidays.school_lines import Pupils
from city_data.sandbox import Sandbox, running
from city_data.window import Month
from city_data_tests.oracles import openholidays as oracle
from city_data_tests.oracles.comparing import differences
from city_data_tests.oracles.received import Received
from city_data_tests.providers.cases import Case
from city_data_tests.providers.test_openholidays import FEEDS, PROVIDER, REGISTRY, parsed
from city_data_tests.providers.wire import FIXTURES
from city_data_tests.sandbox.asking import AS_OF, Asked

HEADER = "Id;Country;StartDate;EndDate;Type;RegionalScope;Name;Subdivisions;Comment"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("openholidays"), as_of=AS_OF) as served:
        yield served


def question(place: Location | None = None, **settings: str) -> Request:
    made = OpenHolidaysSettings.model_validate({"school_file": "es/holidays/holidays.school.md.csv"} | settings)
    return Request(place or location(REGISTRY.get("madrid")), Month(2026, 2), made, AS_OF)


def lines(*rows: str) -> bytes:
    return "\n".join([HEADER, *(f"id;ES;{row}" for row in rows), ""]).encode()


SCHOOL = "School;Regional;ES Navidad%2C Reyes,EN Christmas;MD"


def test_month_does_not_depend_on_todays_library_or_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(PROVIDER, FIXTURES / "openholidays")
    elsewhere = replace(case.request, location=Location("sevilla", 37.39, -5.99, "Europe/Madrid", "FR", "Zone A", None))
    monkeypatch.setattr("city_data.calendar_days._country", lambda _: None)
    pd.testing.assert_frame_equal(PROVIDER.parse(elsewhere, case.payloads()).frame, case.parse().frame)


def test_city_of_an_unknown_country_has_weekdays_and_nothing_else(tmp_path: Path) -> None:
    request = question(place=Location("town", 1.0, 2.0, "Europe/Madrid"))
    month = parsed(replace(request, settings=OpenHolidaysSettings()), None, tmp_path)
    known = [name for name in month.frame.columns if name.endswith("_known")]
    assert len(known) == 4
    assert not month.frame[known].any(axis=None)
    assert month.frame[[name.removesuffix("_known") for name in known]].isna().all(axis=None)
    assert month.frame["school_free"].isna().all()
    assert month.frame["weekday"].tolist()[:3] == [6, 0, 1]
    assert all(row == {"sources": {}} for row in month.frame["raw_data"])


def test_city_of_a_country_without_a_file_has_holidays_without_a_call(tmp_path: Path, sandbox: Sandbox) -> None:
    place = Location("sydney", -33.9, 151.2, "Australia/Sydney", "AU", "NSW")
    request = replace(question(place), month=Month(2026, 1), settings=OpenHolidaysSettings())
    before = sandbox.answered.copy()
    payloads = PROVIDER.fetch(request, Asked(sandbox, "openholidays", "2026-01").http, tmp_path)
    month = PROVIDER.parse(request, payloads)
    assert sandbox.answered == before
    assert PROVIDER.calls(request.settings) == 0
    holidays = month.frame.set_index(pd.Index(request.month.days()))["public_holiday"].dropna()
    assert list(holidays.index) == [date(2026, 1, 1), date(2026, 1, 26)]
    assert month.frame["country_holiday_known"].all()
    assert month.frame["school_free"].isna().all()
    assert not month.frame["town_holiday_known"].any()


def test_texts_of_the_registry_may_stand_on_several_lines(tmp_path: Path) -> None:
    madrid = location(REGISTRY.get("madrid"))
    assert madrid.local_holidays is not None
    town = madrid.local_holidays.model_copy(update={"source": "law\n  and decree"})
    request = question(replace(madrid, local_holidays=town), subdivision="MD")
    month = parsed(request, lines(f"2026-02-02;;{SCHOOL};"), tmp_path)
    assert month.frame["raw_data"].iloc[0]["sources"]["town_holiday"] == "law and decree"


FEASTS = [
    {"name": "Fixed", "source": "law", "every_year": "06-13"},
    {"name": "Moved", "source": "council", "dates": ["2024-11-09", "2025-11-10"]},
]


OTHERS = [((2024, 2025), FEASTS[:1]), ((2024, 2026), FEASTS), ((2023, 2025), FEASTS), ((2024, 2025), FEASTS[1:])]


def test_origin_differs_where_the_list_of_the_town_does(tmp_path: Path) -> None:
    madrid = location(REGISTRY.get("madrid"))

    def origin(first: int, last: int, feasts: list[dict[str, Any]]) -> str:
        listed = {"first_year": first, "last_year": last, "source": "council", "days": feasts}
        place = replace(madrid, local_holidays=LocalHolidays.model_validate(listed))
        month = parsed(replace(question(place), settings=OpenHolidaysSettings()), None, tmp_path)
        return str(month.provenance["holidays"]["local_holidays"])

    assert origin(2024, 2025, FEASTS) == origin(2024, 2025, FEASTS)
    origins = {origin(*years, feasts) for years, feasts in [((2024, 2025), FEASTS), *OTHERS]}
    assert len(origins) == 1 + len(OTHERS)


def test_silence_between_two_school_years_that_the_file_lacks_is_unknown() -> None:
    years = schools.read(
        lines(f"2024-12-21;2025-01-07;{SCHOOL};", f"2025-12-20;2026-01-07;{SCHOOL};"), Pupils("ES", "MD")
    )
    assert [years.is_known(date.fromisoformat(day)) for day in ("2024-12-20", "2025-01-07", "2025-01-08")] == [
        False,
        True,
        False,
    ]
    assert (years.first_day, years.last_day) == (date(2024, 12, 21), date(2026, 1, 7))
    assert years.vacation(date(2024, 12, 24)) == "Navidad, Reyes"


REFUSED = {
    "lacks EndDate": b"Id;Country;StartDate;Type;RegionalScope;Name;Subdivisions\n",
    "lacks Subdivisions": b"Id;Country;StartDate;EndDate;Type;RegionalScope;Name\n",
    "has no line of 'MD'; it has CM": lines("2026-02-02;;School;Regional;ES Navidad;CM;"),
    "'02/02/2026' is not a date": lines(f"02/02/2026;;{SCHOOL};"),
    "'2026-02-30' is not a date": lines(f"2026-02-30;;{SCHOOL};"),
    "before it begins": lines(f"2026-02-02;2026-02-01;{SCHOOL};"),
    # A line of France's once did: Zone C's spring of 2020.
    "no vacation is as long": lines(f"2020-04-05;2021-04-19;{SCHOOL};"),
    "3 of 3 cells of 'Name' cannot be used": lines(*(f"2026-02-0{n};;School;Regional;Navidad;MD;" for n in (2, 3, 4))),
    "the type 'Vacation' is unknown": lines("2026-02-02;;Vacation;Regional;ES Navidad;MD;"),
    "none of the file's 1 lines is of ES, MD": lines("2026-02-02;;Optional;Regional;ES Navidad;MD;"),
    # Two stray quotes, which would swallow the lines between them.
    "goes on over a line's end": lines(
        f'2026-02-02;;{SCHOOL};"', f"2026-02-03;;{SCHOOL};", f'2026-02-04;;{SCHOOL};"', f"2026-02-05;;{SCHOOL};"
    ),
    "line 3 has 8 cells, not 9": lines(f"2026-02-02;;{SCHOOL};", f"2026-02-03;;{SCHOOL}"),
    "cannot be read": HEADER.encode("utf-16"),
    "set `pupils` to words": lines(f"2026-06-05;2026-09-01;{SCHOOL};ES 9.º", f"2026-06-12;2026-09-01;{SCHOOL};ES 1.º"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_file_of_another_format_is_refused(tmp_path: Path, words: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parsed(question(subdivision="MD"), REFUSED[words], tmp_path)
    assert words in str(caught.value)
    assert str(caught.value).startswith("openholidays: madrid 2026-02: ")


def test_regions_of_a_file_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="set `subdivision` to the city's"):
        parsed(question(), lines(f"2026-02-02;;{SCHOOL};"), tmp_path)


def changed(change: Mapping[str, Any]) -> bytes:
    document = json.loads((FIXTURES / "openholidays" / "days.json").read_bytes())
    document["days"][3] |= change
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "is not JSON"),
        (b'{"origin": {}, "origin": {"library": "x"}, "days": []}', "two values"),
        (b'{"origin": {}, "days": []}', "not exactly the days of 2026-02"),
        (changed({"date": "2026-02-05"}), "not exactly the days of 2026-02"),
        (changed({"is_weekend": 1}), "days.3.is_weekend"),
        (changed({"school_vacation": "a\x00b"}), "control characters"),
        (changed({"town": {"name": "Feast", "is_known": False, "source": None}}), "and yet not known"),
        (changed({"surprise": 1}), "days.3.surprise"),
    ],
)
def test_document_of_other_days_is_refused(tmp_path: Path, body: bytes, words: str) -> None:
    case = Case(PROVIDER, FIXTURES / "openholidays")
    path = tmp_path / "days.json"
    path.write_bytes(body)
    with pytest.raises(PermanentError) as caught:
        PROVIDER.parse(case.request, [Payload("days.json", path, "https://example.org/"), case.payloads()[1]])
    assert words in str(caught.value)


def test_fixture_equals_its_oracle() -> None:
    case = Case(PROVIDER, FIXTURES / "openholidays")
    bodies = [Received.of(payload.name, payload.path.read_bytes()) for payload in case.payloads()]
    columns = list(PROVIDER.capabilities.columns)
    assert differences(case.parse(), oracle.month(bodies, case.request), columns) == []


@pytest.mark.parametrize("city_id", FEEDS)
@pytest.mark.parametrize("month", ["2026-12", "2027-08"])
def test_sandbox_month_of_every_city_equals_its_oracle(
    sandbox: Sandbox, tmp_path: Path, city_id: str, month: str
) -> None:
    feed = FEEDS[city_id]
    request = feed.request(feed.primary, Month.parse(month), AS_OF)
    payloads = PROVIDER.fetch(request, Asked(sandbox, "openholidays", month).http, tmp_path)
    made = PROVIDER.parse(request, payloads)
    bodies = [Received.of(payload.name, payload.path.read_bytes()) for payload in payloads]
    assert differences(made, oracle.month(bodies, request), list(PROVIDER.capabilities.columns)) == []
    assert set(made.frame["source"]) == {"sandbox:openholidays"}
    assert made.frame["school_free"].any() if month == "2026-12" else made.frame["school_free"].isna().all()


def test_sample_is_as_new_as_the_last_day_with_schools(sandbox: Sandbox, tmp_path: Path) -> None:
    feed = FEEDS["madrid"]
    request = feed.request(feed.primary, Month(2026, 11), AS_OF)
    sample = PROVIDER.sample(request, Asked(sandbox, "openholidays", "2026-11").http, tmp_path)
    assert sample.newest is not None
    assert sample.newest.astimezone(UTC) == datetime(2027, 6, 18, 22, tzinfo=UTC)
    assert len(sample.payloads) == 2
