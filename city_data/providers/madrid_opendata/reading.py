"""Cells of Madrid's month files as numbers, times and kinds of road, a column at a time.

Belongs here: one month's file, its cells in every spelling that the layout knows. Does not: validity of rows
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
    """Find the CSV in the ZIP and read its layout.

    Raises PermanentError for anything but a ZIP with this month's CSV, for a ZIP bomb, and for an unknown layout.
    """
    info, head = find_csv(path, month)
    return MonthFile(month, path, info, layout_of(head))


def cells(file: MonthFile) -> pl.LazyFrame:
    """The file's columns `station`, `minute` (local clock time since the month began), `label`, `error` (index in
    ERRORS) and numbers, each null if missing or unreadable."""
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
    """Every cell as text. Quotes are mere decoration: a stray one must not join lines."""
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
    """A column's cells by `meaning`. A month has a few thousand spellings in 13 million rows: each is parsed once, in a
    quarter of the time of expressions on texts."""
    import polars as pl

    # Kept alive by this closure: Polars forgets a category's codes with the last column that has them.
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
            # Batches run concurrently: the table ends before the first spelling that another batch has yet to parse.
            more = range(len(known), highest + 1)
            whole = next((position for position, code in enumerate(more) if code not in meanings), len(more))
            tail = pl.Series([meanings.get(code) for code in more], dtype=kind)
            table = max(table, pl.concat([known, tail.head(whole)]), key=len)
            known = pl.concat([known, tail])
        return known.gather(codes)

    return pl.col(column).map_batches(read, return_dtype=kind, is_elementwise=True)


def _numbers(column: str, written: NumberFormat) -> pl.Expr:
    """The numbers of a column of texts: null is missing, NaN unreadable, infinity ambiguous."""
    import polars as pl

    def meaning(text: str) -> float | None:
        try:
            return written.parse(text)
        except NotANumber as error:
            return float("inf") if error.reason == "ambiguous" else float("nan")

    return _spelled(column, meaning, pl.Float64)


def _station(text: str) -> int | None:
    """The station's number; None for 0 too, which rows of many points had in late 2017."""
    try:
        number = COUNTS.parse(text)
    except NotANumber:
        return None
    return int(number) if number is not None and number.is_integer() and 1 <= number <= _MOST_STATIONS else None


def _error(text: str) -> int:
    return ERRORS.index(text.upper()) if text.upper() in ERRORS else len(ERRORS)


def _minute(text: str, file: MonthFile) -> int | None:
    """Minutes since the month began; None for an unreadable time and for another month."""
    match = re.fullmatch(SLASHED if file.layout.slashed else ISO, text)
    if match is None:
        return None
    month, day, hour, minute = (int(match[name]) for name in ("month", "day", "hour", "minute"))
    if (int(match["year"]), month) != (file.month.year, file.month.month) or not 1 <= day <= 31:
        return None
    return ((day - 1) * 24 + hour) * 60 + minute if hour < 24 and minute < 60 else None


def first_cell(file: MonthFile, column: str, written: NumberFormat, where: pl.Expr) -> str:
    """The first cell of a column whose `number` fulfils `where`, as text, with its line and column."""
    rows = texts(file).with_row_index("line", 2).with_columns(_numbers(column, written).alias("number"))
    line, text = rows.filter(where).select("line", column).head(1).collect(engine="streaming").row(0)
    return f"{text[:40]!r} in line {line}, column {column!r}"
