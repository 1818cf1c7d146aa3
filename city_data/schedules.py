"""When months are asked for: the monthly schedule, the daily refresh of what is not settled.

Belongs here: what is due and when it is asked. Does not: how a month is fetched (ingest.py) or expired (retention.py).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from city_data.resources import DatabaseResource
from city_data.sources import Feed
from city_data.window import Month, Window, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry

MONTHS_JOB = "city_months"
STEPS = ("raw", "monthly", "cache")
MONTHLY_TICK = time(2, tzinfo=UTC)  # on day 1
# A little under a day, so that a daily tick finds yesterday's fetch due again.
ASK_AGAIN_AFTER = timedelta(hours=20)


def run_request(feed: Feed, month: Month, run_key: str) -> dg.RunRequest:
    """One run for one month of one feed, so that no city's failure stops another's month."""
    return dg.RunRequest(
        run_key=run_key,
        partition_key=str(month),
        asset_selection=[feed.key(step) for step in STEPS],
        tags={"city_data/city": feed.city.city_id, "city_data/dataset": feed.dataset.name},
    )


def is_due(feed: Feed, month: Month, entry: "MonthEntry | None", moment: datetime) -> bool:
    """Whether a month should be asked for again: never settled ones, nor those asked within the day."""
    if entry is None:
        return month.bounds(feed.city.timezone)[0] <= moment
    if entry.state in ("settled", "not_available"):
        return False
    return entry.checked_at is None or moment - entry.checked_at >= ASK_AGAIN_AFTER


def due_months(
    feeds: list[Feed], entries: list["MonthEntry"], window: Window, moment: datetime
) -> list[tuple[Feed, Month]]:
    """Every month of the window that is due, oldest first."""
    held = {(entry.city_id, entry.dataset, entry.month): entry for entry in entries}
    return [
        (feed, month)
        for month in window.months()
        for feed in feeds
        if is_due(feed, month, held.get((feed.city.city_id, feed.dataset.name, month)), moment)
    ]


def monthly_tick(moment: datetime) -> datetime:
    """When the monthly schedule last asked, at `moment` (aware)."""
    month = Month.at(moment, "UTC")
    tick = datetime.combine(month.first_day, MONTHLY_TICK)
    return tick if tick <= moment else datetime.combine((month - 1).first_day, MONTHLY_TICK)


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
        description="Daily: asks again for every month that is not settled yet, and for months never asked for",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, database: DatabaseResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        from city_data.store.ledger import read_months

        moment = as_of()
        due = due_months(feeds, read_months(database.open()), rolling_window(moment), moment)
        if not due:
            yield dg.SkipReason("every month is settled, or was asked for within the day")
        for feed, month in due:
            # Dagster wants a key, and remembers failed runs by it too: one a day, so that tomorrow's try is a new one.
            yield run_request(feed, month, f"refresh:{feed.name}:{month}:{context.scheduled_execution_time:%Y-%m-%d}")

    return schedule
