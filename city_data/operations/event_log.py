"""Dagster's event log for the runs of a backfill: a step's events are stored together, and fewer of them.

Belongs here: which events are stored, and when. Does not: the runs (backfill.py), or the instance (instance.py).
By default each of a run's 69 events is a transaction of its own, with further ones for assets and checks: 334
statements a run, a quarter of its CPU and most of its time. Here it is a transaction for each step that starts.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import sqlalchemy as sa
from dagster import AssetKey, AssetRecordsFilter, DagsterEventType, EventRecordsResult
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster_postgres.run_storage import PostgresRunStorage

from city_data.defs.storage import PooledEventLog, PooledPostgresStorage

# Of the process that executes the run. Its errors and the steps' own messages are stored.
_NOISE = {
    DagsterEventType.ENGINE_EVENT,
    DagsterEventType.RESOURCE_INIT_STARTED,
    DagsterEventType.RESOURCE_INIT_SUCCESS,
    DagsterEventType.LOGS_CAPTURED,
    DagsterEventType.LOADED_INPUT,
    DagsterEventType.HANDLED_OUTPUT,
}
# They follow each other within milliseconds, up to the start of the next step or the end of the run.
_MAY_WAIT = {
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.STEP_SUCCESS,
}
_RESULT = "result"


class BackfillEventLog(PooledEventLog):
    """Stores what waits with the first event that may not wait, in one transaction, in order.

    Where that fails, the events go on waiting and are stored with the next one.
    """

    def __init__(self, postgres_url: str, engine: sa.Engine, runs: PostgresRunStorage) -> None:
        self._waiting: list[EventLogEntry] = []
        self._lock, self._local = threading.Lock(), threading.local()
        self._present: set[str] = set()
        self._fetched: dict[str, EventRecordsResult] = {}
        super().__init__(postgres_url, engine, runs)

    def store_event(self, event: EventLogEntry) -> None:
        if _is_noise(event):
            return
        with self._lock:
            self._waiting.append(event)
            if not _may_wait(event):
                self._store_waiting()

    def _store_waiting(self) -> None:
        with self.index_transaction() as connection, self._within(connection):
            rows = [self._event_to_row(event) for event in self._waiting]
            inserted = sa.insert(SqlEventLogStorageTable).returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            ids = [int(row.id) for row in connection.execute(inserted, rows)]
            for event, event_id in zip(self._waiting, ids, strict=True):
                if event.dagster_event_type in ASSET_EVENTS and event.get_dagster_event().asset_key:
                    self._store_asset_event_tags(connection, [event], [event_id])
                    self._store_asset_event(connection, event, event_id)
                if event.dagster_event_type in ASSET_CHECK_EVENTS:
                    self.store_asset_check_event(event, event_id)
        self._waiting.clear()
        self._fetched.clear()

    @contextmanager
    def _within(self, connection: sa.Connection) -> Iterator[None]:
        """Let this thread's statements join the transaction."""
        self._local.connection = connection
        try:
            yield
        finally:
            self._local.connection = None

    def index_connection(self) -> AbstractContextManager[sa.Connection]:
        connection = getattr(self._local, "connection", None)
        return super().index_connection() if connection is None else nullcontext(connection)

    def fetch_materializations(
        self,
        records_filter: AssetKey | AssetRecordsFilter,
        limit: int,
        cursor: str | None = None,
        ascending: bool = False,
    ) -> EventRecordsResult:
        """Kept until the next events are stored: all checks of a step look for the materialization before it."""
        key = repr((records_filter, limit, cursor, ascending))
        if key not in self._fetched:
            self._fetched[key] = super().fetch_materializations(records_filter, limit, cursor, ascending)
        return self._fetched[key]

    def has_asset_key_col(self, column_name: str) -> bool:
        """Dagster looks 8 times a run, by three statements."""
        if column_name not in self._present and super().has_asset_key_col(column_name):
            self._present.add(column_name)
        return column_name in self._present


class BackfillStorage(PooledPostgresStorage):
    """Dagster's PostgreSQL storage with the event log of a backfill."""

    EVENT_LOG = BackfillEventLog


def _is_noise(event: EventLogEntry) -> bool:
    """A check's output has its evaluation beside it."""
    kind = event.dagster_event_type
    if kind == DagsterEventType.STEP_OUTPUT:
        return event.get_dagster_event().step_output_data.output_name != _RESULT
    if kind == DagsterEventType.ENGINE_EVENT:
        return event.get_dagster_event().engine_event_data.error is None
    return kind in _NOISE


def _may_wait(event: EventLogEntry) -> bool:
    return event.dagster_event_type in _MAY_WAIT
