"""Doubtful files of school vacations: what a wrong line costs, and answers that are no file.

Belongs here: files that are read in part, and what their silence means. Does not: files that are refused
(test_openholidays_bytes.py), or what ministries published (test_openholidays.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from city_data.providers.base import ParsedMonth, PermanentError, TransientError
from city_data.providers.http import HttpSettings
from city_data.providers.openholidays import OpenHolidaysSettings
from city_data.sandbox import Sandbox, running
from city_data.window import Month
from city_data_tests.providers.test_openholidays import PROVIDER, parsed
from city_data_tests.providers.test_openholidays_bytes import HEADER, lines, question
from city_data_tests.sandbox.asking import AS_OF, Asked, accounted

YEAR = (
    "2025-12-20;2026-01-06;School;Regional;ES Navidad;MD;",
    "2026-02-16;2026-02-18;School;Regional;ES Carnaval;MD;",
    "2026-03-28;2026-04-06;School;Regional;ES Semana Santa;MD;",
    "2026-06-19;;EndOfLessons;Regional;ES Fin de lecciones;MD;",
)
CARNIVAL = [date(2026, 2, day) for day in (16, 17, 18)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("doubt"), as_of=AS_OF) as served:
        yield served


def month_of(body: bytes, folder: Path, month: str = "2026-02", **settings: str) -> ParsedMonth:
    asked = question(**({"subdivision": "MD"} | settings))
    return accounted(parsed(replace(asked, month=Month.parse(month)), body, folder))


def free_days(made: ParsedMonth) -> list[date]:
    days = made.frame["date"].dt.tz_convert("Europe/Madrid").dt.date
    return [day for day, is_free in zip(days, made.frame["school_free"], strict=True) if is_free]


def unknown_days(made: ParsedMonth) -> int:
    return int(made.frame["school_free"].isna().sum())


def test_school_year_is_read(tmp_path: Path) -> None:
    made = month_of(lines(*YEAR), tmp_path)
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 0)
    assert (made.nulled, made.rejected) == ({}, {})


WRONG = (
    *("2026-02-16;2026-02-13", "2026-02-16;2025-02-18", "2026-02-16;2027-02-18"),
    *("2026-02-16;18/02/2026", "x;2026-02-18", "2026-02-16;9999-12-31", "0001-01-01;2026-02-18"),
)


@pytest.mark.parametrize("dates", WRONG)
def test_line_with_impossible_dates_leaves_the_days_around_them_unknown(tmp_path: Path, dates: str) -> None:
    """Without that line these days would be school days."""
    wrong = YEAR[1].replace("2026-02-16;2026-02-18", dates)
    made = month_of(lines(YEAR[0], wrong, *YEAR[2:]), tmp_path)
    assert free_days(made) == []
    assert all(made.frame["school_free"].iloc[day.day - 1] is None for day in CARNIVAL)
    assert made.rejected == {"broken_line": 1}


def test_wrong_line_of_another_year_costs_this_year_nothing(tmp_path: Path) -> None:
    """A line of the database once ended a year late."""
    made = month_of(lines("2020-04-05;2021-04-19;School;Regional;ES Primavera;MD;", *YEAR), tmp_path)
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 0)
    assert made.rejected == {"broken_line": 1}


def test_vacation_of_another_line_is_known_among_doubtful_days(tmp_path: Path) -> None:
    made = month_of(lines(*YEAR, "2026-02-20;2026-02-10;School;Regional;ES Otra;MD;"), tmp_path)
    assert free_days(made) == CARNIVAL
    assert unknown_days(made) == 28 - len(CARNIVAL)


@pytest.mark.parametrize("name", ["", "ES ", "Carnaval", "es Carnaval"])
def test_vacation_without_a_name_is_one_and_its_name_counts_as_missing(tmp_path: Path, name: str) -> None:
    made = month_of(lines(YEAR[0], YEAR[1].replace("ES Carnaval", name), *YEAR[2:]), tmp_path)
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 0)
    assert made.frame["school_vacation"].isna().all()
    assert made.nulled == {"unreadable:Name": 1}


def test_name_is_the_first_of_those_that_there_are(tmp_path: Path) -> None:
    made = month_of(
        lines(YEAR[0], YEAR[1].replace("ES Carnaval", "EN Carnival%2C 3 days,DE Fasching"), *YEAR[2:]), tmp_path
    )
    assert set(made.frame["school_vacation"].dropna()) == {"Carnival, 3 days"}


@pytest.mark.parametrize("codes", ["", " ", "CT, MD", "MD ,CT"])
def test_line_of_the_whole_country_or_of_several_regions_is_the_regions_too(tmp_path: Path, codes: str) -> None:
    made = month_of(lines(YEAR[0], YEAR[1].replace(";MD;", f";{codes};"), *YEAR[2:]), tmp_path)
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 0)


def test_part_of_a_region_has_the_lines_of_the_region_and_none_of_its_other_parts(tmp_path: Path) -> None:
    rows = [line.replace(";MD;", ";AN;") for line in (YEAR[0], YEAR[1], YEAR[3])]
    body = lines(*rows, YEAR[2].replace(";MD;", ";AN-SE,AN-CA;"), "2026-02-20;;School;Regional;ES Fiesta;AN-CA,AN-S;")
    made = month_of(body, tmp_path, subdivision="AN-SE")
    assert (free_days(made), unknown_days(made), made.rejected) == (CARNIVAL, 0, {"other_subdivision": 1})
    assert len(free_days(month_of(body, tmp_path, "2026-04", subdivision="AN-SE"))) == 6
    assert month_of(body, tmp_path, subdivision="AN").rejected == {"other_subdivision": 2}, "a part is not the whole"


def with_groups(*codes: str) -> bytes:
    """The school year with the groups of each line."""
    rows = [f"id;ES;{line}{code}" for line, code in zip(YEAR, codes, strict=True)]
    return "\n".join([HEADER.replace("Comment", "Groups"), *rows, ""]).encode()


def test_lines_of_other_groups_of_schools_are_none_of_these(tmp_path: Path) -> None:
    """The database has vocational schools of Zurich (ZH-BS) beside its primary schools (ZH-VS)."""
    body = with_groups("", "MD-VS, MD-BS", "MD-BS", "MD-VS")
    made = month_of(body, tmp_path, group="MD-VS")
    assert (free_days(made), made.rejected) == (CARNIVAL, {"other_pupils": 1})
    assert (free_days(month_of(body, tmp_path, group="MD-BS")), "Groups" in made.fields) == (CARNIVAL, True)
    assert free_days(month_of(lines(*YEAR), tmp_path, group="MD-VS")) == CARNIVAL, "a file without groups is of all"


@pytest.mark.parametrize(("group", "said"), [("", "set `group` to one"), ("MD-XX", "no line of the group 'MD-XX'")])
def test_groups_of_schools_are_not_mixed(tmp_path: Path, group: str, said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        month_of(with_groups("MD-VS", "MD-BS", "", ""), tmp_path, **({"group": group} if group else {}))


def test_pupils_that_no_comment_names_are_refused(tmp_path: Path) -> None:
    """Their summers would be missing, such as after other words, or in another charset."""
    body = lines(*YEAR, "2026-06-20;2026-09-01;School;Regional;ES Verano;MD;ES Educación infantil")
    assert month_of(body, tmp_path, pupils="infantil").rejected == {}
    with pytest.raises(PermanentError, match="no comment has the words 'pré-escolar'"):
        month_of(body, tmp_path, pupils="pré-escolar")
    assert free_days(month_of(lines(*YEAR), tmp_path, pupils="infantil")) == CARNIVAL


def test_days_that_a_file_leaves_to_towns_are_unknown_unless_it_has_a_vacation(tmp_path: Path) -> None:
    asked = question(subdivision="MD")
    settings = asked.settings.model_copy(update={"unlisted": ("02-10", "02-20")})
    made = accounted(parsed(replace(asked, settings=settings), lines(*YEAR), tmp_path))
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 11 - len(CARNIVAL))
    assert "school_free" not in made.frame["raw_data"].iloc[9]["sources"]
    for wrong in (("03-01", "02-01"), ("2-1", "3-1"), ("02-01",)):
        with pytest.raises(ValueError, match="unlisted"):
            OpenHolidaysSettings.model_validate({"unlisted": wrong})


def test_region_that_no_line_names_has_not_the_country_s_lines_alone(tmp_path: Path) -> None:
    body = lines(*(line.replace(";MD;", ";;") for line in YEAR[:2]), *YEAR[2:])
    with pytest.raises(PermanentError, match="has no line of 'XX'; it has MD"):
        month_of(body, tmp_path, subdivision="XX")


def test_town_s_own_line_is_not_the_region_s(tmp_path: Path) -> None:
    made = month_of(lines(*YEAR, "2026-02-23;;School;Local;ES Fiesta;MD;"), tmp_path)
    assert free_days(made) == CARNIVAL
    assert made.rejected == {"other_town": 1}


def test_lines_of_another_country_are_none_of_the_city_s(tmp_path: Path) -> None:
    foreign = lines(*YEAR).replace(b"id;ES;2026-02", b"id;PT;2026-02")
    assert month_of(foreign, tmp_path).rejected == {"other_country": 1}
    with pytest.raises(PermanentError, match="none of the file's 4 lines is of PT"):
        parsed(
            question(school_file="pt/holidays/holidays.school.csv"),
            lines(*(one.replace("MD", "") for one in YEAR)),
            tmp_path,
        )


@pytest.mark.parametrize("month", ["2026-07", "2026-08", "2026-09"])
def test_summer_that_the_file_lacks_is_unknown_though_the_next_year_follows_soon(tmp_path: Path, month: str) -> None:
    """From the end of lessons to autumn is no longer than a term, and no term."""
    more = (
        "2026-10-17;2026-11-01;School;Regional;ES Otoño;MD;",
        "2026-12-19;2027-01-07;School;Regional;ES Navidad;MD;",
    )
    made = month_of(lines(*YEAR, *more), tmp_path, month)
    assert unknown_days(made) == len(made.frame)
    assert unknown_days(month_of(lines(*YEAR, *more), tmp_path, "2026-11")) == 0


def test_days_before_the_return_to_school_are_unknown_without_a_vacation(tmp_path: Path) -> None:
    back = "2026-09-08;;BackToSchool;Regional;ES Vuelta;MD;", "2026-10-12;;School;Regional;ES Puente;MD;"
    made = month_of(lines(YEAR[2], *back), tmp_path, "2026-09")
    assert unknown_days(made) == 7
    assert free_days(made) == []


@pytest.mark.parametrize(
    "spelling",
    [
        lambda body: body.replace(b"StartDate;", b" StartDate ;").replace(b"Name", b"NAME"),
        lambda body: body.upper().replace(b"SCHOOL", b"School").replace(b"ENDOFLESSONS", b"EndOfLessons"),
        lambda body: body.replace(b"\n", b"\r\n"),
        lambda body: body.replace(b"\n", b"\n\n \n;;;;;;;;\n"),
        lambda body: body.replace(b"\n", b";;;;\n"),
        lambda body: body.replace(b";", b" ; "),
        lambda body: b"\xef\xbb\xbf" + body.rstrip(b"\n"),
    ],
)  # fmt: skip
def test_spelling_of_a_spreadsheet_is_read(tmp_path: Path, spelling: Callable[[bytes], bytes]) -> None:
    made = month_of(spelling(lines(*YEAR)), tmp_path)
    assert (free_days(made), unknown_days(made)) == (CARNIVAL, 0)


NO_FILE = {
    "a limit as a text": b"429: Too Many Requests\nFor more on scraping GitHub, see its terms\n",
    "an error as JSON": b'{"message": "API rate limit exceeded for 203.0.113.7"}',
    "an error as JSON on lines": b'{"message": "Not Found", "status": 404,\n "documentation_url": "https://a"}\n',
    "an error as a sentence": b"Bad gateway, please try again;\nray id 1\n",
    "a line that breaks off": lines(*YEAR)[:-60],
    "a header that breaks off": HEADER[:3].encode(),
}


@pytest.mark.parametrize("answer", NO_FILE)
def test_answer_that_is_no_whole_file_is_a_passing_fault_and_not_archived(
    sandbox: Sandbox, tmp_path: Path, answer: str
) -> None:
    sandbox.faults.order("holidays.school", body=NO_FILE[answer].decode())
    asked = Asked(sandbox, "openholidays", "2026-02")
    with pytest.raises(TransientError, match="openholidays: madrid 2026-02: "):
        PROVIDER.fetch(question(subdivision="MD"), replace(asked.http, settings=HttpSettings(attempts=1)), tmp_path)
    sandbox.faults.clear()


@pytest.mark.parametrize("charset", ["latin-1", "utf-16"])
def test_table_in_another_charset_is_no_passing_fault(sandbox: Sandbox, tmp_path: Path, charset: str) -> None:
    sandbox.faults.order("holidays.school", charset=charset)
    asked = question(subdivision="MD")
    payloads = PROVIDER.fetch(asked, Asked(sandbox, "openholidays", "2026-02").http, tmp_path)
    sandbox.faults.clear()
    with pytest.raises(PermanentError, match="the file of school vacations cannot be read"):
        PROVIDER.parse(asked, payloads)
