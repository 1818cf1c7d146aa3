"""A cell gives a value or a counted reason; a file that mostly gives reasons is refused; duplicates have one rule."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.providers.errors import PermanentError
from city_data.providers.shared.cells import Cell, Field, Row, count_nulled, refuse_spoilt_files
from city_data.providers.shared.duplicates import lower_median, one_row_a_key
from city_data.providers.shared.numbers import NumberFormat

HEAT = Field.of_weather("temperature", "tmed", NumberFormat(decimal=","))
WET = Field.of_weather("humidity", "hrMedia", NumberFormat(decimal=","))
HEIGHT = Field("altitud", NumberFormat(decimal=",", counts=True), -500, 9000)


def rows_of(*texts: str | None, field: Field = HEAT, file: str = "a.json") -> list[Row]:
    return [{field.name: field.read(text, file, row)} for row, text in enumerate(texts, start=1)]


@pytest.mark.parametrize(
    ("field", "text", "value", "reason"),
    [
        (HEAT, "-7,5", -7.5, ""),
        (HEAT, None, None, ""),
        (HEAT, "7.5", None, "unreadable"),
        (HEAT, "999,9", None, "implausible"),
        (HEAT, "-999", None, "implausible"),
        (WET, "101", None, "implausible"),
        (WET, "-1", None, "negative"),
        (HEIGHT, "1,894", None, "ambiguous"),
    ],
)
def test_cell_gives_a_value_or_a_reason(field: Field, text: str | None, value: float | None, reason: str) -> None:
    cell = field.read(text, "a.json", 7)
    assert (cell.value, cell.reason, cell.file, cell.row) == (value, reason, "a.json", 7)


def test_few_unusable_cells_are_counted() -> None:
    rows = rows_of("1,0", "2,0", "999,9", "7.5", "NaN", "3,0", "4,0", None)
    assert count_nulled(rows) == {"implausible:tmed": 1, "unreadable:tmed": 2}
    refuse_spoilt_files(rows)


@pytest.mark.parametrize("texts", [["7.6", "8.1", "9.9"], ["1,0", "7.6", "8.1", "9.9"]])
def test_mostly_unreadable_file_is_refused_and_quotes_a_cell(texts: list[str]) -> None:
    row = texts.index("7.6") + 1
    with pytest.raises(PermanentError, match=rf"a\.json: 3 of .*unreadable.*'7\.6' in row {row}, column 'tmed'"):
        refuse_spoilt_files(rows_of(*texts))


def test_a_bad_file_is_not_hidden_by_good_ones() -> None:
    good = [row for n in range(9) for row in rows_of("1,0", "2,0", "3,0", file=f"{n}.json")]
    with pytest.raises(PermanentError, match=r"bad\.json: 3 of 3 cells of 'tmed'.*implausible.*'290,1'"):
        refuse_spoilt_files([*good, *rows_of("290,1", "291,0", "289,5", file="bad.json")])


def test_one_ambiguous_cell_is_refused() -> None:
    with pytest.raises(PermanentError, match=r"'1,894' in row 3, column 'altitud' is ambiguous"):
        refuse_spoilt_files(rows_of("667", "600", "1,894", field=HEIGHT))


def test_long_text_is_truncated_in_the_quote() -> None:
    with pytest.raises(PermanentError) as caught:
        refuse_spoilt_files(rows_of(*["x" * 70_000] * 3))
    assert len(str(caught.value)) < 300


def resolved(*texts: str | None) -> tuple[float | str | None, Counter[str]]:
    rejected: Counter[str] = Counter()
    keyed = [(1, row) for row in rows_of(*texts)]
    return one_row_a_key(keyed, rejected)[1]["tmed"].value, rejected


@pytest.mark.parametrize(
    ("texts", "value", "rejected"),
    [
        (["1,0"], 1.0, {}),
        ([None, "1,0"], 1.0, {"duplicate": 1}),
        (["1,0", None], 1.0, {"duplicate": 1}),
        (["999,9", "1,0"], 1.0, {"duplicate": 1}),
        (["1,0", "1,0", "1"], 1.0, {"duplicate": 2}),
        (["5,0", "1,0"], 1.0, {"disagreeing": 1}),
        (["20,0", "58,0", "20,0"], 20.0, {"disagreeing": 2}),
        ([None, None], None, {"duplicate": 1}),
    ],
)
def test_the_rule_of_duplicates(texts: list[str | None], value: float | None, rejected: dict[str, int]) -> None:
    for order in itertools.permutations(texts):
        assert resolved(*order) == (value, rejected)


@given(
    st.lists(st.none() | st.sampled_from(["1,0", "1", "2,5", "999,9", "x", ""]), min_size=1, max_size=7), st.randoms()
)
def test_the_order_of_rows_never_matters(texts: list[str | None], chance: st.DataObject) -> None:
    cells = [HEAT.read(text, "a.json", 1) for text in texts]
    shuffled = list(cells)
    chance.shuffle(shuffled)
    assert lower_median(shuffled) == lower_median(cells)


@given(st.lists(st.sampled_from(["1,0", "2,0", "3,0"]), min_size=1), st.data())
def test_repeated_row_changes_nothing(texts: list[str], data: st.DataObject) -> None:
    more = data.draw(st.lists(st.sampled_from(texts)))
    one, two = ([HEAT.read(text, "a.json", 1) for text in listed] for listed in (texts, texts + more))
    assert lower_median(one).value == lower_median(two).value


def test_fields_of_several_rows_are_merged() -> None:
    def cell(value: float | None) -> Cell:
        return Cell(value, str(value), "a.json", 1)

    rejected: Counter[str] = Counter()
    rows: list[tuple[str, Row]] = [("x", {"t": cell(1.0), "u": cell(None)}), ("x", {"u": cell(5.0)})]
    made = one_row_a_key(rows, rejected)["x"]
    assert {field: made[field].value for field in made} == {"t": 1.0, "u": 5.0}
    assert rejected == {"duplicate": 1}
