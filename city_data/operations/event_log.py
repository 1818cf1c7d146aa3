"""Dagster's event log for the runs of a backfill: a step's events are stored together, and fewer of them.

Belongs here: which events are stored, and when. Does not: the runs (backfill.py), or the instance (instance.py).
By default each of a run's 69 events is a transaction of its own, with further ones for assets and checks: 334
statements a run, a quarter of its CPU and most of its time. Here it is a transaction for each step that starts, with
one statement for all results of its checks. A check that was only planned is stored where its run ends without it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import sqlalchemy as sa
from dagster import AssetCheckEvaluation, AssetKey, AssetRecordsFilter, DagsterEventType, EventRecordsResult
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster_postgres.run_storage import PostgresRunStorage
from sqlalchemy.dialects.postgresql import Insert, insert

from city_data.defs.storage import PooledEventLog, PooledPostgresStorage
from city_data.store.connections import TRUSTED_S

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
    DagsterEventType.RUN_START,
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_CHECK_EVALUATION,
    DagsterEventType.ASSET_MATERIALIZATION,
    DagsterEventType.STEP_OUTPUT,
    DagsterEventType.STEP_SUCCESS,
}
_RESULT = "result"
_ENDS = {DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED}
_CHECK_KEYS = ("asset_key", "check_name", "run_id", "partition")
_RESULT_COLUMNS = (
    "execution_status",
    "evaluation_event",
    "evaluation_event_timestamp",
    "evaluation_event_storage_id",
    "materialization_event_storage_id",
)


class BackfillEventLog(PooledEventLog):
    """Stores what waits with the first event that may not wait, in one transaction, in order.

    Where that fails, the events go on waiting and are stored with the next one.
    """

    def __init__(self, postgres_url: str, engine: sa.Engine, runs: PostgresRunStorage) -> None:
        self._waiting: list[EventLogEntry] = []
        self._planned: dict[tuple[str, AssetKey, str], EventLogEntry] = {}
        self._lock, self._local = threading.Lock(), threading.local()
        self._fetched: dict[str, EventRecordsResult] = {}
        super().__init__(postgres_url, engine, runs)

    def store_event(self, event: EventLogEntry) -> None:
        if _is_noise(event):
            return
        with self._lock:
            if event.dagster_event_type in ASSET_CHECK_EVENTS:
                self._plan_or_fulfil(event)
            elif event.dagster_event_type in _ENDS:
                self._end_plans(event)
            if event.dagster_event_type != DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                self._waiting.append(event)
                if event.dagster_event_type not in _MAY_WAIT:
                    self._store_waiting()

    def _store_waiting(self) -> None:
        with self.index_transaction() as connection, self._within(connection):
            rows = [self._event_to_row(event) for event in self._waiting]
            inserted = sa.insert(SqlEventLogStorageTable).returning(
                SqlEventLogStorageTable.c.id, sort_by_parameter_order=True
            )
            ids = [int(row.id) for row in connection.execute(inserted, rows)]
            results = []
            for event, row, event_id in zip(self._waiting, rows, ids, strict=True):
                if event.dagster_event_type in ASSET_EVENTS and event.get_dagster_event().asset_key:
                    self._store_asset_event_tags(connection, [event], [event_id])
                    self._store_asset_event(connection, event, event_id)
                if event.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION:
                    results.append(_check_row(event, row, event_id))
                elif event.dagster_event_type == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                    self.store_asset_check_event(event, event_id)
            if results:
                connection.execute(_STORED_RESULT, results)
        self._waiting.clear()
        self._fetched.clear()

    def _plan_or_fulfil(self, event: EventLogEntry) -> None:
        """Keep a planned check in memory until its result comes."""
        data = event.get_dagster_event().event_specific_data
        assert isinstance(data, AssetCheckEvaluationPlanned | AssetCheckEvaluation)  # noqa: S101  by the event's type
        key = (event.run_id, data.asset_key, data.check_name)
        if isinstance(data, AssetCheckEvaluationPlanned):
            self._planned[key] = event
        else:
            self._planned.pop(key, None)

    def _end_plans(self, end: EventLogEntry) -> None:
        """Of a run that failed or was canceled the pages show by its plans which checks have no result."""
        plans = {key: event for key, event in self._planned.items() if event.run_id == end.run_id}
        if end.dagster_event_type != DagsterEventType.RUN_SUCCESS:
            self._waiting.extend(plans.values())
        for key in plans:
            del self._planned[key]

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


class BackfillStorage(PooledPostgresStorage):
    """Dagster's PostgreSQL storage with the event log of a backfill."""

    EVENT_LOG, TRUSTED_S = BackfillEventLog, TRUSTED_S


def _is_noise(event: EventLogEntry) -> bool:
    """A check's output has its evaluation beside it."""
    kind = event.dagster_event_type
    if kind == DagsterEventType.STEP_OUTPUT:
        return event.get_dagster_event().step_output_data.output_name != _RESULT
    if kind == DagsterEventType.ENGINE_EVENT:
        return event.get_dagster_event().engine_event_data.error is None
    return kind in _NOISE


def _check_row(event: EventLogEntry, row: Mapping[str, Any], event_id: int) -> dict[str, Any]:
    """A check's result as a row; `row` is its event's."""
    evaluation = event.get_dagster_event().asset_check_evaluation_data
    target = evaluation.target_materialization_data
    status = AssetCheckExecutionRecordStatus.SUCCEEDED if evaluation.passed else AssetCheckExecutionRecordStatus.FAILED
    return {
        "asset_key": evaluation.asset_key.to_string(),
        "check_name": evaluation.check_name,
        "run_id": event.run_id,
        "partition": evaluation.partition,
        "execution_status": status.value,
        "evaluation_event": row["event"],
        "evaluation_event_timestamp": row["timestamp"],
        "evaluation_event_storage_id": event_id,
        "materialization_event_storage_id": target.storage_id if target else None,
    }


def _stored_result() -> Insert:
    """Dagster stores results one by one. A step that is tried again has its second result in place of the first."""
    fresh = insert(AssetCheckExecutionsTable)
    replaced = {name: fresh.excluded[name] for name in _RESULT_COLUMNS}
    return fresh.on_conflict_do_update(index_elements=_CHECK_KEYS, set_=replaced)


_STORED_RESULT = _stored_result()
