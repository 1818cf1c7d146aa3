"""Tables of the schema: a CSV file, or the records of a portal's JSON document.

Belongs here: files to columns, and which table of the schema a file is. Does not: the meaning of cells (channels.py,
measures.py).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from city_data.providers.errors import PermanentError
from city_data.providers.shared.spellings import DECORATION
from city_data.providers.transport.documents import begins_json, read_json

CHANNELS = ("channel_id", "site_id", "mobility_type")
MEASURES = ("channel_id", "start_datetime", "count")
_OPTIONAL = ("time_step", "end_datetime")
_SEPARATORS = (";", ",", "\t")
_HEAD, _SHOWN = 1 << 16, 200


@dataclass(frozen=True)
class Table:
    """A file's known columns, cell by cell (None where a record lacks one), and the names of all its columns. `broken`
    rows have another number of cells than the header, or are not records; they have no cells here."""

    name: str
    fields: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]]
    rows: int
    broken: int

    @property
    def is_channels(self) -> bool:
        """Whether it lists channels. Raises PermanentError for a table of neither kind, or without a needed column; an
        empty document is of measures."""
        if not self.fields:
            return False
        names = self.columns.keys()
        is_measures = bool(names & {"start_datetime", "end_datetime", "count"})
        if not is_measures and not ("channel_id" in names and names & {"mobility_type", "site_id"}):
            raise PermanentError(f"{self.name} has neither channels nor measures of the schema; {self._columns}")
        if missing := [name for name in (MEASURES if is_measures else CHANNELS) if name not in names]:
            raise PermanentError(f"{self.name} lacks {', '.join(missing)}; {self._columns}")
        return not is_measures

    def column(self, name: str) -> Sequence[Any]:
        return self.columns.get(name) or [None] * self.rows

    @property
    def _columns(self) -> str:
        return f"its columns are {', '.join(self.fields)}"[:_SHOWN]


def read(path: Path) -> Table:
    """Raises PermanentError for a file that is neither a table nor a document with records."""
    body = path.read_bytes()
    text = _decoded(body)
    return _of_json(body, path.name) if begins_json(text[:_SHOWN]) else _of_csv(text, path.name)


def channels_first(paths: Sequence[Path]) -> list[Path]:
    """The files in an order that needs one table in memory at a time."""

    def lists_channels(path: Path) -> bool:
        with path.open("rb") as file:
            return b"mobility_type" in file.read(_HEAD).lower()

    return sorted(paths, key=lambda path: not lists_channels(path))


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("latin-1")


def _of_json(body: bytes, name: str) -> Table:
    try:
        document = read_json(body)
    except ValueError as error:
        raise PermanentError(f"{name} is not a whole JSON document: {error}") from error
    values = document.get("values") if isinstance(document, dict) else None
    if not isinstance(values, list):
        raise PermanentError(f"{name} has no list of values; it begins {_decoded(body[:_SHOWN])!r}")
    records = [record for record in values if isinstance(record, dict)]
    if values and not records:
        raise PermanentError(f"{name} has {len(values):,} values and no record among them, such as {values[0]!r:.100}")
    fields = tuple(dict.fromkeys(field for record in records for field in record))
    columns = {known: [record.get(field) for record in records] for known, field in _known(fields, name).items()}
    return Table(name, fields, columns, len(records), len(values) - len(records))


def _of_csv(text: str, name: str) -> Table:
    head, *lines = text.split("\n")
    separator = max(_SEPARATORS, key=head.count)
    fields = tuple(cell.strip(DECORATION) for cell in _cells(head, separator))
    known = _known(fields, name)
    rows = [_cells(line, separator) for line in lines if line.strip(DECORATION)]
    whole = [row for row in rows if len(row) == len(fields)]
    columns = {column: [row[at] for row in whole] for column, at in ((c, fields.index(f)) for c, f in known.items())}
    return Table(name, fields, columns, len(whole), len(rows) - len(whole))


def _cells(line: str, separator: str) -> list[str]:
    """The cells of one line: a quote that is never closed must not join lines."""
    if '"' not in line:
        return line.rstrip("\r").split(separator)
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=separator))
    except csv.Error:  # a cell of more than 131,072 characters
        return []


def _known(fields: Sequence[str], name: str) -> dict[str, str]:
    """The columns of the schema, by their names there. Raises PermanentError where one stands twice."""
    known: dict[str, str] = {}
    for field in fields:
        plain = field.strip(DECORATION).lower()
        if plain in (*CHANNELS, *MEASURES, *_OPTIONAL):
            if plain in known:
                raise PermanentError(f"{name} has {plain} more than once")
            known[plain] = field
    return known
