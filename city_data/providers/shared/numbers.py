"""The grammar of numbers in a wire format: decimal mark, thousands mark, sign, blanks, and the words for a missing one.

Belongs here: one declaration a format, read cell by cell or over a whole column, with the same meaning. Does not: which
numbers are plausible (cells.py), or what a source's fields are called.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# Named one by one: Python and Polars differ in what else they call a blank.
_BLANKS = " \t\r\n\u00a0\u202f"
_LARGEST_INTEGER = 2**53  # beyond it a float skips integers, and no measurement reaches it


class NotANumber(ValueError):
    """A cell that is neither a number of its format nor missing. `reason` is `unreadable` or `ambiguous`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class NumberFormat:
    """How one wire format writes numbers. `missing` are the texts, without blanks around them, of a missing value.

    Digits are ASCII and stand on both sides of the decimal mark; an exponent, `NaN` or `inf` is unreadable. In
    `counts`, a decimal mark before exactly three digits is ambiguous: `1.110` may be a thousand and some, or one and a
    bit. Where numbers come as JSON numbers, they are what they say.
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
        if self.counts and re.fullmatch(self._ambiguous, text):
            raise NotANumber("ambiguous")
        if not re.fullmatch(self._number, text):
            raise NotANumber("unreadable")
        value = float(text.replace(self.thousands or "", "").replace(self.decimal, "."))
        if not math.isfinite(value):  # hundreds of digits
            raise NotANumber("unreadable")
        return value

    def values(self, text: pl.Expr) -> pl.Expr:
        """`parse` over a column of strings, as Float64: null where a cell is missing or is not a number."""
        import polars as pl

        bare = text.str.strip_chars(_BLANKS)
        plain = bare.str.replace_all(self.thousands, "", literal=True) if self.thousands else bare
        point = plain.str.replace_all(self.decimal, ".", literal=True) if self.decimal != "." else plain
        number = point.cast(pl.Float64, strict=False)
        readable = bare.str.contains(rf"\A(?:{self._number})\z") & ~bare.is_in(sorted(self.missing))
        if self.counts:
            readable &= ~bare.str.contains(rf"\A(?:{self._ambiguous})\z")
        return pl.when(readable & number.is_finite()).then(number)

    def unreadable(self, text: pl.Expr) -> pl.Expr:
        """Where `parse` raises NotANumber."""
        bare = text.str.strip_chars(_BLANKS)
        there = text.is_not_null() & ~bare.is_in(sorted(self.missing)).fill_null(False)
        return there & self.values(text).is_null()

    def ambiguous(self, text: pl.Expr) -> pl.Expr:
        """Where `parse` raises NotANumber for `ambiguous`: never outside `counts`."""
        import polars as pl

        if not self.counts:
            return pl.lit(False)
        bare = text.str.strip_chars(_BLANKS)
        matches = bare.str.contains(rf"\A(?:{self._ambiguous})\z") & ~bare.is_in(sorted(self.missing))
        return matches.fill_null(False)

    @cached_property
    def _number(self) -> str:
        fraction = f"(?:{re.escape(self.decimal)}[0-9]+)?"
        plain = f"[+-]?[0-9]+{fraction}"
        if self.thousands is None:
            return plain
        return f"{plain}|[+-]?[0-9]{{1,3}}(?:{re.escape(self.thousands)}[0-9]{{3}})+{fraction}"

    @cached_property
    def _ambiguous(self) -> str:
        return rf"[+-]?[0-9]+{re.escape(self.decimal)}[0-9]{{3}}"


# What `json.loads` makes of a number, or a string that holds one by JSON's own decimal mark.
JSON_NUMBERS = NumberFormat(missing=frozenset())
