"""The format of a file of school vacations: its columns, the lines of some pupils, their dates and names.

Belongs here: bytes to lines, and what one line says. Does not: the calendar that lines make together (schools.py).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from city_data.providers.base import PermanentError, TransientError
from city_data.providers.shared.cells import Cell

VACATION, END_OF_LESSONS, BACK_TO_SCHOOL = "School", "EndOfLessons", "BackToSchool"
NAME = "Name"
_COLUMNS = ("Country", "StartDate", "EndDate", "Type", NAME)
_SCOPE, _SUBDIVISIONS, _GROUPS, _COMMENT = "RegionalScope", "Subdivisions", "Groups", "Comment"
_CASEFOLDED = {name.casefold(): name for name in (*_COLUMNS, _SCOPE, _SUBDIVISIONS, _GROUPS, _COMMENT)}
_OTHER_TYPES = frozenset({"Public", "Bank", "Optional"})
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # of which a database refuses some, and a table others
_DATE = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}")  # years with which dates can be computed
# "ES Vacaciones de Navidad,CA Vacances de Nadal": a comma within a text is %2C, or stands before no language.
_NEXT_LANGUAGE = re.compile(r",(?=[A-Z]{2} )")
_NAME = re.compile(r"[A-Z]{2} (?P<text>\S.*)")


@dataclass(frozen=True)
class Line:
    """One line, by the names of its columns; `number` is its place in the file."""

    number: int
    cells: dict[str, str]

    @property
    def type(self) -> str:
        return self.cells["Type"]

    @property
    def comment(self) -> str:
        return self.cells.get(_COMMENT, "")

    @property
    def subdivisions(self) -> list[str]:
        """None of them in a line of the whole country."""
        return self._codes(_SUBDIVISIONS)

    @property
    def groups(self) -> list[str]:
        """Kinds of schools; none of them in a line of all."""
        return self._codes(_GROUPS)

    def _codes(self, column: str) -> list[str]:
        return [code for part in self.cells.get(column, "").split(",") if (code := part.strip())]

    @property
    def first(self) -> date | None:
        return _date(self.cells["StartDate"])

    @property
    def last(self) -> date | None:
        """The same as the first day where it is left empty."""
        return _date(self.cells["EndDate"]) if self.cells["EndDate"] else self.first

    @property
    def unread_date(self) -> str:
        """The first of both that is not a date."""
        return self.cells["EndDate" if self.first else "StartDate"]

    @property
    def name(self) -> Cell:
        """The name in the first of its languages."""
        text = self.cells[NAME]
        match = _NAME.fullmatch(_NEXT_LANGUAGE.split(text)[0])
        if match is None or CONTROL.search(match["text"]):
            return Cell(None, text, "the file of school vacations", self.number, "unreadable")
        return Cell(match["text"].replace("%2C", ","), text, "the file of school vacations", self.number)


@dataclass(frozen=True)
class Pupils:
    """Whose calendar is read: of a `country`, of its `subdivision`, of a `group` of schools, and of those whose comment
    has the `words`."""

    country: str
    subdivision: str | None = None
    words: str | None = None
    group: str | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.country, self.subdivision, self.group, self.words)))

    @property
    def columns(self) -> list[str]:
        """Those that a file needs."""
        return [*_COLUMNS, *([_SUBDIVISIONS] if self.subdivision else []), *([_COMMENT] if self.words else [])]

    def is_within(self, code: str) -> bool:
        """Whether the subdivision is the one of this code or a part of it: AN-SE is of AN."""
        return self.subdivision is not None and f"{self.subdivision}-".startswith(f"{code}-")

    def are_at(self, line: Line) -> bool:
        """Whether a line is of the whole country, or of the subdivision."""
        return not line.subdivisions or any(map(self.is_within, line.subdivisions))

    def reason_against(self, line: Line) -> str | None:
        """The reason why a line is not of this calendar. Raises PermanentError where the settings cannot decide."""
        codes = line.subdivisions
        if self.subdivision is None and codes:
            raise PermanentError(f"the file has vacations of {', '.join(codes)}: set `subdivision` to the city's")
        if line.cells["Country"] != self.country:
            return "other_country"
        if not self.are_at(line):
            return "other_subdivision"
        if line.cells.get(_SCOPE) == "Local":
            return "other_town"
        if self.group is None and line.groups:
            raise PermanentError(f"the file has vacations of {', '.join(line.groups)}: set `group` to one of them")
        if line.groups and self.group not in line.groups:
            return "other_pupils"
        if self.words is not None and line.comment and self.words not in line.comment:
            return "other_pupils"
        if line.type in _OTHER_TYPES:
            return "other_type"
        if line.type not in (VACATION, END_OF_LESSONS, BACK_TO_SCHOOL):
            raise PermanentError(f"line {line.number}: the type {line.type[:40]!r} is unknown")
        return None


def refuse_partial(path: Path) -> None:
    """Raises TransientError for a table that breaks off within a line, or has none of the columns: then it is another
    answer in place of the file, whose format may be another, but not all of it."""
    lines = path.read_bytes().split(b"\n")
    header, end = lines[0], lines[-1]  # the end is empty after a whole line
    letters = header.replace(b"\0", b"").decode("latin-1").casefold()
    if not any(name in letters for name in _CASEFOLDED):
        raise TransientError(f"{path.name}: the download is not the table but {header[:60].decode('latin-1')!r}")
    if end is header or (end.strip(b" \t\r\0") and end.count(b";") < header.rstrip(b"; \r").count(b";")):
        raise TransientError(f"{path.name}: the download breaks off with {end[-60:].decode('latin-1')!r}")


def lines_of(body: bytes, needed: Sequence[str]) -> tuple[list[str], list[Line]]:
    """The names of the columns, and the lines under them. Raises PermanentError for another format."""
    try:
        text = io.StringIO(body.decode("utf-8-sig"), newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(text, delimiter=";")]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PermanentError(f"the file of school vacations cannot be read: {error}") from error
    header = _without_empty_end(rows[0]) if rows else []
    names = [_CASEFOLDED.get(name.casefold(), name) for name in header]
    missing = [name for name in needed if names.count(name) != 1]
    if missing:
        raise PermanentError(f"the file of school vacations lacks {', '.join(missing)}; it has {', '.join(header)}")
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):
            continue
        cells = [*row[: len(names)], *_without_empty_end(row[len(names) :])]
        if len(cells) != len(names):
            raise PermanentError(f"line {number} has {len(cells)} cells, not {len(names)}: {';'.join(row)[:200]!r}")
        if broken := next((cell for cell in cells if "\n" in cell or "\r" in cell), None):
            raise PermanentError(f"line {number} goes on over a line's end within a quote: {broken[:200]!r}")
        lines.append(Line(number, dict(zip(names, cells, strict=True))))
    return [name for name in header if name], lines


def _without_empty_end(cells: Sequence[str]) -> list[str]:
    """Spreadsheets write empty columns behind the last one."""
    count = max((place for place, cell in enumerate(cells, start=1) if cell), default=0)
    return list(cells[:count])


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        return None
