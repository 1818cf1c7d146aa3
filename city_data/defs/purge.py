"""Purge of Dagster's own database: old runs and their events, which otherwise stay for ever.

Belongs here: the job and its schedule, and the choice of the events that stay. Does not: the months' own history, which
is in the ledger and its audit.

A run of a month writes about 50 events, 80 kB. Later the UI needs few of them, 14 kB: the latest materialization of
each partition, and the run's start and end. Check results have a table of their own, which stays. The expiry's
observations are its audit.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from city_data import environment
from city_data.defs.keys import MONTHS_JOB

PURGE_JOB = "purge_runs"
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
_EVENTS = SqlEventLogStorageTable


def purge(instance: dg.DagsterInstance, before: datetime) -> tuple[int, int]:
    """Delete what the UI does not need of the runs that ended before a moment; returns the runs and events deleted."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0, 0
    ended = dg.RunsFilter(statuses=_FINISHED, updated_before=before)
    runs, events, cursor = 0, 0, None
    while batch := instance.get_runs(ended, cursor=cursor, limit=BATCH):
        cursor = batch[-1].run_id
        run_ids = [run.run_id for run in batch]
        with storage.index_connection() as connection:
            current = set(connection.execute(_with_a_latest_materialization(run_ids)).scalars())
            events += connection.execute(_superfluous_events(run_ids)).rowcount
        for run in batch:
            if run.job_name == MONTHS_JOB and run.run_id not in current:
                instance.delete_run(run.run_id)
                runs += 1
    return runs, events


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


@dg.op(description="Delete the events and runs that the UI does not need any more")
def delete_old_runs(context: dg.OpExecutionContext) -> None:
    days = environment.KEEP_RUNS_DAYS.whole_number("a number of days from 1 to 36500", 1, 36_500)
    runs, events = purge(context.instance, datetime.now(UTC) - timedelta(days=days))
    context.log.info("deleted %d runs and %d events older than %d days", runs, events, days)


@dg.job(name=PURGE_JOB, executor_def=dg.in_process_executor, description="Purge Dagster's old runs and events")
def purge_job() -> None:
    delete_old_runs()


def purge_schedule() -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=PURGE_JOB,
        job=purge_job,
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Daily: deletes Dagster's runs and events older than {environment.KEEP_RUNS_DAYS} days, except "
        "the latest materialization of each partition",
    )
