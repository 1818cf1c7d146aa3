"""Cells of Paris's counts, a piece of whole lines at a time.

Belongs here: cells as numbers, slots and arcs, and the fate of unusable ones. Does not: files (rows.py), stamps'
meaning (rows.py), repeated rows (hours.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from city_data.providers.paris_opendata.header import NEEDED, Header
from city_data.providers.shared.city_hours import SPIKE
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.shared.pieces import cached_parts
from city_data.providers.shared.spellings import DECORATION, Spellings, number_meaning

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# Whole vehicles, written as `1034.0`: a point before three digits may as well mark thousands. Occupancy has up to five
# decimals.
COUNTS, SHARES = NumberFormat(counts=True), NumberFormat()
HIGHEST = {"q": SPIKE, "k": 100}
# Why a cell gives no value; 0 where it has one, or is empty.
FATES = ("", "unreadable", "negative", "implausible")
# Reasons to reject a row, by their code in place of its slot.
REASONS = {
    -1: "broken_line",
    -2: "no_arc",
    -3: "not_a_time",
    -4: "off_the_hour",
    -5: "nonexistent_local_hour",
    -6: "outside_month",
}
BROKEN, NO_ARC, NOT_A_TIME, OFF_THE_HOUR, NONEXISTENT, OUTSIDE = REASONS
_MOST_ARCS = 1_000_000  # the largest identifier was 8,000
_REST = "rest"
_CACHED = 1 << 15


@dataclass(frozen=True)
class Cells:
    """The rows of a piece. `slot` is negative for a rejected row (REASONS); `bad` and `good` count cells of rows of
    any month, `first_bad` has the row and text of the first."""

    arc: NDArray[np.int32]
    slot: NDArray[np.int16]
    values: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    fates: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    bad: Counter[str] = field(default_factory=Counter)
    good: Counter[str] = field(default_factory=Counter)
    first_bad: dict[str, tuple[int, str]] = field(default_factory=dict)

    def of_the_month(self) -> Cells:
        inside = self.slot >= 0
        if inside.all():
            return self
        values = {name: numbers[inside] for name, numbers in self.values.items()}
        return Cells(self.arc[inside], self.slot[inside], values, {n: f[inside] for n, f in self.fates.items()})

    @classmethod
    def joined(cls, parts: Sequence[Cells]) -> Cells:
        """The rows of all parts, whose numbers are taken from them one column at a time: both at once are 0.1 GB."""
        import numpy as np

        arc = np.concatenate([np.zeros(0, np.int32), *(part.arc for part in parts)])
        slot = np.concatenate([np.zeros(0, np.int16), *(part.slot for part in parts)])
        joined = cls(arc, slot)
        for name in HIGHEST:
            joined.values[name] = np.concatenate([np.zeros(0), *(part.values.pop(name) for part in parts)])
            joined.fates[name] = np.concatenate([np.zeros(0, np.uint8), *(part.fates.pop(name) for part in parts)])
        return joined


class CellReader:
    """One file's cells. Most pieces are plain: no quotes, and numbers as the source writes them. Polars parses them
    itself; any other piece is split line by line, which takes several times longer and gives the same cells."""

    def __init__(self, header: Header, slot_of: Callable[[str], int]) -> None:
        import polars as pl

        self.header, self.has_offsets = header, False
        self.ambiguous: dict[str, str] = {}

        def slot(text: str) -> int:
            bare = text.strip(DECORATION)
            self.has_offsets |= bare.endswith("Z") or bare[10:].count("+") + bare[10:].count("-") > 0
            return slot_of(bare)

        def count(text: str) -> float | None:
            value = number(text)
            if value is not None and math.isinf(value):
                self.ambiguous.setdefault("q", text)
            return value

        number = number_meaning(COUNTS)
        self._slots, self._counts = Spellings(slot, pl.Int16), Spellings(count, pl.Float64)

    def cells(self, piece: bytes) -> Cells:
        """The cells of whole lines. `ambiguous` then has the first ambiguous cell of each field."""
        import polars as pl

        try:
            table = self._plain(piece)
        except pl.exceptions.PolarsError:
            table = self._texts(piece)
        slot = self._slots.read(table["t_1h"]).fill_null(NOT_A_TIME)
        known = ((table["arc"] >= 1) & (table["arc"] <= _MOST_ARCS)).fill_null(value=False)
        flagged = table.select(
            arc=pl.when(known).then(pl.col("arc")).otherwise(0).cast(pl.Int32),
            slot=pl.when(pl.col("broken")).then(BROKEN).when(known).then(slot).otherwise(NO_ARC).cast(pl.Int16),
            q=self._counts.read(table["q"]),
            k=pl.col("share"),
            q_unreadable=pl.lit(value=False),
            k_unreadable=pl.col("unreadable"),
        )
        return _judged(flagged, {"q": table["q"], "k": table["k"]})

    def _plain(self, piece: bytes) -> pl.DataFrame:
        """The cells of a plain piece. Raises PolarsError for any other.

        Polars is laxer than the format: it takes exponents, and a point at the end or the beginning. Each line must
        have all its separators.
        """
        import polars as pl

        if b'"' in piece:
            raise pl.exceptions.ComputeError("quotes")
        columns = [f"column_{n + 1}" for n in range(len(self.header.columns))]
        names = {columns[self.header.positions[name]]: name for name in NEEDED}
        kinds: dict[str, type[pl.DataType]] = {"iu_ac": pl.Int32, "k": pl.Float64}
        table = pl.read_csv(
            piece,
            columns=list(names),
            schema={column: kinds.get(names.get(column, ""), pl.String) for column in columns},
            has_header=False,
            separator=self.header.separator,
            quote_char=None,
        ).rename(names)
        if not _are_whole(piece, self.header.separator, len(table), len(columns)) or _is_lax(piece):
            raise pl.exceptions.ComputeError("a line of another length, or a number of another grammar")
        if not table["k"].is_finite().fill_null(value=True).all():
            raise pl.exceptions.ComputeError("an occupancy that is no number")
        nothing = pl.lit(value=False)
        return table.with_columns(arc=pl.col("iu_ac"), share=pl.col("k"), unreadable=nothing, broken=nothing)

    def _texts(self, piece: bytes) -> pl.DataFrame:
        """The cells of any piece, as texts. Quotes are mere decoration: a stray one must not join lines."""
        import polars as pl

        size = len(self.header.columns)
        fields = [*map(str, range(size)), _REST]
        lines = pl.DataFrame({"line": piece.decode("utf-8", "replace").split("\n")})
        cells = pl.col("line").str.splitn(self.header.separator, size + 1).struct.rename_fields(fields)
        table = lines.filter(pl.col("line").str.strip_chars(DECORATION) != "").select(cells).unnest("line")
        texts = table.select(
            *(pl.col(str(self.header.positions[name])).str.strip_chars(DECORATION).alias(name) for name in NEEDED),
            broken=pl.col(str(size - 1)).is_null() | pl.col(_REST).is_not_null(),
        )
        arc = COUNTS.values(pl.col("iu_ac"))
        return texts.with_columns(
            arc=pl.when(arc == arc.floor()).then(arc),
            share=SHARES.values(pl.col("k")),
            unreadable=SHARES.unreadable(pl.col("k")),
        )


def _judged(table: pl.DataFrame, texts: dict[str, pl.Series]) -> Cells:
    """The piece's numbers and the fates of its unusable cells; `texts` are the cells as written."""
    import numpy as np

    cells = Cells(table["arc"].to_numpy(), table["slot"].to_numpy())
    whole = cells.slot != BROKEN
    for name, most in HIGHEST.items():
        numbers = table[name].fill_null(float("nan")).to_numpy()
        fates = np.zeros(len(numbers), np.uint8)
        fates[numbers < 0] = FATES.index("negative")
        fates[numbers > most] = FATES.index("implausible")
        fates[(table[name].is_nan() | table[f"{name}_unreadable"]).fill_null(value=False).to_numpy()] = FATES.index(
            "unreadable"
        )
        wrong = np.flatnonzero((fates > 0) & whole)
        cells.values[name], cells.fates[name] = np.where(fates > 0, np.nan, numbers), fates
        cells.bad[name] = len(wrong)
        cells.good[name] = int(np.count_nonzero(~np.isnan(cells.values[name]) & whole))
        if len(wrong):
            cells.first_bad[name] = (int(wrong[0]), str(texts[name][int(wrong[0])]))
    return cells


def _are_whole(piece: bytes, separator: str, lines: int, columns: int) -> bool:
    """Whether there are so many lines, each with all its separators and no more.

    Line by line: a line that a lone carriage return had joined to the next was made up for by an empty one.
    """
    marks = piece.translate(None, _all_but(separator)) + (b"" if piece.endswith(b"\n") else b"\n")
    return marks == (separator * (columns - 1) + "\n").encode() * lines


@cache
def _all_but(separator: str) -> bytes:
    return bytes(character for character in range(256) if character not in (ord(separator), ord("\n")))


def _is_lax(piece: bytes) -> bool:
    """Whether a point has no digit on one side, or an e follows a digit."""
    import numpy as np

    at_an_end = piece.startswith(b".") or piece.endswith(b".")
    return at_an_end or any(map(_is_lax_part, cached_parts(np.frombuffer(piece, np.uint8), _CACHED, overlap=2)))


def _is_lax_part(characters: NDArray[np.uint8]) -> bool:
    import numpy as np

    digits = (characters - np.uint8(ord("0"))) < 10
    points, exponents = characters == ord("."), (characters | 0x20) == ord("e")
    alone = points[1:-1] & ~(digits[:-2] & digits[2:])
    return bool(alone.any() or (digits[:-1] & exponents[1:]).any())
