"""Headers of Paris's counts: columns by their names or by the portal's French labels.

Belongs here: columns and separators. Does not: cells (cells.py).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from city_data.providers.errors import PermanentError
from city_data.providers.shared.spellings import DECORATION

# The archive and an API export name the columns, the portal's own export labels them.
LABELS = {
    "iu_ac": "Identifiant arc",
    "t_1h": "Date et heure de comptage",
    "q": "Débit horaire",
    "k": "Taux d'occupation",
    "etat_trafic": "Etat trafic",
    "etat_barre": "Etat arc",
}
NEEDED = ("iu_ac", "t_1h", "q", "k")
_SEPARATORS = (";", ",", "\t")


@dataclass(frozen=True)
class Header:
    """The columns of a file as it names them, and the positions of the known ones."""

    columns: tuple[str, ...]
    separator: str
    positions: dict[str, int]


def _spelling(text: str) -> str:
    """Without regard to capitals and to the two ways of Unicode to write an accent; another letter is another name."""
    return unicodedata.normalize("NFC", text).lower()


_KNOWN = {_spelling(spelling): name for name, label in LABELS.items() for spelling in (name, label)}


def header_of(head: bytes, name: str) -> Header:
    """The header of the file `name` that begins with `head`. Raises PermanentError where a needed column is missing, or
    stands there twice."""
    line = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0]
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    separator = max(_SEPARATORS, key=text.count)
    columns = tuple(cell.strip(DECORATION) for cell in text.split(separator))
    known = [_KNOWN.get(_spelling(column)) for column in columns]
    if missing := [f"{column} ({LABELS[column]})" for column in NEEDED if column not in known]:
        raise PermanentError(f"{name} lacks {', '.join(missing)}; it begins {text[:200]!r}")
    if twice := [column for column in NEEDED if known.count(column) > 1]:
        raise PermanentError(f"{name} has {', '.join(twice)} more than once")
    return Header(columns, separator, {column: n for n, column in enumerate(known) if column is not None})
