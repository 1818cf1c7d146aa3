"""When months are asked for: what closed, what is not settled, what may have been revised.

Belongs here: ticks and what each asks for. Does not: which month is due (pipeline/settling.py), how it is fetched
(defs/assets/raw.py) or expired (retention.py).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

import dagster as dg

from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.defs.resources import DatabaseResource
from city_data.pipeline.feeds import Feed
from city_data.pipeline.settling import Task, due_months, recheck_due
from city_data.pipeline.timetable import MONTHLY_TICK
from city_data.window import Month, Window, as_of, rolling_window

# Feeds, the ledger's rows, the window and the moment.
_Due = Callable[[list[Feed], Iterable[Any], Window, datetime], list[Task]]
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def run_request(feed: Feed, month: Month, run_key: str, only_if_revised: bool = False) -> dg.RunRequest:
    """One run for one month of one feed, so that no city's failure stops another's month."""
    op = asset_key(feed, "raw").to_python_identifier()
    return dg.RunRequest(
        run_key=run_key,
        partition_key=str(month),
        asset_selection=[asset_key(feed, step) for step in STEPS],
        run_config={"ops": {op: {"config": {"only_if_revised": True}}}} if only_if_revised else None,
        tags={"city_data/city": feed.city.city_id, "city_data/dataset": feed.dataset.name},
    )


def monthly_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="month_closed",
        job_name=MONTHS_JOB,
        cron_schedule=f"{MONTHLY_TICK.minute} {MONTHLY_TICK.hour} 1 * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="02:00 UTC on day 1: asks for the month that just closed, of every enabled city",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        # Dagster's own partitioned schedule names the open month where end_offset is 1, so the month is named here.
        closed = rolling_window(as_of(context.scheduled_execution_time)).open - 1
        return [run_request(feed, closed, f"closed:{feed.name}:{closed}") for feed in feeds]

    return schedule


def refresh_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="refresh_unsettled",
        job_name=MONTHS_JOB,
        cron_schedule="0 5 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Daily: asks again for every month that is not settled yet, and for months never asked for, within "
        "each provider's budget; what a stop or a budget left over comes first the next day",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        nothing = "every month is settled, was asked for within the day, or is being asked for"
        return _requests(context, database, feeds, due_months, "refresh", nothing)

    return schedule


def recheck_schedule(feeds: list[Feed]) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="recheck_settled",
        job_name=MONTHS_JOB,
        cron_schedule="0 6 * * 1",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Mondays: looks whether sources have revised settled months, a quarter of them each week, and "
        "fetches again those that differ",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        nothing = "every settled month was looked at within four weeks"
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
    """A run for every month that is due and that none is under way for; `nothing` says why there is none."""
    from city_data.store.ledger import read_months

    moment = as_of()
    wanted = _without_a_run(context, due(feeds, read_months(database.open()), rolling_window(moment), moment))
    if not wanted:
        yield dg.SkipReason(nothing)
    for feed, month in wanted:
        # Dagster wants a key, and remembers failed runs by it too: one a day, so that tomorrow's try is a new one.
        key = f"{name}:{feed.name}:{month}:{context.scheduled_execution_time:%Y-%m-%d}"
        yield run_request(feed, month, key, only_if_revised)


def _without_a_run(context: dg.ScheduleEvaluationContext, tasks: list[Task]) -> list[Task]:
    """Those that no run is queued or under way for: after a stop the queue still holds yesterday's."""
    unfinished = dg.RunsFilter(job_name=MONTHS_JOB, statuses=UNFINISHED)
    names = ("city_data/city", "city_data/dataset", "dagster/partition")
    running = {tuple(run.tags.get(name) for name in names) for run in context.instance.get_runs(unfinished)}
    return [(feed, month) for feed, month in tasks if (feed.city.city_id, feed.dataset.name, str(month)) not in running]
