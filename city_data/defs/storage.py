"""Dagster's PostgreSQL storage with pooled connections, for every process: daemon, webserver, code location, runs.

Belongs here: the connections, one pool a process, the status of an ended backfill, and which failed runs the daemon
sees. Does not: which events of a batch are stored (batch_events.py), or tables and queries, which are those of
dagster-postgres.
dagster-postgres opens a connection for every event and every question: 396 a minute of an idle platform, and about 550
a run. Its pools for the webserver set `statement_timeout` for a session, which transaction pooling hands to another
process. Here a session keeps no state: the storage works behind PgBouncer in transaction mode.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.migration import ASSET_KEY_INDEX_COLS
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.tags import BACKFILL_ID_TAG
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.utils import retry_pg_connection_fn

from city_data.defs import batch_events
from city_data.defs.backfills import ended_as_its_runs, is_called_failed
from city_data.defs.code_location import CodeLocation
from city_data.store.database import trust_briefly

# Held, then opened for a burst and closed after it: a webserver's threads, a daemon's.
HELD, MOST = 5, 30
# The longest life of a connection, so that a changed address or password is used.
RECYCLE_S = 1800
# The longest time that a failed run waits for its code location before it is retried or not.
LONGEST_WAIT_S = 3600
# Those by which dagster-postgres decides whether to create its tables.
_LAST_TABLES = {"event_logs", "runs", "instance_info", "jobs"}
# By address; the pools also by the seconds for which they trust a connection.
_engines: dict[tuple[str, float], sa.Engine] = {}
_tables: dict[str, set[str]] = {}
_indexes: dict[str, dict[str, bool]] = {}
_lock = Lock()


class _Pooled:
    """Replaces a storage's engine, and its webserver's engine, by the process's own."""

    _engine: sa.Engine

    def __init__(self, postgres_url: str, engine: sa.Engine) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False)  # type: ignore[call-arg]
        self._engine = engine
        self._present: set[str] = set()

    def _looked_up_once(self, columns: str, are_present: Callable[[], bool]) -> bool:
        """Dagster looks for columns of later releases 14 times a run, by three statements of PostgreSQL's catalogue."""
        if columns not in self._present and are_present():
            self._present.add(columns)
        return columns in self._present

    def optimize_for_webserver(self, statement_timeout: int, *_: Any, **_pool: Any) -> None:
        """Let PostgreSQL cancel a long statement, by a setting that ends with the statement's own transaction."""

        def limit(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
            return f"SET LOCAL statement_timeout = {int(statement_timeout)}; {statement}", parameters

        self._engine = self._engine.execution_options()  # the same pool, with a hook of its own
        sa.event.listen(self._engine, "before_cursor_execute", limit, retval=True)


class _Runs(_Pooled, PostgresRunStorage):
    def has_run_stats_index_cols(self) -> bool:
        return self._looked_up_once("run statistics", super().has_run_stats_index_cols)

    def has_backfill_id_column(self) -> bool:
        return self._looked_up_once("backfill_id", super().has_backfill_id_column)

    def update_backfill(self, partition_backfill: PartitionBackfill) -> None:
        if is_called_failed(partition_backfill):
            of_it = dg.RunsFilter(tags={BACKFILL_ID_TAG: partition_backfill.backfill_id})
            partition_backfill = ended_as_its_runs(partition_backfill, self.get_runs(of_it))
        super().update_backfill(partition_backfill)


class _Schedules(_Pooled, PostgresScheduleStorage):
    pass


class PooledEventLog(_Pooled, PostgresEventLogStorage):
    """Knows what dagster-postgres asks over a second connection in the middle of a transaction: of a pool that is
    used up, here or in PgBouncer, it would wait for itself. Of a run of several cities it stores the events that a page
    needs."""

    code_location: CodeLocation | None = None

    def __init__(self, postgres_url: str, engine: sa.Engine, runs: PostgresRunStorage) -> None:
        super().__init__(postgres_url, engine)
        self._runs = runs
        self._last: tuple[str, bool] = ("", False)
        self._secondary_index_cache = _indexes.setdefault(postgres_url, {})
        self._known_tables = _tables[postgres_url]
        self.has_secondary_index(ASSET_KEY_INDEX_COLS)

    def has_asset_key_col(self, column_name: str) -> bool:
        return self._looked_up_once(column_name, partial(super().has_asset_key_col, column_name))

    def has_table(self, table_name: str) -> bool:
        return table_name in self._known_tables or super().has_table(table_name)

    def store_event(self, event: EventLogEntry) -> None:
        if not self._is_of_batch(event):
            super().store_event(event)
        elif batch_events.is_needed(event) and not self._passes_again(event):
            super().store_event(batch_events.shortened(event))
            if event.dagster_event_type == dg.DagsterEventType.RUN_SUCCESS:
                self._delete_plans(event.run_id)

    def _delete_plans(self, run_id: str) -> None:
        """While a run lasts, and where it fails, the pages show by them which months it was to load."""
        table = SqlEventLogStorageTable.c
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
        with self.index_connection() as connection:
            connection.execute(
                sa.delete(SqlEventLogStorageTable).where(table.run_id == run_id, table.dagster_event_type == kind)
            )

    def _is_of_batch(self, event: EventLogEntry) -> bool:
        run_id, is_batch = self._last
        if event.run_id and event.run_id != run_id:
            is_batch = any(map(batch_events.is_batch, self._runs.get_runs(dg.RunsFilter(run_ids=[event.run_id]))))
            self._last = event.run_id, is_batch
        return bool(event.run_id) and is_batch

    def _passes_again(self, event: EventLogEntry) -> bool:
        """Whether the check is shown as passed already, by its latest result and by this month's if it has one."""
        passed = batch_events.passed_check(event)
        if passed is None:
            return False
        table = AssetCheckExecutionsTable.c
        of_check = (table.asset_key == passed.asset_key.to_string(), table.check_name == passed.check_name)
        latest = sa.select(sa.func.max(table.id)).where(*of_check).scalar_subquery()
        own = sa.select(sa.func.max(table.id)).where(*of_check, table.partition == passed.partition).scalar_subquery()
        with self.index_connection() as connection:
            shown = connection.execute(sa.select(table.execution_status).where(table.id.in_([latest, own]))).scalars()
            return set(shown) == {AssetCheckExecutionRecordStatus.SUCCEEDED.value}

    def get_logs_for_all_runs_by_log_id(
        self,
        after_cursor: int = -1,
        dagster_event_type: dg.DagsterEventType | set[dg.DagsterEventType] | None = None,
        limit: int | None = None,
    ) -> Mapping[int, EventLogEntry]:
        """As dagster-postgres'; but the daemon, which retries failed runs by this, sees them only while it can launch:
        it drops a retry that it cannot (dagster 20730). The backfill of a run that waits here goes on."""
        events: Mapping[int, EventLogEntry] = super().get_logs_for_all_runs_by_log_id(
            after_cursor, dagster_event_type, limit
        )
        if self.code_location is None or dagster_event_type != {dg.DagsterEventType.RUN_FAILURE}:
            return events
        if self.code_location.is_loaded():
            return events
        return {number: event for number, event in events.items() if time.time() - event.timestamp > LONGEST_WAIT_S}


class PooledPostgresStorage(DagsterPostgresStorage):
    """For `storage: custom` in dagster.yaml; `postgres_url` is the address of Dagster's own database, `code_location`
    the HOST:PORT for which retries of failed runs wait."""

    EVENT_LOG: type[PooledEventLog] = PooledEventLog
    TRUSTED_S = 0.0

    def __init__(
        self, postgres_url: str, inst_data: ConfigurableClassData | None = None, code_location: str | None = None
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables=False, inst_data=inst_data)
        engine = shared_engine(postgres_url, self.TRUSTED_S)
        self._run_storage = _Runs(postgres_url, engine)
        self._event_log_storage = self.EVENT_LOG(postgres_url, engine, self._run_storage)
        self._event_log_storage.code_location = CodeLocation(code_location) if code_location else None
        self._schedule_storage = _Schedules(postgres_url, engine)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"postgres_url": dg.StringSource, "code_location": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> PooledPostgresStorage:
        return cls(config_value["postgres_url"], inst_data, config_value.get("code_location"))


def shared_engine(postgres_url: str, trusted_s: float = 0.0) -> sa.Engine:
    """One pool a process and address, however many instances it opens: a code location opens one for every tick.

    `trusted_s`: see `trust_briefly`."""
    with _lock:
        key = postgres_url, trusted_s
        if key not in _engines:
            engine = sa.create_engine(
                postgres_url,
                isolation_level="AUTOCOMMIT",
                pool_size=HELD,
                max_overflow=MOST - HELD,
                pool_use_lifo=True,
                pool_pre_ping=not trusted_s,
                pool_recycle=RECYCLE_S,
            )
            if not _table_names(engine) >= _LAST_TABLES:
                DagsterPostgresStorage(postgres_url)
            if trusted_s:
                trust_briefly(engine, trusted_s)
            _engines[key], _tables[postgres_url] = engine, _table_names(engine)
        return _engines[key]


def _table_names(engine: sa.Engine) -> set[str]:
    return retry_pg_connection_fn(lambda: set(sa.inspect(engine).get_table_names()))


def _forget_connections() -> None:
    """In a forked child: the parent's sockets are the parent's."""
    global _lock
    _lock = Lock()
    for engine in _engines.values():
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)
