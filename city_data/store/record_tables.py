"""Records of a month as an Arrow table. Belongs here: their shape and schema, daily aggregation, cutting.

Does not: writing a format (record_formats.py), or storing frames (versions.py).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import orjson

from city_data.columns import arrow_type
from city_data.datasets import Dataset
from city_data.frames.daily import MINIMUM_HOURS, OF_HOURS, day_columns, of_hours
from city_data.store.segments import fields_with, location_id, record_id, record_names

if TYPE_CHECKING:
    import pyarrow as pa

RAW = "raw_data"
HOURS = "hours"
_MOMENTS = ("date", "created_at", "updated_at")


@dataclass(frozen=True)
class Shape:
    """`daily` aggregates hours to days; `columns` None means those of a record by default; `raw` adds the source's
    extra data."""

    daily: bool = False
    columns: tuple[str, ...] | None = None
    raw: bool = False

    @cached_property
    def is_default(self) -> bool:
        return self == Shape()

    @cached_property
    def tag(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def fields(self, dataset: Dataset) -> list[str]:
        if self.columns is None:
            names = [*record_names(dataset), *_hours(self.daily)]
        else:
            names = known_names(dataset, self.daily)
            names = [name for name in names if name in dataset.key or name in self.columns]
        return [*names, RAW] if self.raw else names


def known_names(dataset: Dataset, daily: bool) -> list[str]:
    """Every field that a record can have, in order."""
    return [*fields_with(dataset, dataset.column_names), *_hours(daily)]


def _hours(daily: bool) -> list[str]:
    return [HOURS] if daily else []


@lru_cache(maxsize=256)
def schema(dataset: Dataset, shape: Shape) -> pa.Schema:
    """The fields of a record, numbers with their unit as metadata; `raw_data` is JSON text."""
    import pyarrow as pa

    columns = {column.name: column for column in dataset.columns}
    fields = []
    for field in shape.fields(dataset):
        column = columns.get(field)
        if field in _MOMENTS:
            fields.append(pa.field(field, pa.timestamp("us", tz="UTC"), nullable=False))
        elif field in dataset.key:
            fields.append(pa.field(field, pa.int64(), nullable=False))
        elif column is not None:
            metadata = {"unit": column.unit} if column.unit else None
            fields.append(pa.field(field, arrow_type(column.kind), metadata=metadata))
        else:
            fields.append(pa.field(field, pa.int64() if field == HOURS else pa.string(), nullable=field == RAW))
    return pa.schema(fields)


def month_table(frame: pa.Table, dataset: Dataset, city_id: str, timezone: str, shape: Shape) -> pa.Table:
    """`frame` (see versions.py) as the records of `shape`, oldest first."""
    import pyarrow as pa

    wanted = schema(dataset, shape)
    if shape.daily:
        columns: dict[str, Any] = _days(frame, dataset, timezone)
    else:
        columns = {field: frame[field] for field in frame.column_names}
    dates, *others = (
        values if isinstance(values, list) else values.to_pylist() for values in (columns[name] for name in dataset.key)
    )
    if "id" in wanted.names:
        columns["id"] = [record_id(dataset, city_id, *key) for key in zip(dates, *others, strict=True)]
    if "location_id" in wanted.names:
        zone = ZoneInfo(timezone)
        columns["location_id"] = [location_id(city_id, date, zone) for date in dates]
    arrays = [
        values.cast(field.type)
        if isinstance(values, pa.ChunkedArray)
        else pa.chunked_array([pa.array(values, field.type)])
        for field, values in ((field, columns[field.name]) for field in wanted)
    ]
    return pa.Table.from_arrays(arrays, schema=wanted)


def cut(table: pa.Table, start: datetime | None, end: datetime | None) -> pa.Table:
    """The records from `start` on and before `end`; None means unbounded."""
    first = 0 if start is None else _rows_before(table, start)
    return table.slice(first, None if end is None else _rows_before(table, end) - first)


def _rows_before(table: pa.Table, moment: datetime) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    dates = table["date"]
    return int(pc.sum(pc.less(dates, pa.scalar(moment, dates.type)), min_count=0).as_py())


def _days(frame: pa.Table, dataset: Dataset, timezone: str) -> dict[str, Any]:
    rows = frame.to_pydict()
    days = day_columns(dataset, rows["date"], rows, timezone)
    for moment in ("created_at", "updated_at"):
        days[moment] = rows[moment][:1] * len(days["date"])
    rule = {"aggregated_from": "hourly", "day": f"00-24 {timezone}", "minimum_hours": MINIMUM_HOURS}
    days[RAW] = [
        orjson.dumps({**rule, "hours": count, **of_hours(derived)}, option=orjson.OPT_SORT_KEYS).decode()
        for count, derived in zip(days[HOURS], days[OF_HOURS], strict=True)
    ]
    return days
