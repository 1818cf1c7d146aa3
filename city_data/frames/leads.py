"""Which forecast of a day a frame has: the one of so many days before the day, or the newest of one day.

Belongs here: the choice of rows by lead. Does not: joining them (training.py), or how a source counts leads
(providers/).

A lead counts whole days back from an hour's values. An amount, such as rain, is that of the hour's end: for a day's
last hour that is midnight, and a forecast of so many days before that midnight may be one of the day after. So the
amounts of the last hour are those of one day more.
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
        return _with_older_amounts(chosen, table, dataset, timezone)

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


def _with_older_amounts(chosen: pa.Table, table: pa.Table, dataset: Dataset, timezone: str) -> pa.Table:
    """`chosen` with the amounts of each day's last hour from the rows of `table` of one lead more, NULL without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    (key,) = dataset.key_columns
    amounts = [column.name for column in dataset.columns if column.day_rule == "sum"]
    hours, leads = microseconds(chosen["date"]), chosen[key.name].to_pylist()
    last = _last_hours(hours, timezone)
    if not amounts or not last:
        return chosen
    is_older = pc.is_in(table[key.name], pa.array({leads[n] + 1 for n in last}, pa.int64()))
    at_end = pc.is_in(table["date"], chosen["date"].take(pa.array(last)))
    rows = table.filter(pc.and_(is_older, at_end)).select(["date", key.name, *amounts])
    keys = zip(microseconds(rows["date"]), rows[key.name].to_pylist(), strict=True)
    older = {named: n for n, named in enumerate(keys)}
    at = [older.get((hours[n], leads[n] + 1)) for n in last]
    for name in amounts:
        values, known = chosen[name].to_pylist(), rows[name].to_pylist()
        for n, place in zip(last, at, strict=True):
            values[n] = known[place] if place is not None else None
        field = chosen.schema.field(name)
        chosen = chosen.set_column(chosen.schema.get_field_index(name), field, pa.array(values, field.type))
    return chosen


def _last_hours(hours: Sequence[int], timezone: str) -> list[int]:
    """The positions of the last hours of local days; `hours` are sorted."""
    if not hours:
        return []
    day, last = (day_of(timezone)(datetime.fromtimestamp(us / 1e6, UTC)) for us in (hours[0], hours[-1] + _HOUR_US))
    positions = []
    while day < last:
        day += timedelta(days=1)
        midnight = _midnight(day, timezone)
        before = bisect_left(hours, midnight) - 1
        if before >= 0 and hours[before] + _HOUR_US >= midnight:
            positions.append(before)
    return positions


@lru_cache(maxsize=2_000)
def _midnight(day: date, timezone: str) -> int:
    return int(day_bounds(day, timezone)[0].timestamp()) * 1_000_000
