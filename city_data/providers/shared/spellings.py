"""Columns of texts with few spellings in millions of rows, each spelling parsed once.

Belongs here: spellings to meanings, a column at a time. Does not: the grammar of numbers (numbers.py), or any one
source's words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from city_data.providers.shared.numbers import NotANumber, NumberFormat

if TYPE_CHECKING:
    import polars as pl

# Around a cell: quotes, of which one may be missing, and blanks.
DECORATION = ' \t\r"\u00a0\u202f'


class Spellings:
    """The meanings of a column's texts. A month has a few thousand spellings in 13 million rows: each is parsed once,
    in a quarter of the time of expressions on texts."""

    def __init__(self, meaning: Callable[[str], float | None], kind: type[pl.DataType]) -> None:
        import polars as pl

        self._meaning = meaning
        # Kept alive by this object: Polars forgets a category's codes with the last column that has them.
        self._spellings = pl.Series([""], dtype=pl.Categorical(pl.Categories.random()))
        self._meanings = {0: meaning("")}
        self._table = pl.Series([meaning("")], dtype=kind)

    def read(self, text: pl.Series) -> pl.Series:
        """The column's cells by meaning."""
        import polars as pl

        coded = text.cast(self._spellings.dtype)
        codes, table = coded.to_physical(), self._table
        highest = cast("int | None", codes.max()) or 0
        if highest >= len(table):
            fresh = coded.filter(codes >= len(table)).unique()
            for code, spelling in zip(fresh.to_physical().to_list(), fresh.cast(pl.String).to_list(), strict=True):
                if code not in self._meanings:
                    self._meanings[code] = self._meaning(spelling.strip(DECORATION))
            # Pieces are read concurrently: the table ends before the first spelling that another has yet to parse.
            more = range(len(table), highest + 1)
            whole = next((position for position, code in enumerate(more) if code not in self._meanings), len(more))
            tail = pl.Series([self._meanings.get(code) for code in more], dtype=table.dtype)
            self._table = max(self._table, pl.concat([table, tail.head(whole)]), key=len)
            table = pl.concat([table, tail])
        return table.gather(codes)


def number_meaning(written: NumberFormat) -> Callable[[str], float | None]:
    """The number of a text: None is missing, NaN unreadable, infinity ambiguous."""

    def meaning(text: str) -> float | None:
        try:
            return written.parse(text)
        except NotANumber as error:
            return float("inf") if error.reason == "ambiguous" else float("nan")

    return meaning
