"""Cells of Madrid's month files, a column at a time, and the meaning of each cell's text.

Belongs here: one month's file, its cells in every spelling that the layout knows. Does not: validity of rows
(rows.py), the layout (layout.py) or the ZIP (zip.py).
"""

from __future__ import annotations

import codecs
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from city_data.providers.madrid_opendata.layout import COUNTS, ISO, NEEDED, SLASHED, Layout, layout_of
from city_data.providers.madrid_opendata.zip import find_csv, pieces
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.providers.shared.pieces import cached_parts
from city_data.providers.shared.spellings import DECORATION, number_meaning
from city_data.window import Month

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

MOST_STATIONS = 1_000_000  # the largest identifier was 11,000
_CACHED = 1 << 18
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
    """The CSV's lines without its header, in pieces of whole lines."""
    return pieces(file.path, file.info)


class Column(NamedTuple):
    """One column of a piece: a code a row, the position of its text in `texts`, which are distinct."""

    codes: NDArray[np.int32]
    texts: pa.BinaryArray


class CellReader:
    """One month's cells, a piece of whole lines at a time.

    Cells come as codes: a month has a few thousand texts in 13 million rows, so each text is parsed once, however the
    city wrote it. Quotes are mere decoration: a stray one must not join lines.
    """

    def __init__(self, file: MonthFile) -> None:
        layout = file.layout
        self._separator, self._positions = layout.separator, layout.positions
        self.columns = [layout.id_column, *NEEDED, *(name for name in _SECOND if name in layout.columns)]

    def cells(self, piece: bytes) -> dict[str, Column]:
        """The columns by name, all empty for a piece without lines."""
        import numpy as np
        import pyarrow as pa

        if not piece or piece.isspace():
            return {name: Column(np.zeros(0, np.int32), pa.array([], pa.binary())) for name in self.columns}
        # Arrow ends a line at the one, and skips the other.
        if _has_lone_return(piece) or piece.startswith(codecs.BOM_UTF8):
            piece = self._even(piece)
        try:
            table = self._table(piece)
        except pa.ArrowInvalid:
            table = self._table(self._even(piece))
        return {name: _column(table[name]) for name in self.columns}

    def _table(self, piece: bytes) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        text = pa.dictionary(pa.int32(), pa.binary())
        return csv.read_csv(
            pa.py_buffer(piece),
            csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=self._positions),
            csv.ParseOptions(delimiter=self._separator, quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(self.columns, text), include_columns=self.columns),
        )

    def _even(self, piece: bytes) -> bytes:
        """The piece with as many cells in each line as the header has: missing ones are empty, and so are all of a line
        with more, except empty ones at its end. A carriage return within a line is a blank."""
        separator, most = self._separator.encode(), len(self._positions)
        even = [b""]  # a line without cells, so that no mark of byte order begins the piece
        for line in piece.replace(b"\r", b" ").split(b"\n"):
            cells = line.split(separator)
            if any(plain(cell) for cell in cells[most:]):
                cells = []
            if line.strip():
                even.append(separator.join([*cells[:most], *[b""] * (most - len(cells))]))
        return b"\n".join(even)


def _has_lone_return(piece: bytes) -> bool:
    """Whether a carriage return is followed by another character than a line feed."""
    import numpy as np

    parts = cached_parts(np.frombuffer(piece, np.uint8), _CACHED, overlap=1)
    return any(((part[:-1] == ord("\r")) & (part[1:] != ord("\n"))).any() for part in parts)


def _column(chunked: pa.ChunkedArray) -> Column:
    (column,) = chunked.chunks
    return Column(column.indices.to_numpy(), column.dictionary)


def plain(text: bytes) -> str:
    """A cell's text without its decoration."""
    return text.decode("utf-8", "replace").strip(DECORATION)


def station(text: str) -> int | None:
    """The station's number; None for 0 too, which rows of many points had in late 2017."""
    try:
        number = COUNTS.parse(text)
    except NotANumber:
        return None
    return int(number) if number is not None and number.is_integer() and 1 <= number <= MOST_STATIONS else None


def minute(text: str, file: MonthFile) -> int | None:
    """Minutes of local clock time since the month began; None for an unreadable time and for another month."""
    match = re.fullmatch(SLASHED if file.layout.slashed else ISO, text)
    if match is None:
        return None
    month, day, hour, minutes = (int(match[name]) for name in ("month", "day", "hour", "minute"))
    if (int(match["year"]), month) != (file.month.year, file.month.month) or not 1 <= day <= 31:
        return None
    return ((day - 1) * 24 + hour) * 60 + minutes if hour < 24 and minutes < 60 else None


def first_cell(file: MonthFile, column: str, written: NumberFormat, where: Callable[[float], bool]) -> str:
    """The first cell of a column whose number fulfils `where`, with its line and column."""
    import numpy as np

    reader, number, line = CellReader(file), number_meaning(written), 2
    for piece in pieces_of(file):
        cells = reader.cells(piece)[column]
        numbers = [number(plain(text)) for text in cells.texts.to_pylist()]
        odd = np.flatnonzero(np.array([n is not None and where(n) for n in numbers], bool)[cells.codes])
        if len(odd):
            break
        line += len(cells.codes)
    return f"{plain(cells.texts[cells.codes[odd[0]]].as_py())[:40]!r} in line {line + odd[0]}, column {column!r}"
