"""Rows of Zurich's pedestrian counts: sites, hours of UTC, persons.

Belongs here: the header, stamps, cells, and the reason of every rejected row. Does not: the download (foot_file.py), or
the street's hour (hours.py).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from city_data.datasets import TRAFFIC
from city_data.payloads import Payload
from city_data.providers.errors import PermanentError
from city_data.providers.shared.habits import refuse_unreadable_rows
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.shared.spellings import DECORATION
from city_data.providers.zurich_opendata.cells import Cells, one_value_a_cell

# Middle, South and North. Another street's site, 670 (Lintheschergasse, from 2024-03-13), would have moved the level.
SITES = ("329", "330", "331")
NEEDED = ("timestamp", "location_id", "pedestrians_count", "collection_type")
# The operator's test phase ends here.
FIRST = datetime(2022, 3, 3, tzinfo=UTC)
_HIGHEST = next(column.high for column in TRAFFIC.columns if column.name == "pedestrian_count")
_HOUR = timedelta(hours=1)
_PERSONS = NumberFormat(counts=True)
_STAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.0+)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
)
_UNREADABLE = ("broken_line", "not_a_time", "off_the_hour")


@dataclass(frozen=True)
class Header:
    """The columns of a file, and the positions of the needed ones."""

    columns: tuple[str, ...]
    positions: dict[str, int]

    @classmethod
    def of(cls, line: bytes, name: str) -> Header:
        """Raises PermanentError where a needed column is missing, or stands there twice."""
        columns = tuple(_split(line.removeprefix(b"\xef\xbb\xbf")) or ())
        known = [column.lower() for column in columns]
        if wrong := [column for column in NEEDED if known.count(column) != 1]:
            begins = line[:200].decode("utf-8", "replace").strip()
            raise PermanentError(f"{name} lacks {', '.join(wrong)}, or has it twice; it begins {begins!r}")
        return cls(columns, {column: known.index(column) for column in NEEDED})

    def cells(self, line: bytes) -> dict[str, str] | None:
        """The needed cells; None for a line of another length."""
        split = _split(line)
        if split is None or len(split) != len(self.columns):
            return None
        return {name: split[position] for name, position in self.positions.items()}


def _split(line: bytes) -> list[str] | None:
    """A line by itself, so that a stray quote cannot join two."""
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    try:
        cells = next(csv.reader([text]), []) if '"' in text else text.split(",")
    except csv.Error:
        return None
    return [cell.strip(DECORATION) for cell in cells]


def stamp_of(text: str) -> datetime | None:
    """The moment of a stamp with its offset; None for any other text."""
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    try:
        return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}{match[4]}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


@dataclass
class FootCounts:
    """The month's persons by site and slot; `rejected` counts the other rows by reason."""

    persons: dict[tuple[str, int], float] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    total: int = 0
    fields: list[str] = field(default_factory=list)


def read(payloads: Sequence[Payload], starts: Sequence[datetime], as_of: datetime) -> FootCounts:
    """All rows of the files; `starts` are the month's hours.

    Raises PermanentError for a file without the source's columns, and where most lines, or most counts, cannot be read.
    """
    counts, cells = FootCounts(), Cells("pedestrians_count", _PERSONS, _HIGHEST or 0.0)
    slots = {start: slot for slot, start in enumerate(starts)}
    for payload in payloads:
        with payload.path.open("rb") as file:
            header = Header.of(file.readline(), payload.name)
            lines = [header.cells(line) for line in file if line.strip()]
        counts.fields += [column for column in header.columns if column not in counts.fields]
        counts.total += len(lines)
        cells.file = payload.name
        reasons = _add(lines, slots, as_of, cells)
        refuse_unreadable_rows(payload.name, len(lines), {reason: reasons[reason] for reason in _UNREADABLE})
        counts.rejected += reasons
    cells.refuse_habit()
    counts.persons = one_value_a_cell(cells.values, counts.rejected)
    return counts


def _add(
    lines: Sequence[dict[str, str] | None], slots: dict[datetime, int], as_of: datetime, cells: Cells
) -> Counter[str]:
    """Adds the usable values, and counts the reasons of the other lines."""
    reasons: Counter[str] = Counter()
    stamps = [stamp_of(line["timestamp"]) if line is not None else None for line in lines]
    running = _running(stamps, as_of)
    for number, (line, stamp) in enumerate(zip(lines, stamps, strict=True), start=2):
        reason = _reason(line, stamp, slots, running)
        if line is not None and stamp is not None and not reason:
            key = (line["location_id"], slots[stamp])
            reason = cells.add(key, line["pedestrians_count"], number)
        if reason:
            reasons[reason] += 1
    return reasons


def _running(stamps: Iterable[datetime | None], as_of: datetime) -> datetime:
    """The beginning of the hour that is not over: the newest in the file, which is written in the midst of an hour."""
    newest = max((stamp for stamp in stamps if stamp is not None), default=as_of)
    return min(newest, as_of - _HOUR + timedelta(microseconds=1))


def _reason(line: dict[str, str] | None, stamp: datetime | None, slots: dict[datetime, int], running: datetime) -> str:
    """Why a row does not count; empty where it does."""
    if line is None:
        return "broken_line"
    if stamp is None:
        return "not_a_time"
    if stamp.minute or stamp.second:
        return "off_the_hour"
    tests = {
        "outside_month": stamp not in slots,
        "running_hour": stamp >= running,
        "other_site": line["location_id"] not in SITES,
        "test_phase": stamp < FIRST,
        "not_measured": line["collection_type"].lower() != "measured",
    }
    return next((reason for reason, failed in tests.items() if failed), "")
