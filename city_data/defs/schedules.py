"""Schedules: runs for the month that closed, for unsettled months, and rechecks of settled ones.

Belongs here: each schedule and its run requests. Does not: whether a month is due (pipeline/settling.py), fetching
(defs/assets/raw.py) or expiry (retention.py).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key, feeds_by_step, run_tags
from city_data.defs.resources import DatabaseResource
from city_data.pipeline.batches import Batch, batches
from city_data.pipeline.feeds import Feed
from city_data.pipeline.settling import Task, due_months, recheck_due
from city_data.pipeline.timetable import MONTHLY_TICK
from city_data.window import Window, as_of, rolling_window

# Of feeds, the ledger's rows, the window and the moment.
_Due = Callable[[list[Feed], Iterable[Any], Window, datetime], list[Task]]
_IN_PROGRESS = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


# Where the instance sets no longest runtime; the longest that one machine's configuration and the chart set.
LONGEST_RUN_S = 10_800.0


def unfinished_runs(instance: dg.DagsterInstance, job_name: str) -> list[dg.DagsterRun]:
    """The job's runs that wait in the queue or are in progress.

    A run in progress for longer than the longest runtime has died without a trace, and does not count.
    """
    queued = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.QUEUED]))
    longest = instance.run_monitoring_max_runtime_seconds or LONGEST_RUN_S
    oldest = datetime.now(UTC).timestamp() - longest
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=_IN_PROGRESS))
    started = ((record.start_time or record.create_timestamp.timestamp(), record.dagster_run) for record in records)
    return [*queued, *(run for since, run in started if since > oldest)]


def run_request(batch: Batch, run_key: str, only_if_revised: bool = False) -> dg.RunRequest:
    """One run for a batch. Its steps are each city's own: one that fails leaves the other cities alone."""
    ops = [asset_key(feed, "raw").to_python_identifier() for feed in batch.feeds]
    config = {"ops": {op: {"config": {"only_if_revised": True}} for op in ops}}
    return dg.RunRequest(
        run_key=run_key,
        partition_key=str(batch.month),
        asset_selection=[asset_key(feed, step) for feed in batch.feeds for step in STEPS],
        run_config=config if only_if_revised else None,
        tags=run_tags(batch.feeds),
    )


def monthly_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="month_closed",
        job_name=MONTHS_JOB,
        cron_schedule=f"{MONTHLY_TICK.minute} {MONTHLY_TICK.hour} 1 * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="02:00 UTC on day 1: requests the month that just closed for every enabled city",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        # With end_offset=1 Dagster's own partitioned schedule would request the open month.
        closed = rolling_window(as_of(context.scheduled_execution_time)).open - 1
        wanted = batches((feed, closed) for feed in feeds)
        return [run_request(batch, f"closed:{batch.name}:{closed}") for batch in wanted]

    return schedule


def refresh_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="refresh_unsettled",
        job_name=MONTHS_JOB,
        cron_schedule="0 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily: requests every month that is unsettled or was never requested, within each provider's "
        "budget; months left over by a stop or a budget come first the next day",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        nothing = "every month is settled, was requested within a day, or has an unfinished run"
        return _requests(context, database, feeds, due_months, "refresh", nothing)

    return schedule


def recheck_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="recheck_settled",
        job_name=MONTHS_JOB,
        cron_schedule="0 6 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Mondays: checks whether sources have revised settled months, a quarter of them each week, and "
        "fetches those that differ again",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        nothing = "every settled month was rechecked within four weeks"
        return _requests(context, database, feeds, recheck_due, "recheck", nothing, only_if_revised=True)

    return schedule


def _requests(
    context: dg.ScheduleEvaluationContext,
    database: DatabaseResource,
    feeds: list[Feed],
    due: _Due,
    name: str,
    nothing: str,
    only_if_revised: bool = False,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Runs for every due month without an unfinished run; `nothing` is the reason to skip."""
    from city_data.store.ledger import read_months

    moment = as_of()
    wanted = _without_a_run(context, due(feeds, read_months(database.open()), rolling_window(moment), moment))
    if not wanted:
        yield dg.SkipReason(nothing)
    for batch in batches(wanted):
        # Dagster deduplicates by run key, failed runs included: one key a day, so that tomorrow's request is new.
        key = f"{name}:{batch.name}:{batch.month}:{context.scheduled_execution_time:%Y-%m-%d}"
        yield run_request(batch, key, only_if_revised)


def _without_a_run(context: dg.ScheduleEvaluationContext, tasks: list[Task]) -> list[Task]:
    """The tasks without an unfinished run: after a stop the queue still holds yesterday's runs."""
    running, all_of = set(), set()
    for run in unfinished_runs(context.instance, MONTHS_JOB):
        month = run.tags.get("dagster/partition")
        if run.asset_selection is None:
            all_of.add(month)
        running |= {(dataset, city, month) for dataset, city in feeds_by_step(run).values()}
    return [
        (feed, month)
        for feed, month in tasks
        if str(month) not in all_of and (feed.dataset.name, feed.city.city_id, str(month)) not in running
    ]
