"""Measures: passages of one channel in an interval, with the reason of every row that is left out.

Belongs here: stamps, intervals, counts, and the refusal of a changed format. Does not: files (tables.py), several rows
of one interval, and hours (hours.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from city_data.providers.errors import PermanentError
from city_data.providers.shared.city_hours import SPIKE
from city_data.providers.shared.mobility_counts.channels import Channel, text_of
from city_data.providers.shared.mobility_counts.tables import Table
from city_data.providers.shared.numbers import NotANumber, NumberFormat
from city_data.providers.shared.spellings import DECORATION
from city_data.providers.shared.stamps import stamp_of

HOUR_S = 3_600
# A count may have a fraction: the schema allows interpolated ones.
_COUNTS = NumberFormat(counts=True)
# Reasons that no row of the schema has; the others are habits of sources. The first ones leave the kind unknown.
_OF_NO_CHANNEL = ("broken_line", "no_channel", "unknown_channel", "contradicted_channel")
_SPOILT = ("not_a_time", "no_offset", "no_end", "off_the_step", "unreadable", "negative", "implausible")
_HABIT = 3  # fewer spoilt rows than this are an accident


@dataclass
class Intervals:
    """The counted passages between two moments (s since 1970), by the channels `names`: `channel` is an index of them,
    `start` and `length` are seconds from the first moment on. `rejected` counts the other rows of `total` by reason,
    `first` has an example of each."""

    first_s: int
    last_s: int
    names: list[str]
    channel: list[int] = field(default_factory=list)
    start: list[int] = field(default_factory=list)
    length: list[int] = field(default_factory=list)
    count: list[float] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    total: int = 0

    def refuse_another_format(self) -> None:
        """Raises PermanentError where most rows, or most of the kind's, cannot be read, and where none is of the month
        and kind."""
        good = len(self.count) + self.rejected["no_value"]
        channeled = self.total - sum(self.rejected[reason] for reason in _OF_NO_CHANNEL)
        for reasons, others in ((_OF_NO_CHANNEL, channeled), (_SPOILT, good)):
            bad = sum(self.rejected[reason] for reason in reasons)
            if bad > others and (bad >= _HABIT or not good):
                worst = max(reasons, key=lambda reason: self.rejected[reason])
                raise PermanentError(f"{bad:,} of {self.total:,} rows cannot be used, most of them {worst}, such as "
                                     f"{self.first[worst]}")  # fmt: skip
        if not good:
            raise PermanentError(f"no row of {self.total:,} is of the month and kind; rejected: {dict(self.rejected)}")


class MeasureReader:
    """Collects the rows of channels that count `kind` and nothing else."""

    def __init__(self, channels: Mapping[str, Channel | None], kind: str, bounds: tuple[datetime, datetime]) -> None:
        self._channels, self._kind = channels, kind
        # In the order of their names, so that sums of fractions do not depend on the order of rows.
        names = sorted(name for name, channel in channels.items() if channel is not None and channel.kinds == {kind})
        self._index = {name: index for index, name in enumerate(names)}
        self.intervals = Intervals(int(bounds[0].timestamp()), int(bounds[1].timestamp()), names)
        self._moments: dict[str, int | str] = {}

    def add(self, table: Table) -> None:
        """Raises PermanentError for an ambiguous count, which could be either of two."""
        intervals = self.intervals
        intervals.total += table.rows + table.broken
        if table.broken:
            self._reject("broken_line", "a line of another length", table.name, 0, table.broken)
        names = ("channel_id", "start_datetime", "end_datetime", "count")
        for row, cells in enumerate(zip(*(table.column(name) for name in names), strict=True), 1):
            identifier, start, end, cell = cells
            name = text_of(identifier)
            channel = self._channels.get(name)
            if channel is None or name not in self._index:
                self._reject(self._unwanted(name, channel), identifier, table.name, row)
                continue
            interval = self._interval(start, end, channel.step_s)
            if isinstance(interval, str):
                self._reject(interval, (start, end), table.name, row)
                continue
            count = _count(cell, interval[1])
            if count == "ambiguous":
                raise PermanentError(f"{table.name}: {cell!r} in row {row} is ambiguous: thousands, or a fraction?")
            if isinstance(count, str):
                self._reject(count, cell, table.name, row)
                continue
            intervals.channel.append(self._index[name])
            intervals.start.append(interval[0] - intervals.first_s)
            intervals.length.append(interval[1])
            intervals.count.append(count)

    def _unwanted(self, name: str, channel: Channel | None) -> str:
        if channel is not None:
            return "several_kinds" if self._kind in channel.kinds else "other_kind"
        if not name:
            return "no_channel"
        return "contradicted_channel" if name in self._channels else "unknown_channel"

    def _interval(self, start: Any, end: Any, step_s: int | None) -> tuple[int, int] | str:
        """Start and length, or the reason to leave the row out. The lengths that divide an hour lie within one."""
        intervals = self.intervals
        begins = self._moment(start)
        if isinstance(begins, str):
            return begins
        if not intervals.first_s <= begins < intervals.last_s:
            return "outside_month"
        length = step_s
        if not _is_empty(end):
            ends = self._moment(end)
            if isinstance(ends, str):
                return ends
            length = ends - begins
        if length is None:
            return "no_end"
        if length <= 0 or HOUR_S % length or (begins - intervals.first_s) % length:
            return "off_the_step"
        return begins, length

    def _moment(self, value: Any) -> int | str:
        if not isinstance(value, str):
            return "not_a_time"
        if (moment := self._moments.get(value)) is None:
            moment = self._moments[value] = moment_of(value)
        return moment

    def _reject(self, reason: str, cell: Any, file: str, row: int, rows: int = 1) -> None:
        self.intervals.rejected[reason] += rows
        if reason not in self.intervals.first:
            self.intervals.first[reason] = f"{cell!r:.100} in row {row} of {file}"


def moment_of(text: str) -> int | str:
    """Seconds since 1970 of a stamp, else the reason against it."""
    moment = stamp_of(text.strip(DECORATION))
    if moment is None:
        return "not_a_time"
    try:
        return "no_offset" if moment.tzinfo is None else int(moment.astimezone(UTC).timestamp())
    except OverflowError:
        return "not_a_time"


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip(DECORATION))


def _count(value: Any, length_s: int) -> float | str:
    try:
        count = _COUNTS.parse(value.strip(DECORATION) if isinstance(value, str) else value)
    except NotANumber as error:
        return error.reason
    if count is None:
        return "no_value"
    if count < 0:
        return "negative"
    return count if count * HOUR_S / length_s <= SPIKE else "implausible"
