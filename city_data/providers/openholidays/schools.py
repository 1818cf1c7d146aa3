"""A file of school vacations of openholidaysapi.data: the vacations of one region, and the days that it covers.

Belongs here: which lines are of the calendar, and how far its knowledge reaches. Does not: the file's format
(school_lines.py), holidays (month_days.py), or the choice of the file (__init__.py).

The file lists what is decreed, and says of no day that it is a school day. Its silence means so only between its first
and last lines, and not in a stretch that no term is long: that is a school year which the file lacks. Nor does it mean
so between the end of lessons and the next line, or around a line whose dates cannot be: there a vacation is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

from city_data.providers.base import PermanentError
from city_data.providers.openholidays.school_lines import (
    BACK_TO_SCHOOL,
    END_OF_LESSONS,
    NAME,
    VACATION,
    Line,
    Pupils,
    lines_of,
)
from city_data.providers.shared.cells import Cell, count_nulled, refuse_spoilt_files

# Of the regions of the shipped cities the longest is 109 days, Catalonia's autumn of 2022.
_LONGEST_TERM = timedelta(days=150)
# Portugal's oldest pupils have 100 days; a line of the database once ended a year late, with 379.
_LONGEST_VACATION = timedelta(days=120)
_DAY = timedelta(days=1)
_FEW, _MOSTLY = 3, 2  # as of cells: so many broken lines and more than twice as many as good ones are another format
Stretch = tuple[date, date]  # both ends included


@dataclass(frozen=True)
class Span:
    """Days of one line, both included. A vacation's `name` is None where the file does not tell it."""

    first: date
    last: date
    type: str
    name: str | None
    comment: str

    @property
    def is_vacation(self) -> bool:
        return self.type == VACATION


@dataclass(frozen=True)
class SchoolYears:
    """The vacations of a region, by their first day, and the counts of the file's lines. Of `doubtful` days a line may
    tell a vacation, whose dates cannot be."""

    spans: Sequence[Span]
    fields: Sequence[str]
    received: int
    rejected: Mapping[str, int]
    nulled: Mapping[str, int]
    doubtful: Sequence[Stretch] = field(default_factory=tuple)

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

    def is_vacation(self, day: date) -> bool:
        return bool(self._vacations(day))

    def vacation(self, day: date) -> str | None:
        """Its name, as far as the file tells it."""
        return "; ".join(dict.fromkeys(span.name for span in self._vacations(day) if span.name is not None)) or None

    def is_known(self, day: date) -> bool:
        if any(first <= day <= last for first, last in self.doubtful) and not self.is_vacation(day):
            return False
        return any(first <= day <= last for first, last in self._known)

    def _vacations(self, day: date) -> list[Span]:
        return [span for span in self.spans if span.is_vacation and span.first <= day <= span.last]

    @cached_property
    def _known(self) -> list[Stretch]:
        known: list[Stretch] = []
        latest: Span | None = None  # the one that the last stretch ends with
        for span in self.spans:
            if latest is not None and _is_term_between(latest, span):
                known[-1] = (known[-1][0], max(known[-1][1], span.last))
            else:
                known.append((span.first, span.last))
            latest = span if latest is None or span.last >= latest.last else latest
        return known


def _is_term_between(before: Span, after: Span) -> bool:
    """Whether the days between two lines, if any, are those of a term."""
    if after.first - before.last <= _DAY:
        return True
    is_open = before.type == END_OF_LESSONS or after.type == BACK_TO_SCHOOL
    return not is_open and after.first - before.last <= _LONGEST_TERM


def read(body: bytes, pupils: Pupils) -> SchoolYears:
    """The lines of these pupils' calendar.

    Raises PermanentError for a file in another format, or one whose lines are not one school calendar.
    """
    fields, lines = lines_of(body, pupils.columns)
    rejected: Counter[str] = Counter()
    spans: dict[Span, Cell] = {}
    broken: list[Line] = []
    for line in lines:
        if reason := pupils.reason_against(line):
            rejected[reason] += 1
        elif (span := _span(line)) is None:
            broken.append(line)
        elif span in spans:
            rejected["duplicate"] += 1
        else:
            spans[span] = line.name
    rejected["broken_line"] = len(broken)
    _refuse_other_lines(lines, list(spans), broken, pupils)
    listed = sorted(spans, key=lambda span: (span.first, span.last, span.type, span.name or "", span.comment))
    _refuse_several_groups(listed)
    names = [{NAME: name} for span, name in spans.items() if span.is_vacation]
    refuse_spoilt_files(names)
    doubtful = [stretch for line in broken for stretch in _doubtful(line)]
    return SchoolYears(listed, fields, len(lines), dict(+rejected), dict(count_nulled(names)), doubtful)


def _span(line: Line) -> Span | None:
    """None where its dates cannot be those of a vacation."""
    if _problem(line) is not None or line.first is None or line.last is None:
        return None
    name = line.name.value if line.type == VACATION else None
    return Span(line.first, line.last, line.type, None if name is None else str(name), line.comment)


def _problem(line: Line) -> str | None:
    """What is wrong with its dates."""
    first, last = line.first, line.last
    if first is None or last is None:
        return f"{line.unread_date[:40]!r} is not a date"
    if last < first:
        return f"it ends on {last}, before it begins on {first}"
    return f"no vacation is as long as from {first} to {last}" if last - first > _LONGEST_VACATION else None


def _doubtful(line: Line) -> list[Stretch]:
    """The days that a line with wrong dates may be about: one of its dates may be right, or both in the other order."""
    stretches = []
    if line.first is not None:
        stretches.append((line.first, line.first + _LONGEST_VACATION))
    if line.last is not None:
        stretches.append((line.last - _LONGEST_VACATION, line.last))
    if line.first is not None and line.last is not None and line.first - line.last <= _LONGEST_VACATION:
        stretches.append((line.last, line.first))
    return stretches


def _refuse_other_lines(lines: Sequence[Line], spans: Sequence[Span], broken: Sequence[Line], pupils: Pupils) -> None:
    """Raises PermanentError for a file of another place, and for lines in another format: a single one may be wrong,
    and tells days that are doubtful as long as one of its dates can be read."""
    known = sorted({code for line in lines for code in line.subdivisions})
    if pupils.subdivision is not None and not any(map(pupils.is_within, known)):
        raise PermanentError(
            f"the file has no line of {pupils.subdivision!r}; it has {', '.join(known) or 'no subdivisions'}"
        )
    own = [line for line in lines if pupils.are_at(line)]
    groups = sorted({code for line in own for code in line.groups})
    if groups and pupils.group not in groups:
        raise PermanentError(f"the file has no line of the group {pupils.group!r}; it has {', '.join(groups)}")
    comments = {line.comment for line in own if line.comment}
    if pupils.words is not None and comments and not any(pupils.words in comment for comment in comments):
        raise PermanentError(f"no comment has the words {pupils.words!r}; there is {min(comments)[:100]!r}")
    unread = next((line for line in broken if line.first is None and line.last is None), None)
    if unread is not None or (len(broken) >= _FEW and len(broken) > _MOSTLY * len(spans)) or (broken and not spans):
        worst = unread or broken[0]
        raise PermanentError(f"line {worst.number}: {_problem(worst)}")
    if not spans:
        raise PermanentError(f"none of the file's {len(lines)} lines is of {pupils}")


def _refuse_several_groups(spans: Iterable[Span]) -> None:
    """Vacations that overlap under several comments are of several groups of pupils, whose days must not be mixed."""
    before: Span | None = None
    for span in (span for span in spans if span.is_vacation and span.comment):
        if before is not None and span.first <= before.last and span.comment != before.comment:
            raise PermanentError(
                f"{span.name!r} of {span.first} begins on other days for {span.comment!r} and for {before.comment!r}: "
                "set `pupils` to words of one of these comments"
            )
        before = span if before is None or span.last >= before.last else before
