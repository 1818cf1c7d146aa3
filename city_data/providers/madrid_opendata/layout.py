"""The layout of one of Madrid's month files: columns, separator and dates, which have changed since 2015.

Belongs here: the header, the spellings of dates, numbers and kinds of road. Does not: validity of rows (rows.py).
The columns are those of the city's description of December 2015; files are read by header.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from city_data.providers.errors import PermanentError
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.shared.spellings import DECORATION

NEEDED = ("fecha", "tipo_elem", "intensidad", "error")
OPTIONAL = ("ocupacion", "carga", "vmed", "periodo_integracion", "identif", "tipo")
IDS = ("id", "idelem")
# A decimal point came in 2018; a point before three digits of a count may as well mark thousands.
COUNTS = NumberFormat(missing=frozenset({"", "NaN", "nan"}), counts=True)
SHARES = NumberFormat(missing=COUNTS.missing)
NO_KIND, URBAN, M30 = range(3)
_TIME = r":(?P<minute>[0-9]{2})(?::[0-9]{2}(?:\.0+)?)?"
ISO = rf"(?P<year>[0-9]{{4}})-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})[ T](?P<hour>[0-9]{{2}}){_TIME}"
SLASHED = rf"(?P<day>[0-9]{{2}})/(?P<month>[0-9]{{2}})/(?P<year>[0-9]{{4}}) (?P<hour>[0-9]{{1,2}}){_TIME}"


@dataclass(frozen=True)
class Layout:
    """One file's layout. `columns` are in lower case; `slashed` dates are dd/mm/yyyy."""

    columns: tuple[str, ...]
    separator: str
    slashed: bool

    @property
    def id_column(self) -> str:
        return next(name for name in IDS if name in self.columns)

    @property
    def unknown(self) -> list[str]:
        return [name for name in self.columns if name not in (*IDS, *NEEDED, *OPTIONAL)]

    @property
    def positions(self) -> list[str]:
        """A unique name for each column, by which a file is read: two unknown columns may have the same name."""
        known = (*IDS, *NEEDED, *OPTIONAL)
        return [name if name in known else str(position) for position, name in enumerate(self.columns)]


def layout_of(head: bytes) -> Layout:
    """The layout of a file that begins with `head`. Raises PermanentError for an unknown one."""
    lines = head.decode("latin-1").removeprefix("ï»¿").splitlines()
    if len(lines) < 2:
        raise PermanentError(f"the CSV has no rows; it begins {head[:80]!r}")
    separator = ";" if ";" in lines[0] else ","
    columns = tuple(cell.lower() for cell in cells(lines[0], separator))
    missing = [name for name in NEEDED if name not in columns]
    if not any(name in columns for name in IDS):
        missing.insert(0, "id")
    if missing:
        raise PermanentError(f"the CSV lacks {', '.join(missing)}; it has {', '.join(columns)[:300]}")
    twice = [name for name, times in Counter(columns).items() if times > 1 and name in (*IDS, *NEEDED, *OPTIONAL)]
    if twice:
        raise PermanentError(f"the CSV has {', '.join(twice)} more than once")
    position = columns.index("fecha")
    rows = [cells(line, separator) for line in lines[1:-1] or lines[1:]]
    dates = [row[position] for row in rows if len(row) > position and row[position]]
    return Layout(columns, separator, _has_slashes(dates))


def cells(line: str, separator: str) -> list[str]:
    return [cell.strip(DECORATION) for cell in line.split(separator)]


def kind_of(text: str) -> int:
    """M30 for `M30`, `PUNTOS MEDIDA M-30`, and 494 in early 2015; URBAN for `URB`, `PUNTOS MEDIDA URBANOS`, and 495
    then; NO_KIND for any other text, which could be a street or a motorway."""
    word = text.upper()
    if re.search(r"M-?30", word) or word == "494":
        return M30
    return URBAN if word.startswith("URB") or "URBANO" in word or word == "495" else NO_KIND


def _has_slashes(dates: Sequence[str]) -> bool:
    """Whether dates are dd/mm/yyyy. Raises PermanentError for a mixture, and for a number above 12 in the month's
    position."""
    iso = sum(re.fullmatch(ISO, text) is not None for text in dates)
    slashed = [text for text in dates if re.fullmatch(SLASHED, text)]
    if iso and not slashed:
        return False
    if iso or not slashed:
        odd = slashed[0] if iso else next(iter(dates), "")
        raise PermanentError(f"`fecha` is neither YYYY-MM-DD HH:MM:SS nor dd/mm/yyyy throughout: {odd!r}")
    if any(int(text[3:5]) > 12 for text in slashed):
        raise PermanentError(f"`fecha` is ambiguous: {slashed[0]!r} could be month first")
    return True
