"""Which forecast of a day a frame has: the one of so many days before the day, or the newest of one day.

Belongs here: the choice of rows by lead. Does not: joining them (training.py), or how a source counts leads
(providers/).

A lead counts back so many times 24 hours from an hour, to the newest run that began then or before; for an amount,
such as rain, from the hour's end. At the end of a day that may be the run of a midnight, which is one of the day
after. Where a run begins at the city's midnight, the last hour's rain is of it; where clocks were set back since, the
last hour's other values and the rain of the hour before are too. All these values are those of one day more.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any

from city_data.datasets import Dataset
from city_data.frames.grids import day_of
from city_data.window import day_bounds

if TYPE_CHECKING:
    import pyarrow as pa

_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
# Global models run at 0, 6, 12 and 18 UTC. One that runs more often needs another number here.
_BETWEEN_RUNS_US = 6 * _HOUR_US


@dataclass(frozen=True)
class Lead:
    """`days` before each day; or the newest forecast that the day `on` knows, of each day after it."""

    days: int | None = None
    on: date | None = None

    def select(self, table: pa.Table, dataset: Dataset, timezone: str) -> pa.Table:
        """The rows of the frame's forecasts, at most one for each `date`.

        A forecast of the day `on` that is not stored yet leaves its place to the one of the day before, and so on: its
        rows have that greater lead.
        """
        import pyarrow.compute as pc

        (key,) = dataset.key_columns
        if self.days is not None:
            chosen = table.filter(pc.equal(table[key.name], self.days))
        else:
            chosen = self._newest(table, dataset, timezone)
        return _with_older_values(chosen, table, dataset, timezone)

    def _newest(self, table: pa.Table, dataset: Dataset, timezone: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        (key,) = dataset.key_columns
        days = list(map(day_of(timezone), table["date"].to_pylist()))
        leads = table[key.name].to_pylist()
        has_value = reduce(pc.or_, (pc.is_valid(table[name]) for name in dataset.column_names)).to_pylist()
        newest: dict[date, int] = {}
        for of_day, lead, is_filled in zip(days, leads, has_value, strict=True):
            if is_filled and self.on is not None and 0 < (of_day - self.on).days <= lead:
                newest[of_day] = min(lead, newest.get(of_day, lead))
        return table.filter(pa.array([newest.get(one) == lead for one, lead in zip(days, leads, strict=True)]))

    def __str__(self) -> str:
        return f"lead {self.days}" if self.on is None else f"on {self.on}"


def microseconds(moments: Any) -> list[int]:
    """Times of an Arrow array or chunked array, since 1970: a datetime takes a microsecond to make, a number none."""
    import pyarrow as pa

    return list(moments.cast(pa.int64()).to_pylist())


def _with_older_values(chosen: pa.Table, table: pa.Table, dataset: Dataset, timezone: str) -> pa.Table:
    """`chosen` with the values that may be of a run of a later day from the rows of `table` of one lead more, NULL
    without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    (key,) = dataset.key_columns
    hours, leads = microseconds(chosen["date"]), chosen[key.name].to_pylist()
    amounts = _late(hours, leads, timezone, _HOUR_US)
    if not amounts:
        return chosen
    others = _late(hours, leads, timezone, 0)
    is_older = pc.is_in(table[key.name], pa.array({leads[n] + 1 for n in amounts}, pa.int64()))
    is_late = pc.is_in(table["date"], chosen["date"].take(pa.array(amounts)))
    rows = table.filter(pc.and_(is_older, is_late))
    keys = zip(microseconds(rows["date"]), rows[key.name].to_pylist(), strict=True)
    older = {named: n for n, named in enumerate(keys)}
    for column in dataset.columns:
        if late := amounts if column.day_rule == "sum" else others:
            values, known = chosen[column.name].to_pylist(), rows[column.name].to_pylist()
            for n in late:
                place = older.get((hours[n], leads[n] + 1))
                values[n] = known[place] if place is not None else None
            position = chosen.schema.get_field_index(column.name)
            field = chosen.schema.field(position)
            chosen = chosen.set_column(position, field, pa.array(values, field.type))
    return chosen


def _late(hours: Sequence[int], leads: Sequence[int], timezone: str, length: int) -> list[int]:
    """The positions of the values, which are of `length` after the beginning of their hours, that may be of a run of a
    later day than their lead says. `hours` are sorted, and those of a day have one lead."""
    if not hours:
        return []
    day, last = (day_of(timezone)(datetime.fromtimestamp(us / 1e6, UTC)) for us in (hours[0], hours[-1]))
    positions, first = list[int](), 0
    while day <= last:
        day += timedelta(days=1)
        end = bisect_left(hours, _midnight(day, timezone), first)
        if first < end:
            lead = leads[first]
            midnight = _midnight(day - timedelta(days=lead), timezone)
            run = midnight + -midnight % _BETWEEN_RUNS_US
            positions += range(bisect_left(hours, run + lead * _DAY_US - length, first, end), end)
        first = end
    return positions


@lru_cache(maxsize=2_000)
def _midnight(day: date, timezone: str) -> int:
    return int(day_bounds(day, timezone)[0].timestamp()) * 1_000_000
