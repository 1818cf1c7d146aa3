"""Purge of Dagster's own database: old runs and their events, which otherwise stay for ever.

Belongs here: the job and its schedule, and the choice of the events that stay. Does not: the months' own history, which
is in the ledger and its audit.

A run of a month writes about 50 events and 12 check results, 150 kB. Later the UI needs few of them: the latest
materialization and the latest result of each check of each partition, and the run's start and end. The expiry's
observations are its audit.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from city_data import environment

PURGE_JOB = "purge_runs"


def purge_job() -> dg.JobDefinition:
    @dg.op(description="Delete the events and runs that the UI does not need any more")
    def delete_old_runs(context: dg.OpExecutionContext) -> None:
        from city_data.defs.old_events import purge

        days = environment.KEEP_RUNS_DAYS.whole_number("a number of days from 1 to 36500", 1, 36_500)
        gone = purge(context.instance, datetime.now(UTC) - timedelta(days=days))
        counts = (gone.runs, gone.events, gone.checks, days)
        context.log.info("deleted %d runs, %d events and %d check results older than %d days", *counts)

    @dg.job(name=PURGE_JOB, executor_def=dg.in_process_executor, description="Purge Dagster's old runs and events")
    def job() -> None:
        delete_old_runs()

    return job


def purge_schedule(job: dg.JobDefinition) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition(
        name=PURGE_JOB,
        job=job,
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Daily: deletes Dagster's runs, events and check results older than {environment.KEEP_RUNS_DAYS} "
        "days, except the latest materialization and check results of each partition",
    )
