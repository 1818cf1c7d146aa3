"""Barcelona's rows in malformed files: repeats, notations, footers, formats. A state is right or missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from city_data.providers.base import ParsedMonth, PermanentError
from city_data_tests.providers.barcelona_files import HEADER, parsed, written

MONTH = "2026-09"


def good(hours: int = 6) -> list[str]:
    """Three segments each half hour."""
    stamps = [f"202609010{n // 2}{n % 2 * 30:02d}00" for n in range(2 * hours)]
    return [f"{segment},{stamp},{segment},0" for stamp in stamps for segment in (1, 2, 3)]


def month_of(folder: Path, lines: list[str]) -> ParsedMonth:
    return parsed(written(folder, "\n".join([HEADER, *lines]) + "\n"), MONTH)


def means(made: ParsedMonth) -> list[float]:
    return [detail["mean_state"] for detail in made.frame["raw_data"]]


ONE_STAMP = r"(2026)(\d\d)(\d\d)(\d\d)(\d\d)(00)"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "a blank last line": lambda text: f"{text}\n",
    "blank last lines": lambda text: f"{text}\r\n \n,,,\n",
    "a footer": lambda text: f"{text}(18 rows affected)\n",
    "a footer of two lines": lambda text: f"{text}\nFont: Ajuntament de Barcelona\n-- fi --",
    "a footer that begins with a number": lambda text: f"{text}36 files\n",
    "decimal states": lambda text: text.replace(",0\n", ",0.0\n").replace(",2,", ",2.0,"),
    "decimal segments": lambda text: text.replace("\n3,", "\n3.0,"),
    "blanks in the header": lambda text: text.replace(",data", ", data ", 1),
    "a comma at the end of each row": lambda text: text.replace(",0\n", ",0,\n"),
    "commas at the end of some rows": lambda text: text.replace(",2,0\n", ",2,0,,,\n"),
    "blanks beyond the header": lambda text: text.replace(",2,0\n", ',2,0, ,"",\u00a0,\n'),
    "a short first row": lambda text: text.replace(HEADER, f"{HEADER}\n(36 rows)"),
    "stamps as ISO dates": lambda text: re.sub(ONE_STAMP, r"\1-\2-\3T\4:\5:\6", text),
    "stamps without seconds": lambda text: re.sub(ONE_STAMP, r"\1\2\3\4\5", text),
    "stamps in words of a database": lambda text: re.sub(ONE_STAMP, r"\1-\2-\3 \4:\5:\6.000", text),
    "some stamps with decimals": lambda text: text.replace("00,1,0", "00.0,1,0"),
    "an upper-case header": lambda text: text.replace(HEADER, HEADER.upper()),
    "one stray quote": lambda text: text.replace("\n2,", '\n"2,', 1),
    "a stray quote on a stamp": lambda text: text.replace("00,", '00",', 1),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_month_in_an_unusual_but_unambiguous_format_is_read(tmp_path: Path, spelling: str) -> None:
    plain = month_of(tmp_path, good())
    text = "\n".join([HEADER, *good()]) + "\n"
    made = parsed(written(tmp_path, SPELLINGS[spelling](text)), MONTH)
    assert made.frame.equals(plain.frame)
    assert made.used == plain.used == 36


@pytest.mark.parametrize("end", ["1,20260901", "1,20260901060000", "4", "4,"])
@pytest.mark.parametrize("footer", ["", "\n", "\n(18 rows affected)\n"])
def test_truncated_row_is_refused_whatever_follows(tmp_path: Path, end: str, footer: str) -> None:
    with pytest.raises(PermanentError, match="the CSV is truncated"):
        parsed(written(tmp_path, "\n".join([HEADER, *good(), end]) + footer), MONTH)


@pytest.mark.parametrize("place", [0, 18, 36], ids=["first", "middle", "last"])
@pytest.mark.parametrize("line", ["2,20260901000000,5,0,7", "2,20260901000000,1,5,0", "9,8,7,6,5,4,3"])
def test_row_of_more_fields_than_the_header_is_rejected_by_that_name(tmp_path: Path, line: str, place: int) -> None:
    plain, lines = month_of(tmp_path, good()), good()
    made = month_of(tmp_path, [*lines[:place], line, *lines[place:]])
    assert made.frame.equals(plain.frame)
    assert made.rejected == {"too_many_fields": 1}
    assert (made.received, made.used) == (37, 36)


@pytest.mark.parametrize(
    ("line", "rejected"),
    [("2,20260901000000,5\0,0", {"not_a_state": 1}), ("2,20260901000000,5\x000,0", {"not_a_state": 1}),
     ("2,20260901000000,5,\0,5", {"too_many_fields": 1}), ("2\x003,20260901000000,5,0", {"no_segment": 1}),
     ("\0", {"no_segment": 1})],
)  # fmt: skip
def test_nul_is_part_of_its_cell(tmp_path: Path, line: str, rejected: dict[str, int]) -> None:
    plain = month_of(tmp_path, good())
    made = month_of(tmp_path, [line, *good()])
    assert made.frame.equals(plain.frame)
    assert made.rejected == rejected


def test_mostly_too_many_fields_are_refused_with_an_example(tmp_path: Path) -> None:
    lines = [line.replace(",1,0", ",1,5,0").replace(",2,0", ",2,5,0") for line in good()]
    with pytest.raises(PermanentError, match="24 of 36 rows have more fields than the header, such as '0' in line 2"):
        month_of(tmp_path, lines)


@pytest.mark.parametrize("first", [True, False])
def test_state_wins_over_no_data_at_the_same_time(tmp_path: Path, first: bool) -> None:
    plain, lines = month_of(tmp_path, good()), good()
    empty = [f"{','.join(line.split(',')[:2])},0,0" for line in lines]
    made = month_of(tmp_path, empty + lines if first else lines + empty)
    assert made.frame.equals(plain.frame)
    assert made.rejected == {"duplicate": 36}


def test_lower_median_of_conflicting_states_counts_in_any_order(tmp_path: Path) -> None:
    plain, odd = month_of(tmp_path, good()), ["2,20260901000000,5,0", "2,20260901000000,1,0"]
    for more in (odd, odd[::-1]):
        made = month_of(tmp_path, [*more, *good()])
        assert made.frame.equals(plain.frame)
        assert made.rejected == {"disagreeing": 2}


@pytest.mark.parametrize(("old", "new"), [(",3,0", ",C,0"), (",2,0", ",1.5,0"), (",1,0", ",-1,0")])
def test_unreadable_states_are_counted(tmp_path: Path, old: str, new: str) -> None:
    made = month_of(tmp_path, [line.replace(old, new) for line in good()])
    assert made.rejected == {"not_a_state": 12}
    assert made.received == made.used + 12


@pytest.mark.parametrize(
    ("spoil", "column"),
    [
        (lambda line: f"{line[:-3]}fluid,0", "estatActual"),
        (lambda line: line.replace(",1,0", ",x,0").replace(",2,0", ",x,0"), "estatActual"),
        (lambda line: f"T{line}", "idTram"),
    ],
)
def test_mostly_unreadable_column_is_refused_with_an_example_cell(
    tmp_path: Path, spoil: Callable[[str], str], column: str
) -> None:
    with pytest.raises(PermanentError, match=rf"2026-09: .* cells of '{column}' cannot be read, such as '.+'"):
        month_of(tmp_path, [spoil(line) for line in good()])


@pytest.mark.parametrize(
    "stamp", [r"\3/\2/\1 \4:\5", r"\1/\2/\3 \4:\5", r"\3\2\1\4\5\6", r"\1-\2-\3", r"\1-\2-\3 \4.\5"]
)
def test_stamps_of_another_order_are_refused_as_dates(tmp_path: Path, stamp: str) -> None:
    with pytest.raises(PermanentError, match="of 36 rows 36 have other dates, or none"):
        month_of(tmp_path, [re.sub(ONE_STAMP, stamp, line) for line in good()])


def test_duplicate_column_is_refused(tmp_path: Path) -> None:
    text = "\n".join([f"{HEADER},data", *(f"{line},x" for line in good())])
    with pytest.raises(PermanentError, match="has data more than once"):
        parsed(written(tmp_path, text), MONTH)
