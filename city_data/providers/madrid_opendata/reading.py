"""Cells of Madrid's month files as numbers, times and kinds of road, a column at a time.

Belongs here: one month's file, its cells in every spelling that the layout knows. Does not: validity of rows
(rows.py), the layout (layout.py) or the ZIP (zip.py).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.madrid_opendata.layout import (
    COUNTS,
    ISO,
    NEEDED,
    NO_KIND,
    SHARES,
    SLASHED,
    Layout,
    kind_of,
    layout_of,
)
from city_data.providers.madrid_opendata.zip import find_csv, pieces
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.providers.shared.spellings import Spellings, number_meaning
from city_data.window import Month

if TYPE_CHECKING:
    import polars as pl

FACES = 768  # at least the hours of a month
MOST_STATIONS = 1_000_000  # the largest identifier was 11,000
ERRORS = ("N", "E", "S")
_SECOND = ("carga", "vmed", "periodo_integracion")


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


def pieces_of(file: MonthFile) -> Iterator[bytes]:
    """The CSV in pieces of whole lines, each under a header of `Layout.positions`."""
    return pieces(file.path, file.info, file.layout.header)


class CellReader:
    """One month's cells, a piece of whole lines at a time.

    Most pieces are plain: numbers are integers or missing, and quotes surround whole cells. Polars parses them itself;
    any other piece is read as texts, which takes twice the time and gives the same cells.
    """

    def __init__(self, file: MonthFile) -> None:
        import polars as pl

        layout = file.layout
        self._separator, self._positions = layout.separator, layout.positions
        seconds = [name for name in _SECOND if name in layout.columns]
        self._read = [layout.id_column, *NEEDED, *seconds]
        self._missing = [pl.lit(None, pl.Int32).alias(name) for name in _SECOND if name not in layout.columns]
        self._integers = {layout.id_column, "intensidad", *seconds}
        self._words, self._texts = _words(file, plain=True), _words(file, plain=False)
        self._texts |= {layout.id_column: Spellings(_station, pl.Int32)}
        self._texts |= {"intensidad": Spellings(number_meaning(COUNTS), pl.Float64)}
        self._texts |= {name: Spellings(number_meaning(SHARES), pl.Float64) for name in seconds}

    def cells(self, piece: bytes) -> pl.DataFrame:
        """The columns `station`, `minute` (local clock time since the month began), `label`, `error` (index in
        ERRORS) and numbers, each null if missing or unreadable."""
        import polars as pl

        try:
            cells = self._plain_cells(piece)
            read = {name: spellings.read(cells[name]) for name, spellings in self._words.items()}
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):  # a panic: of a last number that is one quote
            cells = self.texts(piece)
            read = {name: spellings.read(cells[name]) for name, spellings in self._texts.items()}
        station = pl.col(self._read[0])
        return cells.with_columns(**read).select(
            "intensidad",
            *self._missing,
            *(name for name in self._read if name in _SECOND),
            pl.col("fecha").alias("minute"),
            pl.col("tipo_elem").fill_null(NO_KIND).alias("label"),
            pl.col("error").fill_null(len(ERRORS)),
            pl.when(station.is_between(1, MOST_STATIONS)).then(station).alias("station"),
        )

    def texts(self, piece: bytes) -> pl.DataFrame:
        """Every cell as text. Quotes are mere decoration: a stray one must not join lines."""
        import polars as pl

        return pl.read_csv(
            piece,
            columns=self._read,
            schema=dict.fromkeys(self._positions, pl.String),
            separator=self._separator,
            quote_char=None,
            encoding="utf8-lossy",
        )

    def _plain_cells(self, piece: bytes) -> pl.DataFrame:
        """The cells of a plain piece. Raises PolarsError for any other.

        Between quotes Polars accepts separators and line ends. There are none if the piece has no more of both than its
        rows need, and each row has a last cell.
        """
        import numpy as np
        import polars as pl

        last = self._positions[-1]
        cells = pl.read_csv(
            piece,
            columns=list(dict.fromkeys([*self._read, last])),
            schema={name: pl.Int32 if name in self._integers else pl.String for name in self._positions},
            separator=self._separator,
            null_values=sorted(COUNTS.missing - {""}),
        )
        characters = np.frombuffer(piece, np.uint8)
        ends = np.count_nonzero(characters == ord("\n")) + (not piece.endswith(b"\n"))
        separators = np.count_nonzero(characters == ord(self._separator))
        lines = len(cells) + 1  # with the header
        if ends != lines or separators != lines * (len(self._positions) - 1) or cells[last].has_nulls():
            raise pl.exceptions.ComputeError("a quote that does not surround a cell, or a row of another length")
        return cells


def _words(file: MonthFile, *, plain: bool) -> dict[str, Spellings]:
    import polars as pl

    return {
        "fecha": Spellings(lambda text: _minute(text, file), pl.Int32, plain=plain),
        "tipo_elem": Spellings(kind_of, pl.UInt8, plain=plain),
        "error": Spellings(_error, pl.UInt8, plain=plain),
    }


def _station(text: str) -> int | None:
    """The station's number; None for 0 too, which rows of many points had in late 2017."""
    try:
        number = COUNTS.parse(text)
    except NotANumber:
        return None
    return int(number) if number is not None and number.is_integer() and 1 <= number <= MOST_STATIONS else None


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
    import polars as pl

    reader, numbers, line = CellReader(file), Spellings(number_meaning(written), pl.Float64), 2
    for piece in pieces_of(file):
        texts = reader.texts(piece)
        odd = texts.with_row_index("line", line).with_columns(number=numbers.read(texts[column])).filter(where)
        if len(odd):
            break
        line += len(texts)
    return f"{odd[0, column][:40]!r} in line {odd[0, 'line']}, column {column!r}"
