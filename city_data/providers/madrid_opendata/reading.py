"""Cells of Madrid's month files as numbers, times and kinds of road, a column at a time.

Belongs here: one month's file, its cells in every spelling that the layout knows. Does not: which rows are valid
(rows.py), the layout (layout.py) or the ZIP (zip.py).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from city_data.providers.madrid_opendata.layout import (
    COUNTS,
    DECORATION,
    ISO,
    NO_KIND,
    SHARES,
    SLASHED,
    Layout,
    kind_of,
    layout_of,
)
from city_data.providers.madrid_opendata.zip import as_gzip, find_csv
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.window import Month

if TYPE_CHECKING:
    import polars as pl

FACES = 768  # at least the hours of a month
_MOST_STATIONS = 1_000_000  # the largest identifier was 11,000
ERRORS = ("N", "E", "S")


@dataclass(frozen=True)
class MonthFile:
    """One month's CSV in its ZIP, and its layout. `bytes` is the CSV's size."""

    month: Month
    path: Path
    info: zipfile.ZipInfo
    layout: Layout

    @property
    def bytes(self) -> int:
        return self.info.file_size


def open_month(path: Path, month: Month) -> MonthFile:
    """Look into the ZIP and at the first rows.

    Raises PermanentError for what is no ZIP with this month's CSV, for a bomb, and for an unknown layout.
    """
    info, head = find_csv(path, month)
    return MonthFile(month, path, info, layout_of(head))


def cells(file: MonthFile) -> pl.LazyFrame:
    """`station`, `minute` (since the month began, on the clock's face), `label`, `error` (place in ERRORS) and numbers,
    each null where it is not to be had."""
    import polars as pl

    layout = file.layout

    def optional(name: str) -> pl.Expr:
        return _numbers(name, SHARES) if name in layout.columns else pl.lit(None, pl.Float64).alias(name)

    return texts(file).select(
        _spelled(layout.id_column, _station, pl.Int64).alias("station"),
        _spelled("fecha", lambda text: _minute(text, file), pl.Int64).alias("minute"),
        _spelled("tipo_elem", kind_of, pl.UInt8).fill_null(NO_KIND).alias("label"),
        _spelled("error", _error, pl.UInt8).fill_null(len(ERRORS)),
        _numbers("intensidad", COUNTS),
        *(optional(name) for name in ("carga", "vmed", "periodo_integracion")),
    )


def texts(file: MonthFile) -> pl.LazyFrame:
    """Every cell as it is written. Quotes are no more than decoration: a stray one must not join lines."""
    import polars as pl

    return pl.scan_csv(
        as_gzip(file.path, file.info),
        separator=file.layout.separator,
        quote_char=None,
        encoding="utf8-lossy",
        has_header=False,
        skip_rows=1,
        schema=dict.fromkeys(file.layout.positions, pl.String),
    )


def _spelled(column: str, meaning: Callable[[str], float | None], kind: type[pl.DataType]) -> pl.Expr:
    """What a column's cells mean. A month has a few thousand spellings in 13 million rows: each is looked at once,
    which takes a quarter of the time that expressions on texts took."""
    import polars as pl

    # One column of them lives as long as this does: with the last, Polars forgets which number it gave to which text.
    spellings = pl.Series([""], dtype=pl.Categorical(pl.Categories.random()))
    meanings = {0: meaning("")}
    table = pl.Series([], dtype=kind)

    def read(text: pl.Series) -> pl.Series:
        nonlocal table
        coded = text.cast(spellings.dtype)
        codes, known = coded.to_physical(), table
        highest = cast("int | None", codes.max())
        if highest is None:
            return pl.Series([None] * len(text), dtype=kind)
        if highest >= len(known):
            fresh = coded.filter(codes >= len(known)).unique()
            for code, spelling in zip(fresh.to_physical().to_list(), fresh.cast(pl.String).to_list(), strict=True):
                meanings.setdefault(code, meaning(spelling.strip(DECORATION)))
            # Batches are read side by side: what follows a spelling that another is about to look at is not kept.
            more = range(len(known), highest + 1)
            whole = next((position for position, code in enumerate(more) if code not in meanings), len(more))
            tail = pl.Series([meanings.get(code) for code in more], dtype=kind)
            table = max(table, pl.concat([known, tail.head(whole)]), key=len)
            known = pl.concat([known, tail])
        return known.gather(codes)

    return pl.col(column).map_batches(read, return_dtype=kind, is_elementwise=True)


def _numbers(column: str, written: NumberFormat) -> pl.Expr:
    """The numbers of a column of texts: null is missing, NaN is unreadable, infinity ambiguous."""
    import polars as pl

    def meaning(text: str) -> float | None:
        try:
            return written.parse(text)
        except NotANumber as error:
            return float("inf") if error.reason == "ambiguous" else float("nan")

    return _spelled(column, meaning, pl.Float64)


def _station(text: str) -> int | None:
    """In late 2017 rows of many points were written with the id 0, which is none."""
    try:
        number = COUNTS.parse(text)
    except NotANumber:
        return None
    return int(number) if number is not None and number.is_integer() and 1 <= number <= _MOST_STATIONS else None


def _error(text: str) -> int:
    return ERRORS.index(text.upper()) if text.upper() in ERRORS else len(ERRORS)


def _minute(text: str, file: MonthFile) -> int | None:
    """None for what is no time, and for a time of another month."""
    match = re.fullmatch(SLASHED if file.layout.slashed else ISO, text)
    if match is None:
        return None
    month, day, hour, minute = (int(match[name]) for name in ("month", "day", "hour", "minute"))
    if (int(match["year"]), month) != (file.month.year, file.month.month) or not 1 <= day <= 31:
        return None
    return ((day - 1) * 24 + hour) * 60 + minute if hour < 24 and minute < 60 else None


def first_cell(file: MonthFile, column: str, written: NumberFormat, where: pl.Expr) -> str:
    """The first cell of a column whose `number` is `where`, as it is written, with its line and column."""
    rows = texts(file).with_row_index("line", 2).with_columns(_numbers(column, written).alias("number"))
    line, text = rows.filter(where).select("line", column).head(1).collect(engine="streaming").row(0)
    return f"{text[:40]!r} in line {line}, column {column!r}"
