"""The immutable versions of months: frame and provenance of each load, from which any format can be written.

Belongs here: a version's canonical frame, its ledger row as of its load, the number of stored versions, reads.
Does not: when a version is created (months.py), or a version as JSON (segments.py).

A frame is one Arrow IPC stream (https://arrow.apache.org/docs/format/Columnar.html#ipc-streaming-format) of one batch
with zstd buffers: the dataset's frame columns, `raw_data` as JSON text with sorted keys, then created_at, updated_at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from city_data import environment
from city_data.columns import arrow_type
from city_data.datasets import Dataset, DatasetName
from city_data.errors import CityDataError
from city_data.store.database import Database
from city_data.store.ledger import Identified, MonthEntry
from city_data.store.schema import MONTH_VERSION
from city_data.store.segments import Segment
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Key = tuple[Month, int]


@dataclass(frozen=True)
class Version(Identified):
    """The part of a version that the reader plans with, as of its load. Of `provenance` only the licence is read."""

    city_id: str
    dataset: DatasetName
    month: Month
    version: int
    content_sha256: str
    loaded_at: datetime
    rows: int
    coverage: float | None
    first_date: datetime | None = None
    last_date: datetime | None = None
    source: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    has_data: bool = True
    expected_rows: int = 0


class NoSuchVersion(CityDataError):
    """Requested versions are not stored: never created, expired with their month, or beyond the limit."""


def keep_versions() -> int:
    """The number of versions stored for a month, by CITY_DATA_KEEP_VERSIONS. Raises ConfigurationError."""
    return environment.KEEP_VERSIONS.whole_number("a number of versions, 1 or more", 1)


def frame_schema(dataset: Dataset) -> pa.Schema:
    """The Arrow schema of the dataset's frames."""
    import pyarrow as pa

    moment = pa.timestamp("us", tz="UTC")
    keys = [pa.field(column.name, arrow_type(column.kind)) for column in dataset.key_columns]
    values = [pa.field(column.name, arrow_type(column.kind)) for column in dataset.columns]
    texts = [pa.field(name, pa.string()) for name in ("source", "raw_data")]
    moments = [pa.field(name, moment) for name in ("created_at", "updated_at")]
    return pa.schema([pa.field("date", moment), *keys, *values, *texts, *moments])


def frame_batch(frame: pd.DataFrame, dataset: Dataset, created: datetime, updated: datetime) -> pa.RecordBatch:
    """A canonical frame by `frame_schema`."""
    import pyarrow as pa

    wanted = frame_schema(dataset)
    columns = {"date": pa.array(frame["date"], wanted.field("date").type)}
    for name in (*dataset.key[1:], *dataset.column_names, "source"):
        columns[name] = pa.array(frame[name].to_numpy(), wanted.field(name).type, from_pandas=True)
    columns["raw_data"] = pa.array([_json(value) for value in frame["raw_data"]], pa.string())
    for name, value in (("created_at", created), ("updated_at", updated)):
        columns[name] = pa.repeat(pa.scalar(value, wanted.field(name).type), len(frame))
    return pa.record_batch(columns, schema=wanted)


def encode_batch(batch: pa.RecordBatch) -> bytes:
    """A batch of `frame_batch` as an Arrow IPC stream; equal batches give equal bytes."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def decode_frame(body: bytes, dataset: Dataset) -> pa.Table:
    """A stored frame as a table of `frame_schema`: columns added since its load are NULL, removed ones are left out.

    Raises pyarrow.ArrowInvalid for damaged bytes.
    """
    import pyarrow as pa

    # Threads take four times as long as they save: a column has kilobytes.
    table = pa.ipc.open_stream(body, options=pa.ipc.IpcReadOptions(use_threads=False)).read_all()
    wanted = frame_schema(dataset)
    if table.schema.equals(wanted):
        return table
    stored = set(table.column_names)
    columns = [table[one.name] if one.name in stored else pa.nulls(len(table), one.type) for one in wanted]
    return pa.table(columns, schema=wanted)


def write_version(
    connection: sa.Connection, entry: MonthEntry, segment: Segment, frame: bytes, created: datetime
) -> None:
    """Add the version that the ledger row `entry` names, and delete those beyond the limit.

    Raises ConfigurationError for a wrong CITY_DATA_KEEP_VERSIONS.
    """
    version, oldest = entry.version or 0, (entry.version or 0) - keep_versions()
    table = MONTH_VERSION
    values = {
        "dataset": entry.dataset,
        "city_id": entry.city_id,
        "month": entry.month.first_day,
        "version": version,
        "content_sha256": entry.content_sha256,
        "loaded_at": entry.loaded_at,
        "created_at": created,
        "rows": segment.rows,
        "coverage": entry.coverage,
        "crc32": segment.crc32,
        "length": segment.length,
        "body": segment.body,
        "frame": frame,
        "entry": _entry_document(entry),
    }
    connection.execute(table.insert().values(values))
    if oldest > 0:
        of_month = sa.and_(*(table.c[name] == values[name] for name in ("dataset", "city_id", "month")))
        connection.execute(table.delete().where(of_month, table.c.version <= oldest))


def read_versions(database: Database, dataset: DatasetName, city_id: str) -> list[Version]:
    """Every stored version, by month and version. Raises DatabaseUnavailable."""
    columns = [MONTH_VERSION.c[one.name] for one in fields(Version) if one.name in MONTH_VERSION.c]
    entry, licence = MONTH_VERSION.c.entry, ("licence", "licence_url")
    columns += [entry[name].as_string().label(name) for name in ("first_date", "last_date", "source")]
    columns += [entry["expected_rows"].as_integer().label("expected_rows")]
    columns += [entry["provenance"][name].as_string().label(name) for name in licence]
    query = sa.select(*columns).where(MONTH_VERSION.c.dataset == dataset, MONTH_VERSION.c.city_id == city_id)
    with database.read() as connection:
        rows = connection.execute(query.order_by(MONTH_VERSION.c.month, MONTH_VERSION.c.version)).mappings().all()
    versions = []
    for row in rows:
        values = {name: value for name, value in row.items() if name not in licence}
        for name in ("first_date", "last_date"):
            values[name] = datetime.fromisoformat(row[name]) if row[name] else None
        provenance = {name: row[name] for name in licence if row[name] is not None}
        versions.append(Version(**{**values, "month": Month.of(row["month"]), "provenance": provenance}))
    return versions


def at_moment(versions: Iterable[Version], at: datetime) -> tuple[dict[Month, Version], list[str]]:
    """Each month's version that was current at `at`, and the months whose version of then may no longer be stored."""
    by_month: dict[Month, list[Version]] = {}
    for version in versions:
        by_month.setdefault(version.month, []).append(version)
    current: dict[Month, Version] = {}
    unknown: list[str] = []
    for month, stored in by_month.items():
        loaded = [version for version in stored if version.loaded_at <= at]
        if loaded:
            current[month] = max(loaded, key=lambda version: version.version)
        elif (first := min(version.version for version in stored)) > 1:
            unknown.append(f"{month} before version {first}")
    return current, unknown


def read_entries(database: Database, dataset: DatasetName, city_id: str, month: Month) -> list[MonthEntry]:
    """The ledger's row as of each stored version's load, oldest first. Raises DatabaseUnavailable."""
    table = MONTH_VERSION
    query = sa.select(table.c.entry).where(
        table.c.dataset == dataset, table.c.city_id == city_id, table.c.month == month.first_day
    )
    with database.read() as connection:
        return [_entry(document) for document in connection.execute(query.order_by(table.c.version)).scalars()]


def read_frames(
    database: Database,
    dataset: DatasetName,
    city_id: str,
    wanted: Sequence[Key],
    loaded_at: Mapping[Key, datetime | None] | None = None,
) -> dict[Key, bytes]:
    """The frames of (month, version) pairs, as `encode_batch` wrote them.

    With `loaded_at`, only those loaded then: a month that was dropped and loaded anew has the same numbers again.
    Raises NoSuchVersion naming the missing ones, DatabaseUnavailable.
    """
    if not wanted:
        return {}
    table = MONTH_VERSION
    pairs = sa.tuple_(table.c.month, table.c.version).in_([(month.first_day, version) for month, version in wanted])
    query = sa.select(table.c.month, table.c.version, table.c.frame, table.c.loaded_at).where(
        table.c.dataset == dataset, table.c.city_id == city_id, pairs
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    stored = {(Month.of(row.month), row.version): row for row in rows}
    frames = {
        key: bytes(row.frame) for key, row in stored.items() if loaded_at is None or loaded_at[key] == row.loaded_at
    }
    if missing := [f"{month} version {version}" for month, version in wanted if (month, version) not in frames]:
        raise NoSuchVersion(f"{dataset}/{city_id}: not kept: {', '.join(missing)}")
    return frames


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _entry_document(entry: MonthEntry) -> dict[str, Any]:
    document = {**asdict(entry), "month": str(entry.month)}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in document.items()}


def _entry(document: dict[str, Any]) -> MonthEntry:
    """A field that the ledger did not have yet at that load is None."""
    values: dict[str, Any] = {one.name: document.get(one.name) for one in fields(MonthEntry)}
    for name in _MOMENTS:
        values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    return MonthEntry(**{**values, "month": Month.parse(document["month"])})


_MOMENTS = [one.name for one in fields(MonthEntry) if "datetime" in str(one.type)]
