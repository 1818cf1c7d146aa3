"""Rows of Zurich's motor counts: series, local hours, vehicles, from the pages of the DataStore.

Belongs here: records, stamps, October's pairs, the reason of every rejected row. Does not: downloads (datastore.py), or
the city-hour (hours.py).

A stamp (`MessungDatZeit`) is the start of an hour on the city's clock, without an offset. In October two hours have the
stamp 02:00: two rows of one series that follow each other are the first and the second of them. Anything else may be
either, and is rejected.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from city_data.payloads import Payload
from city_data.providers.errors import PermanentError
from city_data.providers.shared.city_hours import SPIKE
from city_data.providers.shared.habits import refuse_unreadable_rows
from city_data.providers.shared.local_hours import Clock
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.transport.documents import read_json
from city_data.providers.zurich_opendata.cells import Cells, one_value_a_cell
from city_data.providers.zurich_opendata.datastore import MEASURED, records_of
from city_data.window import Month

NEEDED = ("MSID", "MessungDatZeit", "AnzFahrzeuge", "AnzFahrzeugeStatus")
# The city fills single missing hours from the weeks and years before: a value, and not a measured one.
_REASONS = {MEASURED.lower(): "", "imputiert": "imputed", "fehlend": "no_value"}
_VEHICLES = NumberFormat(counts=True)
_STAMP = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:\.0+)?")
_UNREADABLE = ("no_series", "not_a_time", "off_the_hour", "unknown_status")


class Row(NamedTuple):
    """A record. `number` is the table's own (`_id`), by which its rows are ordered."""

    number: int
    series: str
    site: str
    stamp: str
    vehicles: Any
    status: str


@dataclass
class Counts:
    """The month's vehicles by series and slot. `sites` are those of the series, each the one that most of its rows
    name, and `other_site` counts the rows that name another; `unresolved` are slots of October's doubled hour that some
    series has rows of, and does not tell apart."""

    vehicles: dict[tuple[str, int], float] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    other_site: int = 0
    unresolved: set[int] = field(default_factory=set)
    rejected: Counter[str] = field(default_factory=Counter)
    total: int = 0
    fields: list[str] = field(default_factory=list)


def read(pages: Sequence[Payload], month: Month, clock: Clock) -> Counts:
    """All rows of the pages.

    Raises PermanentError for another document, for pages without any row of the month although they have rows, and
    where most rows, or most counts, cannot be read.
    """
    counts = Counts()
    rows = _rows(pages, counts)
    reader = _Reader(month, clock, counts)
    for row in rows:
        reader.add(row)
    reader.resolve_pairs()
    name = ", ".join(page.name for page in pages[:3])
    refuse_unreadable_rows(name, counts.total, {reason: counts.rejected[reason] for reason in _UNREADABLE})
    if counts.total and counts.rejected["outside_month"] + counts.rejected["nonexistent_local_hour"] == counts.total:
        raise PermanentError(f"{name} has no row of the month among {counts.total:,}")
    reader.cells.refuse_habit()
    reader.name_sites()
    counts.vehicles = one_value_a_cell(reader.cells.values, counts.rejected)
    return counts


def _rows(pages: Sequence[Payload], counts: Counts) -> list[Row]:
    """Each row once, in the table's order; without numbers in the order of the pages."""
    rows: list[Row] = []
    texts: dict[str, str] = {}
    numbered = True
    for page in pages:
        for record in _records(page):
            number = record.get("_id", "")
            numbered &= isinstance(number, int) and not isinstance(number, bool)
            words = [_text(record.get(name)) for name in ("MSID", "ZSID", "MessungDatZeit", "AnzFahrzeugeStatus")]
            series, site, stamp, status = (texts.setdefault(word, word) for word in words)
            cell = record["AnzFahrzeuge"]
            vehicles = str(cell) if isinstance(cell, list | dict) else cell  # neither is a count, nor hashable
            rows.append(Row(int(number) if numbered else len(rows), series, site, stamp, vehicles, status))
            if not counts.fields:
                counts.fields = list(record)
    counts.total = len(rows)
    if not numbered:
        return rows
    once = list(dict.fromkeys(sorted(rows, key=lambda row: row.number)))
    if len(once) < len(rows):
        counts.rejected["duplicate"] += len(rows) - len(once)
    return once


def _records(page: Payload) -> list[dict[str, Any]]:
    try:
        records = records_of(read_json(page.path.read_bytes()))
    except ValueError as error:
        raise PermanentError(f"{page.name} is no answer of the DataStore: {error}") from error
    for record in records:
        if missing := [name for name in NEEDED if name not in record]:
            raise PermanentError(f"{page.name}: a row lacks {', '.join(missing)}; it has {', '.join(record)[:200]}")
    return records


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


class _Reader:
    """Rows of the month, in the order of the table, to values by series and slot."""

    def __init__(self, month: Month, clock: Clock, counts: Counts) -> None:
        self.cells = Cells("AnzFahrzeuge", _VEHICLES, SPIKE, "the pages")
        self._month, self._counts = month, counts
        self._first, self._doubled = clock.first_slots, set(clock.doubled)
        self._faces: dict[str, int | str] = {}
        self._lengths: Counter[str] = Counter()
        self._named: dict[str, Counter[str]] = {}
        self._pairs: dict[tuple[str, int], list[tuple[int, Row]]] = {}

    def add(self, row: Row) -> None:
        if not row.series:
            self._counts.rejected["no_series"] += 1
            return
        self._lengths[row.series] += 1
        face = self._faces.get(row.stamp)
        if face is None:
            face = self._faces[row.stamp] = self._face(row.stamp)
        if isinstance(face, str):
            self._counts.rejected[face] += 1
        elif face in self._doubled:
            place = (self._lengths[row.series], row)
            self._pairs.setdefault((row.series, face), []).append(place)
        else:
            self._place(row, self._first[face])

    def resolve_pairs(self) -> None:
        """Exactly two rows of a series that follow each other are the two hours, whichever their status."""
        for (_, face), places in self._pairs.items():
            first = self._first[face]
            if len(places) == 2 and places[1][0] - places[0][0] == 1:
                for turn, (_, row) in enumerate(places):
                    self._place(row, first + turn)
            else:
                self._counts.rejected["unresolved_doubled_hour"] += len(places)
                self._counts.unresolved |= {first, first + 1}

    def _place(self, row: Row, slot: int) -> None:
        reason = _REASONS.get(row.status.lower(), "unknown_status")
        if not reason:
            reason = self.cells.add((row.series, slot), row.vehicles, row.number)
        if reason:
            self._counts.rejected[reason] += 1
        else:
            self._named.setdefault(row.series, Counter())[row.site or row.series.partition("M")[0]] += 1

    def name_sites(self) -> None:
        """The site decides whether a series counts as a street; of two that are named equally often the first by
        name."""
        for series, named in self._named.items():
            site = min(named, key=lambda one: (-named[one], one))
            self._counts.sites[series] = site
            self._counts.other_site += named.total() - named[site]

    def _face(self, stamp: str) -> int | str:
        """The local hour of the month, else the reason why the stamp has none."""
        match = _STAMP.fullmatch(stamp)
        if match is None:
            return "not_a_time"
        try:
            moment = datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}")
        except ValueError:
            return "not_a_time"
        if moment.minute or moment.second:
            return "off_the_hour"
        if (moment.year, moment.month) != (self._month.year, self._month.month):
            return "outside_month"
        face = (moment.day - 1) * 24 + moment.hour
        return face if face in self._first else "nonexistent_local_hour"
