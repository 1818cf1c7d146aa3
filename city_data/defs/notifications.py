"""Slack notices: failed runs at once, and each month's rotation in one message.

Belongs here: the sensors and their texts. Does not: which months are due or expired (schedules.py, retention.py).
A notice has names and figures only: error messages and stacks may contain secrets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from city_data import environment
from city_data.defs.resources import DatabaseResource
from city_data.errors import CityDataError
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import monthly_tick
from city_data.window import Month, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry

SLACK_TIMEOUT_S = 10.0
CHECK_EVERY_S = 3600
# The slowest source's lag and some days. Then the rotation is reported even if a month is still missing.
WAIT_FOR_MONTH = timedelta(days=14)


@dataclass(frozen=True)
class Rotation:
    """The result of one month's rotation. `coverage` is the mean of the months added, 0..1, None without any."""

    month: Month
    cities: int
    added: int
    expected: int
    unavailable: int
    missing: tuple[str, ...]
    expired: tuple[Month, ...]
    coverage: float | None
    took: timedelta

    @property
    def complete(self) -> bool:
        return not self.missing


def rotation(
    feeds: Sequence[Feed], entries: Sequence["MonthEntry"], expired: Sequence[Month], tick: datetime
) -> Rotation:
    """The rotation that began at `tick`: `entries` include the month that closed, `expired` are those it replaced."""
    closed = rolling_window(tick).open - 1
    entry_of = {(entry.city_id, entry.dataset): entry for entry in entries if entry.month == closed}
    entry_by_feed = [(feed, entry_of.get((feed.city.city_id, feed.dataset.name))) for feed in feeds]
    added = [entry for _, entry in entry_by_feed if entry is not None and entry.has_data]
    unavailable = [
        entry
        for _, entry in entry_by_feed
        if entry is not None and not entry.has_data and entry.state == "not_available"
    ]
    missing = [feed.name for feed, entry in entry_by_feed if entry not in added and entry not in unavailable]
    ends = [entry.loaded_at for entry in added if entry.loaded_at is not None]
    return Rotation(
        month=closed,
        cities=len({feed.city.city_id for feed in feeds}),
        added=len(added),
        expected=len(feeds),
        unavailable=len(unavailable),
        missing=tuple(missing),
        expired=tuple(sorted(set(expired))),
        coverage=sum(entry.coverage or 0.0 for entry in added) / len(added) if added else None,
        took=max(max(ends, default=tick) - tick, timedelta(0)),
    )


def rotation_text(summary: Rotation) -> str:
    """The Slack message of a rotation."""
    hours, minutes = divmod(int(summary.took.total_seconds()) // 60, 60)
    parts = [
        f"city_data: {summary.month} of {summary.cities} cities: {summary.added} of {summary.expected} months added "
        f"in {hours} h {minutes} min",
        "no coverage" if summary.coverage is None else f"coverage {summary.coverage:.1%}",
    ]
    if summary.unavailable:
        parts.append(f"{summary.unavailable} not available at their source")
    if summary.missing:
        parts.append(f"still missing: {', '.join(summary.missing)}")
    parts.append(f"expired: {', '.join(map(str, summary.expired)) or 'none'}")
    return "; ".join(parts)


def rotation_sensor(feeds: list[Feed]) -> dg.SensorDefinition:
    @dg.sensor(
        name="rotation_summary",
        minimum_interval_seconds=CHECK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts a summary of each monthly rotation to Slack if {environment.SLACK_WEBHOOK_URL} is set",
    )
    def sensor(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        from city_data.store.audit import read_audit
        from city_data.store.ledger import read_months

        if not environment.SLACK_WEBHOOK_URL.get():
            return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
        moment = as_of()
        tick = monthly_tick(moment)
        window = rolling_window(tick)
        closed, leaving = window.open - 1, window.first - 1
        if context.cursor == str(closed):
            return dg.SkipReason(f"{closed} is already reported")
        expired = [row["month"] for row in read_audit(database.open()) if row["month"] == leaving]
        summary = rotation(feeds, read_months(database.open(), first=closed, last=closed), expired, tick)
        if not summary.complete and moment < tick + WAIT_FOR_MONTH:
            return dg.SkipReason(f"{closed} is incomplete, waiting for {', '.join(summary.missing)}")
        post_to_slack(rotation_text(summary))
        context.update_cursor(str(closed))
        return dg.SkipReason(f"{closed} reported")

    return sensor


def failure_text(job_name: str, run_id: str, partition: str | None, failed_steps: list[str]) -> str:
    """The Slack message of a failed run."""
    subject = f"{job_name} {partition}" if partition else job_name
    where = f"in {', '.join(failed_steps)}" if failed_steps else "before its first step"
    return f"city_data: {subject} failed {where} (run {run_id[:8]}); see the run in Dagster"


def failure_notice() -> dg.SensorDefinition:
    return dg.run_failure_sensor(
        name="failure_notice",
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts failed runs to Slack if {environment.SLACK_WEBHOOK_URL} is set",
    )(notify_slack)


def notify_slack(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Post the failed run's names to Slack. Raises NoticeFailed, which the sensor's tick shows."""
    if not environment.SLACK_WEBHOOK_URL.get():
        return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
    run = context.dagster_run
    steps = [event.step_key for event in context.get_step_failure_events() if event.step_key]
    post_to_slack(failure_text(run.job_name, run.run_id, run.tags.get("dagster/partition"), steps))
    return None


class NoticeFailed(CityDataError):
    """Slack did not accept the message. The text omits the webhook's address, which is a secret."""


def post_to_slack(text: str) -> None:
    """Post one message to the webhook. Raises NoticeFailed; the sensor's tick shows it, and the next one retries."""
    import httpx

    try:
        httpx.post(
            environment.SLACK_WEBHOOK_URL.required(), json={"text": text}, timeout=SLACK_TIMEOUT_S
        ).raise_for_status()
    except httpx.HTTPStatusError as error:
        raise NoticeFailed(f"Slack answered {error.response.status_code}") from None
    except httpx.HTTPError as error:
        raise NoticeFailed(f"Slack cannot be reached: {type(error).__name__}") from None
