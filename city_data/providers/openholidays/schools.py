"""A file of school vacations of openholidaysapi.data: the vacations of one region, and the days that it covers.

Belongs here: the file's columns, and how far its knowledge reaches. Does not: holidays (month_days.py), or the choice
of the file (__init__.py).

The file lists what is decreed, and says of no day that it is a school day. Its silence means so only between its first
and last lines, and not in a stretch that no term is long: that is a school year which the file lacks.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from city_data.providers.base import PermanentError

_COLUMNS = ("StartDate", "EndDate", "Type", "Name")
_SUBDIVISIONS, _COMMENT = "Subdivisions", "Comment"
_VACATION, _ENDS_OF_LESSONS = "School", frozenset({"EndOfLessons", "BackToSchool"})
CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # of which a database refuses some, and a table others
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# "ES Vacaciones de Navidad,CA Vacances de Nadal": a comma within a text is %2C, or stands before no language.
_NEXT_LANGUAGE = re.compile(r",(?=[A-Z]{2} )")
_NAME = re.compile(r"[A-Z]{2} (?P<text>\S.*)")
# Of the regions of the shipped cities the longest is 109 days, Catalonia's autumn of 2022.
_LONGEST_TERM = timedelta(days=150)
# Portugal's oldest pupils have 100 days; a line of the database once ended a year late, with 379.
_LONGEST_VACATION = timedelta(days=120)

Line = Mapping[str, str]


@dataclass(frozen=True)
class Span:
    """Days of one line, both included. `name` is None for the last or first day of lessons."""

    first: date
    last: date
    name: str | None
    comment: str


@dataclass(frozen=True)
class SchoolYears:
    """The vacations of a region, by their first day, and the counts of the file's lines."""

    spans: Sequence[Span]
    fields: Sequence[str]
    received: int
    rejected: Mapping[str, int]

    @property
    def used(self) -> int:
        return len(self.spans)

    @property
    def first_day(self) -> date:
        return self._known[0][0]

    @property
    def last_day(self) -> date:
        """The last day on which the schools are known."""
        return self._known[-1][1]

    def vacation(self, day: date) -> str | None:
        names = [span.name for span in self.spans if span.name is not None and span.first <= day <= span.last]
        return "; ".join(dict.fromkeys(names)) or None

    def is_known(self, day: date) -> bool:
        return any(first <= day <= last for first, last in self._known)

    @cached_property
    def _known(self) -> list[tuple[date, date]]:
        """Stretches of days, both ends included."""
        known: list[tuple[date, date]] = []
        for span in self.spans:
            if known and span.first - known[-1][1] <= _LONGEST_TERM:
                known[-1] = (known[-1][0], max(known[-1][1], span.last))
            else:
                known.append((span.first, span.last))
        return known


def read(body: bytes, subdivision: str | None, pupils: str | None) -> SchoolYears:
    """The lines of a subdivision, or of a file without any; `pupils` are words of the comment on one group's.

    Raises PermanentError for a file in another format, or one whose lines are not one school calendar.
    """
    needed = [*_COLUMNS, *([_SUBDIVISIONS] if subdivision else []), *([_COMMENT] if pupils else [])]
    fields, lines = _lines(body, needed)
    rejected: Counter[str] = Counter()
    spans = list[Span]()
    for number, line in enumerate(lines, start=2):
        if reason := _left_out(line, subdivision, pupils):
            rejected[reason] += 1
        else:
            spans.append(_span(number, line))
    distinct = sorted(dict.fromkeys(spans), key=lambda span: (span.first, span.last, span.name or "", span.comment))
    if len(distinct) < len(spans):
        rejected["duplicate"] = len(spans) - len(distinct)
    if not distinct:
        known = sorted({code for line in lines for code in _subdivisions(line)})
        raise PermanentError(f"the file has no line of {subdivision!r}; it has {', '.join(known) or 'no subdivisions'}")
    _refuse_several_groups(distinct)
    return SchoolYears(distinct, fields, len(lines), dict(rejected))


def _lines(body: bytes, needed: Sequence[str]) -> tuple[list[str], list[Line]]:
    """The names of the columns, and the lines under them."""
    try:
        rows = [row for row in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), delimiter=";") if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise PermanentError(f"the file of school vacations cannot be read: {error}") from error
    header = rows[0] if rows else []
    missing = [name for name in needed if header.count(name) != 1]
    if missing:
        raise PermanentError(f"the file of school vacations lacks {', '.join(missing)}; it has {', '.join(header)}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise PermanentError(f"line {number} has {len(row)} cells, not {len(header)}: {';'.join(row)[:200]!r}")
    return [name for name in header if name], [dict(zip(header, row, strict=True)) for row in rows[1:]]


def _left_out(line: Line, subdivision: str | None, pupils: str | None) -> str | None:
    """The reason why a line is not of this calendar."""
    codes = _subdivisions(line)
    if subdivision is None and codes:
        raise PermanentError(f"the file has vacations of {', '.join(codes)}: set `subdivision` to the city's")
    if subdivision is not None and subdivision not in codes:
        return "other_subdivision"
    comment = line.get(_COMMENT, "")
    if pupils is not None and comment.strip() and pupils not in comment:
        return "other_pupils"
    return None if line["Type"] in (_VACATION, *_ENDS_OF_LESSONS) else "other_type"


def _subdivisions(line: Line) -> list[str]:
    return [code for code in line.get(_SUBDIVISIONS, "").split(",") if code]


def _span(number: int, line: Line) -> Span:
    first = _date(number, line["StartDate"])
    last = _date(number, line["EndDate"]) if line["EndDate"] else first
    if last < first:
        raise PermanentError(f"line {number} ends on {last}, before it begins on {first}")
    if last - first > _LONGEST_VACATION:
        raise PermanentError(f"line {number}: no vacation is as long as from {first} to {last}")
    match = _NAME.fullmatch(_NEXT_LANGUAGE.split(line["Name"])[0])
    if match is None or CONTROL.search(match["text"]):
        raise PermanentError(f"line {number}: {line['Name'][:200]!r} is not a name with its language")
    name = match["text"].replace("%2C", ",") if line["Type"] == _VACATION else None
    return Span(first, last, name, line.get(_COMMENT, "").strip())


def _date(number: int, text: str) -> date:
    try:
        return date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        raise PermanentError(f"line {number}: {text[:40]!r} is not a date") from None


def _refuse_several_groups(spans: Iterable[Span]) -> None:
    """Vacations that overlap under several comments are of several groups of pupils, whose days must not be mixed."""
    before: Span | None = None
    for span in (span for span in spans if span.name is not None and span.comment):
        if before is not None and span.first <= before.last and span.comment != before.comment:
            raise PermanentError(
                f"{span.name!r} of {span.first} begins on other days for {span.comment!r} and for {before.comment!r}: "
                "set `pupils` to words of one of these comments"
            )
        before = span if before is None or span.last >= before.last else before
