"""Deletion of old runs, their events and their checks' results from Dagster's own database.

Belongs here: the choice of those that stay. Does not: when it runs (purge.py), which loads this where it is used,
since it brings in SQLAlchemy.
"""

from dataclasses import dataclass
from datetime import datetime

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from city_data.defs.keys import FORMER_MONTHS_JOB, MONTHS_JOB

BATCH = 200
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION.value
_KEPT = [
    dg.DagsterEventType.RUN_ENQUEUED.value,
    dg.DagsterEventType.RUN_STARTING.value,
    dg.DagsterEventType.RUN_START.value,
    dg.DagsterEventType.RUN_SUCCESS.value,
    dg.DagsterEventType.RUN_FAILURE.value,
    dg.DagsterEventType.RUN_CANCELED.value,
    dg.DagsterEventType.ASSET_OBSERVATION.value,
]
_COMPLETED = [status.value for status in COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES]
_EVENTS, _CHECKS = SqlEventLogStorageTable, AssetCheckExecutionsTable


@dataclass(frozen=True)
class Purged:
    """Numbers of deleted rows; `checks` are results of asset checks."""

    runs: int = 0
    events: int = 0
    checks: int = 0


def purge(instance: dg.DagsterInstance, before: datetime) -> Purged:
    """Delete what the UI does not need of the runs that ended before a moment."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return Purged()
    ended = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    runs, events, checks, cursor = 0, 0, 0, None
    while batch := instance.get_runs(ended, cursor=cursor, limit=BATCH):
        cursor = batch[-1].run_id
        run_ids = [run.run_id for run in batch]
        with storage.index_connection() as connection:
            current = set(connection.execute(_with_a_latest_materialization(run_ids)).scalars())
            events += connection.execute(_superfluous_events(run_ids)).rowcount
            checks += connection.execute(_superfluous_checks(run_ids)).rowcount
            current |= set(connection.execute(_with_a_result(run_ids)).scalars())
        for run in batch:
            if run.job_name in (MONTHS_JOB, FORMER_MONTHS_JOB) and run.run_id not in current:
                instance.delete_run(run.run_id)
                runs += 1
    return Purged(runs, events, checks)


def _latest() -> sa.Select[tuple[int]]:
    """The latest materialization of each partition."""
    groups = sa.select(sa.func.max(_EVENTS.c.id)).where(_EVENTS.c.dagster_event_type == _MATERIALIZATION)
    return groups.group_by(_EVENTS.c.asset_key, _EVENTS.c.partition)


def _with_a_latest_materialization(run_ids: list[str]) -> sa.Select[tuple[str]]:
    chosen = sa.select(_EVENTS.c.run_id).where(_EVENTS.c.run_id.in_(run_ids), _EVENTS.c.id.in_(_latest()))
    return chosen.distinct()


def _superfluous_events(run_ids: list[str]) -> sa.Delete:
    kind = sa.func.coalesce(_EVENTS.c.dagster_event_type, "")  # a log line has no type
    needed = sa.or_(kind.in_(_KEPT), _EVENTS.c.id.in_(_latest()))
    return sa.delete(_EVENTS).where(_EVENTS.c.run_id.in_(run_ids), sa.not_(needed))


def _with_a_result(run_ids: list[str]) -> sa.Select[tuple[str]]:
    """Dagster deletes a run's check results with it, and a batch stores no second success of a check."""
    chosen = sa.select(_CHECKS.c.run_id).where(
        _CHECKS.c.run_id.in_(run_ids), _CHECKS.c.execution_status.in_(_COMPLETED)
    )
    return chosen.distinct()


def _superfluous_checks(run_ids: list[str]) -> sa.Delete:
    """The results that a later one of the same check and partition has replaced. Dagster never deletes them."""
    later = _CHECKS.alias()
    replaced = sa.exists().where(
        later.c.asset_key == _CHECKS.c.asset_key,
        later.c.check_name == _CHECKS.c.check_name,
        later.c.partition.is_not_distinct_from(_CHECKS.c.partition),
        later.c.id > _CHECKS.c.id,
        later.c.execution_status.in_(_COMPLETED),
    )
    return sa.delete(_CHECKS).where(_CHECKS.c.run_id.in_(run_ids), replaced)
