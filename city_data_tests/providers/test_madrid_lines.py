"""Lines of Madrid's files with a stray character or another number of cells."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from city_data.providers.base import PermanentError
from city_data_tests.providers.madrid_files import HEADER, parsed, zipped
from city_data_tests.providers.test_madrid_cells import MONTH, good, month_of, volumes


@pytest.mark.parametrize("flow", ['"2"00', '2"00', "0xC8", "2\x0000", "2\r00", "2 00"])
def test_cell_with_a_stray_character_is_a_rejected_row(tmp_path: Path, flow: str) -> None:
    lines = good()
    lines[0] = lines[0].replace(";200;", f";{flow};")
    made = month_of(tmp_path, lines)
    assert made.rejected == {"unreadable": 1}
    assert volumes(made) == [280] * 24


@pytest.mark.parametrize(
    ("odd", "rejected"),
    [
        (";".join(good()[0].split(";")[:3]), {"not_a_number": 1}),  # too few cells
        (good()[0] + ";; ", {}),  # empty ones at the end
        (good()[0] + ';"";', {}),
        (good()[0].replace(";200;", ";1;200;"), {"other_month": 1}),  # a stray one: no cell is where it should be
        (good()[0] + "\n\n \n", {}),  # lines without cells
    ],
)
def test_line_of_another_length_is_even_or_a_rejected_row(tmp_path: Path, odd: str, rejected: dict[str, int]) -> None:
    made = month_of(tmp_path, [odd, *good()[1:]])
    assert made.rejected == rejected
    assert volumes(made) == [280] * 24
    assert made.received == len(good())


def test_mark_of_byte_order_in_front_of_an_identifier_makes_it_unreadable(tmp_path: Path) -> None:
    """As it does in any other line: where a piece of the file begins must not matter."""
    for number in (0, 1):
        lines = good()
        lines[number] = "\ufeff" + lines[number]
        assert month_of(tmp_path, lines).rejected == {"other_month": 1}


def test_carriage_return_alone_ends_no_line(tmp_path: Path) -> None:
    lines = good()
    made = month_of(tmp_path, [f"{lines[0]}\r{lines[1]}", *lines[2:]])
    assert made.rejected == {"other_month": 1}
    assert made.received == len(lines) - 1


def test_line_as_long_as_a_piece_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city_data.providers.madrid_opendata.zip._LINES", 1 << 20)
    body = "\n".join([HEADER, *good(), "".join(str(random.random()) for _ in range(300_000))])
    with pytest.raises(PermanentError, match="has a line of more than 1,048,576 bytes"):
        parsed(zipped(tmp_path, MONTH, body), MONTH)


@pytest.mark.parametrize("end", ['"', '3001;2026-09-01 23:45:00;URB;300;3;10;0;N;"'])
def test_file_that_ends_in_one_quote_is_read(tmp_path: Path, end: str) -> None:
    """Polars panicked at it, where it read the column as numbers: an exception that is no Exception."""
    made = parsed(zipped(tmp_path, MONTH, "\n".join([HEADER, *good(), end])), MONTH)
    assert volumes(made)[:23] == [280] * 23
