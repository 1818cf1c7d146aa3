"""Every wire format has one grammar of numbers, which reads a cell and a column alike."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from city_data.providers.shared.numbers import JSON_NUMBERS, NotANumber, NumberFormat

COMMA = NumberFormat(decimal=",")
FORMATS = [
    NumberFormat(),
    COMMA,
    NumberFormat(decimal=",", thousands="."),
    NumberFormat(thousands=","),
    NumberFormat(counts=True),
    NumberFormat(missing=frozenset({"", "NaN", "-9999", "1.110"}), counts=True),
    JSON_NUMBERS,
]
# MonthSlices of which texts that look like numbers are made, and texts that other readers take for numbers.
PIECES = st.sampled_from(
    [*"0123456789+-.,eE '", "\u00a0", "\t", "\x1c", "\u2009", "000", "110", "NaN", "inf", "٣", "−", "_"]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=9).map("".join),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda value: f"{value:.3f}"),
    st.text(max_size=6),
)
JSON = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(-(10**400), 10**400), st.lists(st.none(), max_size=1)
)


def scalar(form: NumberFormat, value: object) -> tuple[float | None, str]:
    """The value, and the reason why there is none."""
    try:
        return form.parse(value), ""
    except NotANumber as error:
        return None, error.reason


@pytest.mark.parametrize("form", FORMATS, ids=range(len(FORMATS)))
@given(texts=st.lists(st.none() | TEXTS, min_size=1, max_size=20))
@example(texts=["1.110", "1140.0", "-0.5", "9" * 400, "0." + "1" * 400, "1e3", ".5", "5.", "+7", "", None])
@example(texts=["1.234,5", "1.234.567", "12.34,5", "1,5", "\u00a0 7 "])
def test_column_is_read_like_its_cells(form: NumberFormat, texts: list[str | None]) -> None:
    cells = pl.col("cells")
    frame = pl.DataFrame({"cells": texts}, schema={"cells": pl.String}).select(
        form.values(cells).alias("value"),
        form.unreadable(cells).alias("unreadable"),
        form.ambiguous(cells).alias("ambiguous"),
    )
    alone = [scalar(form, text) for text in texts]
    assert frame["value"].to_list() == [value for value, _ in alone]
    assert frame["unreadable"].to_list() == [reason != "" for _, reason in alone]
    assert frame["ambiguous"].to_list() == [reason == "ambiguous" for _, reason in alone]


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (NumberFormat(), "7.6", 7.6),
        (NumberFormat(), " -0.5\u00a0", -0.5),
        (NumberFormat(), "+12", 12.0),
        (COMMA, "7,6", 7.6),
        (NumberFormat(decimal=",", thousands="."), "1.234,5", 1234.5),
        (NumberFormat(decimal=",", thousands="."), "1234,5", 1234.5),
        (NumberFormat(counts=True), "1140.0", 1140.0),
        (NumberFormat(counts=True), "1110", 1110.0),
        (NumberFormat(missing=frozenset({"-"})), "-", None),
        (NumberFormat(), "", None),
        (JSON_NUMBERS, 3, 3.0),
        (JSON_NUMBERS, "15.0", 15.0),
        (JSON_NUMBERS, None, None),
    ],
)
def test_declared_number_formats_are_read(form: NumberFormat, text: object, value: float | None) -> None:
    assert scalar(form, text) == (value, "")


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        (COMMA, "7.6", "unreadable"),
        (COMMA, "1.234,5", "unreadable"),
        (NumberFormat(decimal=",", thousands="."), "12.34", "unreadable"),
        (NumberFormat(), "7,6", "unreadable"),
        (NumberFormat(), "1e3", "unreadable"),
        (NumberFormat(), "NaN", "unreadable"),
        (NumberFormat(), "inf", "unreadable"),
        (NumberFormat(), "--5", "unreadable"),
        (NumberFormat(), "1 140", "unreadable"),
        (NumberFormat(), "٣", "unreadable"),
        (NumberFormat(counts=True), "1.110", "ambiguous"),
        (NumberFormat(counts=True), "900.000", "ambiguous"),
        *((NumberFormat(counts=True), f"1{mark}110", "ambiguous") for mark in ",'\u2019 \u00a0\u202f"),
        (NumberFormat(counts=True), "1.110.000", "ambiguous"),
        (NumberFormat(counts=True), "1,110.0", "ambiguous"),
        (NumberFormat(counts=True), "1,5", "unreadable"),
        (JSON_NUMBERS, "15,0", "unreadable"),
        (JSON_NUMBERS, "", "unreadable"),
        (JSON_NUMBERS, True, "unreadable"),
        (JSON_NUMBERS, [1], "unreadable"),
        (JSON_NUMBERS, math.nan, "unreadable"),
        (JSON_NUMBERS, 2**60, "unreadable"),
    ],
)
def test_undeclared_number_formats_are_never_guessed(form: NumberFormat, text: object, reason: str) -> None:
    assert scalar(form, text) == (None, reason)


@given(JSON)
def test_a_json_value_is_a_finite_number_or_none(value: object) -> None:
    made, reason = scalar(JSON_NUMBERS, value)
    assert made is None or math.isfinite(made)
    assert (made is None) == (value is None or reason == "unreadable")


@given(st.integers(-99_999, 99_999))
def test_decimal_comma_keeps_every_digit(tenths: int) -> None:
    sign = "-" if tenths < 0 else ""
    text = f"{sign}{abs(tenths) // 10},{abs(tenths) % 10}"
    assert COMMA.parse(text) == float(text.replace(",", "."))
