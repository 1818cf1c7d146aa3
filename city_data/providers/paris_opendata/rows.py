"""Rows of Paris's counts: arcs, ends of hours, vehicles (`q`) and occupancy (`k`), from an export or the archive.

Belongs here: headers, stamps, cells, and the reason of every rejected row. Does not: downloads (feed.py, archive.py),
repeated rows and the city-hour (hours.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from city_data.payloads import Payload
from city_data.providers.errors import PermanentError
from city_data.providers.paris_opendata.cells import (
    NONEXISTENT,
    NOT_A_TIME,
    OFF_THE_HOUR,
    OUTSIDE,
    REASONS,
    CellReader,
    Cells,
)
from city_data.providers.paris_opendata.header import Header, header_of
from city_data.providers.shared.habits import refuse_spoilt_cells, refuse_unreadable_rows
from city_data.providers.shared.pieces import in_order
from city_data.providers.shared.stamps import stamp_of
from city_data.window import Month

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HOUR = timedelta(hours=1)
_PIECE, _HEAD = 4 << 20, 64_000


@dataclass(frozen=True)
class Slots:
    """The hours of a month by their ends, which the source stamps: `t_1h` 01:00 is the hour from 00:00 to 01:00.

    A stamp with an offset is exact. One without is the city's clock: in spring the hour's end 02:00 does not exist, and
    in autumn one row has the end 02:00 that two hours have. It counts as the second, where the current feed has it.
    `by_request`: stamps of a zone were requested, so that one without an offset may be of that zone or of the city's.
    """

    month: Month
    timezone: str
    by_request: bool = False

    @cached_property
    def starts(self) -> list[datetime]:
        return self.month.hours(self.timezone)

    @cached_property
    def _faces(self) -> dict[datetime, int]:
        """Slots by the end of the hour on the city's clock, the later of two."""
        zone = ZoneInfo(self.timezone)
        return {(start + HOUR).astimezone(zone).replace(tzinfo=None): n for n, start in enumerate(self.starts)}

    @cached_property
    def doubled(self) -> list[int]:
        """The slots of local ends that two hours have, the later one of each pair."""
        zone = ZoneInfo(self.timezone)
        ends = [(start + HOUR).astimezone(zone).replace(tzinfo=None) for start in self.starts]
        return [n for n, (one, other) in enumerate(pairwise(ends), start=1) if one == other]

    def slot(self, text: str) -> int:
        """The slot of a stamp, else a code of REASONS."""
        end = stamp_of(text)
        if end is None:
            return NOT_A_TIME
        if end.minute or end.second:
            return OFF_THE_HOUR
        if end.tzinfo is not None:
            return self._exact(end)
        return NOT_A_TIME if self.by_request else self._local(end)

    def _exact(self, end: datetime) -> int:
        hours, rest = divmod(end - self.starts[0] - HOUR, HOUR)
        return OFF_THE_HOUR if rest else hours if 0 <= hours < len(self.starts) else OUTSIDE

    def _local(self, end: datetime) -> int:
        if (slot := self._faces.get(end)) is not None:
            return slot
        return NONEXISTENT if min(self._faces) < end < max(self._faces) else OUTSIDE


@dataclass(frozen=True)
class Rows:
    """The month's rows: `arc`, `slot`, and cells of `q` and `k` (NaN without a value, with a code of FATES).

    `rejected` counts the other rows by reason; `has_offsets`: whether stamps name their offset from UTC;
    `doubled` are the slots that stand for two hours where they do not.
    """

    arc: NDArray[np.int32]
    slot: NDArray[np.int16]
    values: dict[str, NDArray[np.float64]]
    fates: dict[str, NDArray[np.uint8]]
    rejected: dict[str, int]
    total: int
    headers: list[Header]
    has_offsets: bool
    doubled: list[int]


@dataclass
class _Spoilt:
    """Bad and good cells of each field in one file, and the first bad one."""

    good: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)


def read(payloads: Sequence[Payload], month: Month, timezone: str) -> Rows:
    """All rows of the files.

    Raises PermanentError for a file without the source's columns, for one without any row of the month although it
    has rows, and where most cells of a field, or most lines, cannot be read.
    """
    import numpy as np

    slots, headers = Slots(month, timezone), list[Header]()
    parts: list[Cells] = []
    rejected: Counter[str] = Counter()
    total, offsets = 0, False
    for payload in payloads:
        path = payload.path
        header, reader = _opened(path, replace(slots, by_request="timezone" in payload.params))
        headers.append(header)
        spoilt, lines, reasons = _Spoilt(), 0, Counter[int]()
        for cells in in_order(reader.cells, _pieces(path)):
            _count(cells, lines, spoilt)
            lines += len(cells.slot)
            codes, counts = np.unique(cells.slot[cells.slot < 0], return_counts=True)
            reasons.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
            parts.append(cells.of_the_month())
        _refuse(path, lines, reasons, spoilt, reader)
        rejected.update({REASONS[code]: count for code, count in reasons.items()})
        total, offsets = total + lines, offsets or reader.has_offsets
    if total and rejected["outside_month"] + rejected["nonexistent_local_hour"] == total:
        raise PermanentError(
            f"{', '.join(payload.path.name for payload in payloads)} has no row of the month among {total:,}"
        )
    joined = Cells.joined(parts)
    return Rows(
        joined.arc, joined.slot, joined.values, joined.fates, dict(rejected), total, headers, offsets, slots.doubled
    )


def _opened(path: Path, slots: Slots) -> tuple[Header, CellReader]:
    with path.open("rb") as file:
        header = header_of(file.read(_HEAD), path.name)
    return header, CellReader(header, slots.slot)


def _pieces(path: Path) -> Iterator[bytes]:
    """The lines below the header, some megabytes of whole ones at a time."""
    with path.open("rb") as file:
        file.readline()
        rest = b""
        while piece := file.read(_PIECE):
            end = piece.rfind(b"\n") + 1
            if end:
                yield rest + piece[:end]
                rest = piece[end:]
            else:
                rest += piece
        if rest:
            yield rest


def _count(cells: Cells, lines: int, spoilt: _Spoilt) -> None:
    for name, (row, text) in cells.first_bad.items():
        spoilt.first.setdefault(name, f"{text[:40]!r} in line {lines + row + 2}, column {name!r}")
    spoilt.bad.update(cells.bad)
    spoilt.good.update(cells.good)


def _refuse(path: Path, lines: int, reasons: Counter[int], spoilt: _Spoilt, reader: CellReader) -> None:
    """Raises PermanentError for a file whose format has changed."""
    for name in ("q", "k"):
        if name in reader.ambiguous:
            raise PermanentError(f"{path.name}: {reader.ambiguous[name][:40]!r} in column {name!r} is ambiguous: "
                                 "thousands, or a fraction?")  # fmt: skip
        refuse_spoilt_cells(
            name, spoilt.bad[name], spoilt.good[name], partial(spoilt.first.__getitem__, name), path.name
        )
    unreadable = {reason: reasons[code] for code, reason in REASONS.items() if code not in (NONEXISTENT, OUTSIDE)}
    refuse_unreadable_rows(path.name, lines, unreadable, "lines")
