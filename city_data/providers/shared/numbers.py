"""The grammar of numbers in a wire format: decimal mark, thousands mark, sign, blanks, and the words for a missing one.

Belongs here: one declaration a format, applied to a cell or to a whole column with the same result. Does not: plausible
ranges (cells.py), or the names of a source's fields.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from city_data.errors import CityDataError

if TYPE_CHECKING:
    import polars as pl

# Listed one by one, since Python and Polars differ in which characters are blanks.
_BLANKS = " \t\r\n\u00a0\u202f"
_THOUSANDS = ".,'\u2019 \u00a0\u202f\u2009"  # marks between thousands in the countries of the sources
_LARGEST_INTEGER = 2**53  # beyond it a float skips integers, and no measurement reaches it


class NotANumber(CityDataError, ValueError):
    """A cell that is neither a number of its format nor missing. `reason` is `unreadable` or `ambiguous`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class NumberFormat:
    """How one wire format writes numbers. `missing` are the texts of a missing value, without blanks around them.

    Digits are ASCII and stand on both sides of the decimal mark; an exponent, `NaN` or `inf` is unreadable. In
    `counts`, a decimal mark before exactly three digits is ambiguous: `1.110` may be 1110 or 1.11. So is any other mark
    of thousands: `1'110` as an unreadable cell would take the high counts alone out of a month.
    JSON numbers need no format: they are read as they are.
    """

    decimal: str = "."
    thousands: str | None = None
    missing: frozenset[str] = frozenset({""})
    counts: bool = False

    def parse(self, value: object) -> float | None:
        """The number; None where the value is missing. Raises NotANumber."""
        if value is None:
            return None
        if isinstance(value, str):
            return self._parse_text(value.strip(_BLANKS))
        large = isinstance(value, int) and abs(value) > _LARGEST_INTEGER
        if isinstance(value, bool) or not isinstance(value, int | float) or large or not math.isfinite(value):
            raise NotANumber("unreadable")
        return float(value)

    def _parse_text(self, text: str) -> float | None:
        if text in self.missing:
            return None
        if self.counts and self._ambiguous.fullmatch(text):
            raise NotANumber("ambiguous")
        if not self._number.fullmatch(text):
            raise NotANumber("unreadable")
        value = float(text.replace(self.thousands or "", "").replace(self.decimal, "."))
        if not math.isfinite(value):  # hundreds of digits
            raise NotANumber("unreadable")
        return value

    def values(self, text: pl.Expr) -> pl.Expr:
        """`parse` over a column of strings, as Float64: null for a missing or unreadable cell."""
        import polars as pl

        bare = text.str.strip_chars(_BLANKS)
        plain = bare.str.replace_all(self.thousands, "", literal=True) if self.thousands else bare
        point = plain.str.replace_all(self.decimal, ".", literal=True) if self.decimal != "." else plain
        number = point.cast(pl.Float64, strict=False)
        readable = bare.str.contains(rf"\A(?:{self._number.pattern})\z") & ~bare.is_in(sorted(self.missing))
        if self.counts:
            readable &= ~bare.str.contains(rf"\A(?:{self._ambiguous.pattern})\z")
        return pl.when(readable & number.is_finite()).then(number)

    def unreadable(self, text: pl.Expr) -> pl.Expr:
        """Whether `parse` would raise NotANumber."""
        bare = text.str.strip_chars(_BLANKS)
        there = text.is_not_null() & ~bare.is_in(sorted(self.missing)).fill_null(False)
        return there & self.values(text).is_null()

    def ambiguous(self, text: pl.Expr) -> pl.Expr:
        """Whether `parse` would raise NotANumber for `ambiguous`, which only `counts` do."""
        import polars as pl

        if not self.counts:
            return pl.lit(False)
        bare = text.str.strip_chars(_BLANKS)
        matches = bare.str.contains(rf"\A(?:{self._ambiguous.pattern})\z") & ~bare.is_in(sorted(self.missing))
        return matches.fill_null(False)

    @cached_property
    def _number(self) -> re.Pattern[str]:
        fraction = f"(?:{re.escape(self.decimal)}[0-9]+)?"
        plain = f"[+-]?[0-9]+{fraction}"
        if self.thousands is None:
            return re.compile(plain)
        return re.compile(f"{plain}|[+-]?[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+{fraction}")

    @cached_property
    def _ambiguous(self) -> re.Pattern[str]:
        grouped = f"[0-9]{{1,3}}(?:[{_THOUSANDS}][0-9]{{3}})+(?:[.,][0-9]+)?"
        return re.compile(rf"[+-]?(?:[0-9]+{re.escape(self.decimal)}[0-9]{{3}}|{grouped})")


# Values of `json.loads`: a number, or a string of one with JSON's decimal point.
JSON_NUMBERS = NumberFormat(missing=frozenset())
