"""Publishing a month: rows, ledger row and version in one transaction.

Belongs here: the only writer of the data tables. Does not: the decision to publish a month (the checks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import orjson
import sqlalchemy as sa
from psycopg import sql
from psycopg.errors import LockNotAvailable
from sqlalchemy.dialects.postgresql import insert

from city_data.datasets import DATASETS, DatasetName
from city_data.errors import CityDataError
from city_data.frames import canonical
from city_data.store import partitions, segments, totals, versions
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.ledger import MonthEntry, StateChange, add_state_change, entry
from city_data.store.schema import CITY_MONTH, DATA, MONTH_VERSION, RETENTION_AUDIT
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# A load takes a second at most; a session that keeps the lock for longer hangs, or waits for a person.
LOCK_TIMEOUT_S = 60


class StaleLoad(CityDataError):
    """The ledger has a load of bytes fetched later: a run that lost its turn must not undo its successor's work."""


class MonthLocked(DatabaseUnavailable):
    """Another session keeps the month's lock; the text names it."""


@dataclass(frozen=True)
class MonthLoad:
    """A month ready to publish. `frame` is canonical; `timezone` is the city's; moments are aware.

    `seconds`: the duration of its fetch, parse and checks. `fallback_reason`: see `MonthEntry`.
    """

    city_id: str
    dataset: DatasetName
    month: Month
    timezone: str
    frame: pd.DataFrame
    state: Literal["provisional", "settled"]
    source: str
    expected_rows: int
    coverage: float
    column_coverage: Mapping[str, float]
    raw_files: Sequence[Mapping[str, Any]]
    rejected: Mapping[str, int]
    provenance: Mapping[str, Any]
    code_version: str
    run_id: str
    attempt: int
    fetched_at: datetime
    at: datetime
    seconds: float = 0.0
    received: int = 0
    used: int = 0
    nulled: Mapping[str, int] = field(default_factory=dict)
    days: Mapping[str, Any] = field(default_factory=dict)
    fallback_reason: str | None = None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        return canonical.records(self.frame, DATASETS[self.dataset])

    @cached_property
    def content_sha256(self) -> str:
        return canonical.content_sha256(self.records)

    def in_state(self, state: Literal["provisional", "settled"]) -> MonthLoad:
        """The same load in this state, with the records and the digest that were made already."""
        load = copy(self)
        object.__setattr__(load, "state", state)
        return load


@dataclass(frozen=True)
class Published:
    """The result of a load. `changed` is False where the month already had exactly these rows."""

    version: int
    changed: bool
    rows: int
    entry: MonthEntry


def replace_month(database: Database, load: MonthLoad) -> Published:
    """Replace one month of one city, or record that it has not changed. Atomic; one writer a month at a time.

    Raises StaleLoad where bytes fetched later are published already, DatabaseUnavailable where PostgreSQL is away.
    """
    try:
        return _replace_month(database, load)
    except DatabaseUnavailable as error:
        if error.sqlstate != LockNotAvailable.sqlstate:
            raise
        text = f"{load.dataset}/{load.city_id} {load.month}: no lock within {LOCK_TIMEOUT_S} s"
        raise MonthLocked(f"{text}; {_holders(database, load)}", error.sqlstate) from error


def _replace_month(database: Database, load: MonthLoad) -> Published:
    dataset, rows, digest = DATASETS[load.dataset], load.records, load.content_sha256
    with database.write() as connection:
        if not _lock(connection, load):
            partitions.create(connection, dataset, load.month)
        stored, first_created = _stored(connection, load)
        if stored is not None and stored.fetched_at is not None and stored.fetched_at > load.fetched_at:
            raise StaleLoad(
                f"{load.dataset}/{load.city_id} {load.month}: fetched {load.fetched_at:%Y-%m-%d %H:%M}, but bytes "
                f"fetched {stored.fetched_at:%Y-%m-%d %H:%M} are published by run {stored.run_id}"
            )
        changed = stored is None or stored.version is None or stored.content_sha256 != digest
        last = stored.version if stored and stored.version else _last_expired(connection, load)
        version = last + (1 if changed else 0)
        written = _write_ledger(connection, load, stored, version, digest, changed)
        if changed:
            created = first_created or load.at
            batch = versions.frame_batch(load.frame, dataset, created, load.at)
            _write_rows(connection, load, batch)
            texts = segments.record_texts(dataset, load.city_id, load.timezone, rows, created, load.at)
            versions.write_version(connection, written, segments.encode(texts), versions.encode_batch(batch), created)
        totals.add_load(connection, load.city_id, load.dataset, len(rows) if changed else 0, load.seconds)
    return Published(version, changed, len(rows), written)


def _lock(connection: sa.Connection, load: MonthLoad) -> bool:
    """Take the month's advisory locks for this transaction; returns whether the month has a partition."""
    timeout = sa.func.set_config("lock_timeout", f"{LOCK_TIMEOUT_S}s", True)
    in_use = sa.func.pg_advisory_xact_lock_shared(partitions.usage_lock(load.month))
    lock = sa.func.pg_advisory_xact_lock(_month_lock(load))
    partition = sa.func.to_regclass(partitions.partition_name(DATASETS[load.dataset], load.month))
    return bool(connection.execute(sa.select(timeout, in_use, lock, partition.is_not(None))).one()[3])


def _month_lock(load: MonthLoad) -> sa.ColumnElement[int]:
    return sa.func.hashtextextended(f"{load.city_id}/{load.dataset}/{load.month}", 0)


def _holders(database: Database, load: MonthLoad) -> str:
    """The sessions that have the month's locks now, for people."""
    keys = sa.select(_month_lock(load).label("key"), partitions.usage_lock(load.month).label("usage"))
    query = sa.text(
        "SELECT a.pid, a.application_name, a.state, now() - a.xact_start AS since FROM pg_locks l"
        " JOIN pg_stat_activity a USING (pid)"
        " WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32 | l.objid::bigint) IN (:key, :usage)"
    )
    with database.read() as connection:
        rows = connection.execute(query, dict(connection.execute(keys).mappings().one())).all()
    sessions = [f"session {row.pid} of {row.application_name or '?'} ({row.state}, {row.since})" for row in rows]
    return f"held by {', '.join(sessions)}" if sessions else "its holder has ended by now"


def _stored(connection: sa.Connection, load: MonthLoad) -> tuple[MonthEntry | None, datetime | None]:
    """The month's ledger row as the last writer left it, and when its first version was loaded."""
    first = sa.select(sa.func.min(MONTH_VERSION.c.created_at)).where(_is_month(MONTH_VERSION, load)).scalar_subquery()
    query = sa.select(CITY_MONTH, first.label("created_at")).where(_is_month(CITY_MONTH, load))
    row = connection.execute(query).mappings().one_or_none()
    return (entry(row), row["created_at"]) if row is not None else (None, None)


def _last_expired(connection: sa.Connection, load: MonthLoad) -> int:
    """The highest version number of the month before it was dropped. Numbers are never reused, so that no cached
    segment and no snapshot id can refer to a different load."""
    last = sa.select(sa.func.max(RETENTION_AUDIT.c.version)).where(_is_month(RETENTION_AUDIT, load))
    return connection.execute(last).scalar_one() or 0


def _write_rows(connection: sa.Connection, load: MonthLoad, batch: pa.RecordBatch) -> None:
    import pyarrow as pa
    import pyarrow.csv as arrow_csv

    table, keys = DATA[load.dataset], {"month": str(load.month.first_day), "city_id": load.city_id}
    connection.execute(table.delete().where(_is_month(table, load)))
    columns = [*(pa.repeat(pa.scalar(value), len(batch)) for value in keys.values()), *batch.columns]
    rows, text = pa.record_batch(columns, names=[*keys, *batch.schema.names]), pa.BufferOutputStream()
    # Texts are quoted, which distinguishes an empty text from NULL.
    arrow_csv.write_csv(rows, text, arrow_csv.WriteOptions(include_header=False))
    names = sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table.name), names)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text.getvalue())


def _write_ledger(
    connection: sa.Connection, load: MonthLoad, stored: MonthEntry | None, version: int, digest: str, changed: bool
) -> MonthEntry:
    dates = load.frame["date"]
    settled_before = stored.settled_at if stored and stored.state == "settled" and not changed else None
    values: dict[str, Any] = {
        "city_id": load.city_id,
        "dataset": load.dataset,
        "month": load.month.first_day,
        "state": load.state,
        "version": version,
        "rows": len(load.frame),
        "expected_rows": load.expected_rows,
        "coverage": load.coverage,
        "column_coverage": dict(load.column_coverage),
        "first_date": dates.iloc[0].to_pydatetime() if len(dates) else None,
        "last_date": dates.iloc[-1].to_pydatetime() if len(dates) else None,
        "source": load.source,
        "content_sha256": digest,
        "raw_files": list(load.raw_files),
        "received": load.received,
        "used": load.used,
        "rejected": dict(load.rejected),
        "nulled": dict(load.nulled),
        "days": dict(load.days),
        "provenance": dict(load.provenance),
        "code_version": load.code_version,
        "run_id": load.run_id,
        "attempt": load.attempt,
        "fetched_at": load.fetched_at,
        "loaded_at": load.at if changed or stored is None else stored.loaded_at,
        "settled_at": (settled_before or load.at) if load.state == "settled" else None,
        "checked_at": load.at,
        "last_error": None,
        "last_error_at": None,
        "unavailable_since": _unavailable_since(load, stored),
        "fallback_reason": load.fallback_reason,
    }
    if stored is None or stored.state != load.state:
        add_state_change(
            connection,
            load.city_id,
            load.dataset,
            load.month,
            StateChange(load.at, load.state, version, load.run_id, None),
        )
    written: sa.Executable
    if stored is not None:  # SQLAlchemy compiles an upsert anew each time, which costs more than the statement
        written = CITY_MONTH.update().where(_is_month(CITY_MONTH, load)).values(_other(values, stored))
        written = written.returning(CITY_MONTH)
    else:
        fresh = insert(CITY_MONTH).values(values)
        replaced = {name: fresh.excluded[name] for name in values}
        written = fresh.on_conflict_do_update(index_elements=_KEYS, set_=replaced).returning(CITY_MONTH)
    return entry(connection.execute(written).mappings().one())


def _unavailable_since(load: MonthLoad, stored: MonthEntry | None) -> datetime | None:
    if load.fallback_reason is None:
        return None
    return stored.unavailable_since if stored is not None and stored.unavailable_since is not None else load.at


def _other(values: Mapping[str, Any], stored: MonthEntry) -> dict[str, Any]:
    """The values that differ from the ledger: PostgreSQL rewrites a long value on every update, equal or not."""

    def text(value: object) -> bytes:
        return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)

    changed = {
        name: value
        for name, value in values.items()
        if name not in _KEYS and text(value) != text(getattr(stored, name))
    }
    return changed or {"checked_at": values["checked_at"]}


def _is_month(table: sa.Table, load: MonthLoad) -> sa.ColumnElement[bool]:
    keys = {"city_id": load.city_id, "dataset": load.dataset, "month": load.month.first_day}
    return sa.and_(*(table.c[name] == value for name, value in keys.items() if name in table.c))


_KEYS = ("city_id", "dataset", "month")
