"""Which forecast of a day a frame has: the one of so many days before the day, or the newest of one day.

Belongs here: the choice of rows by lead. Does not: joining them (training.py), or how a source counts leads
(providers/).

A lead counts whole days back from an hour's values. An amount, such as rain, is that of the hour's end: for a day's
last hour that is midnight, and a forecast of so many days before that midnight may be one of the day after. So the
amounts of the last hour are those of one day more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING

from city_data.datasets import Dataset
from city_data.frames.grids import day_of

if TYPE_CHECKING:
    import pyarrow as pa

_HOUR = timedelta(hours=1)


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
        day = day_of(timezone)
        if self.days is not None:
            chosen = table.filter(pc.equal(table[key.name], self.days))
        else:
            chosen = self._newest(table, dataset, day)
        return _with_older_amounts(chosen, table, dataset, day)

    def _newest(self, table: pa.Table, dataset: Dataset, day: Callable[[datetime], date]) -> pa.Table:
        import pyarrow as pa
        import pyarrow.compute as pc

        (key,) = dataset.key_columns
        days = list(map(day, table["date"].to_pylist()))
        leads = table[key.name].to_pylist()
        has_value = reduce(pc.or_, (pc.is_valid(table[name]) for name in dataset.column_names)).to_pylist()
        newest: dict[date, int] = {}
        for of_day, lead, is_filled in zip(days, leads, has_value, strict=True):
            if is_filled and self.on is not None and 0 < (of_day - self.on).days <= lead:
                newest[of_day] = min(lead, newest.get(of_day, lead))
        return table.filter(pa.array([newest.get(one) == lead for one, lead in zip(days, leads, strict=True)]))

    def __str__(self) -> str:
        return f"lead {self.days}" if self.on is None else f"on {self.on}"


def _with_older_amounts(
    chosen: pa.Table, table: pa.Table, dataset: Dataset, day: Callable[[datetime], date]
) -> pa.Table:
    """`chosen` with the amounts of each day's last hour from the rows of `table` of one lead more, NULL without one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    (key,) = dataset.key_columns
    amounts = [column.name for column in dataset.columns if column.day_rule == "sum"]
    dates, leads = chosen["date"].to_pylist(), chosen[key.name].to_pylist()
    last = {hour: n for n, hour in enumerate(dates) if day(hour) != day(hour + _HOUR)}
    if not amounts or not last:
        return chosen
    at_end = table.filter(pc.is_in(table["date"], pa.array(list(last), table.schema.field("date").type)))
    rows = at_end.select(["date", key.name, *amounts]).to_pylist()
    older = {last[row["date"]]: row for row in rows if row[key.name] == leads[last[row["date"]]] + 1}
    for name in amounts:
        values = chosen[name].to_pylist()
        for n in last.values():
            values[n] = older[n][name] if n in older else None
        field = chosen.schema.field(name)
        chosen = chosen.set_column(chosen.schema.get_field_index(name), field, pa.array(values, field.type))
    return chosen
