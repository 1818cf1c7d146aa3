"""Slack notices: failed runs at once, and each month's rotation in one message.

Belongs here: the sensors and their texts. Does not: which months are due or expired (schedules.py, retention.py).
A notice has names, figures and the ledger's reason, from which secrets were struck out where they arose. Stacks stay in
Dagster. A notice that Slack refuses is posted again at the next tick.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from city_data import environment
from city_data.defs import run_failures
from city_data.defs.resources import DatabaseResource
from city_data.errors import CityDataError
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import monthly_tick
from city_data.texts import printable
from city_data.window import Month, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry

SLACK_TIMEOUT_S = 10.0
CHECK_EVERY_S = 3600
MOST_NOTICES = 50
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
        from city_data.store.ledger import first_change, read_months

        if not environment.SLACK_WEBHOOK_URL.get():
            return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
        moment = as_of()
        tick = monthly_tick(moment)
        window = rolling_window(tick)
        closed, leaving = window.open - 1, window.first - 1
        if context.cursor == str(closed):
            return dg.SkipReason(f"{closed} is already reported")
        expired = [row["month"] for row in read_audit(database.open()) if row["month"] == leaving]
        began = first_change(database.open())
        if not expired and (began is None or began > tick):
            return dg.SkipReason(f"the platform is newer than the rotation of {closed}")
        summary = rotation(feeds, read_months(database.open(), first=closed, last=closed), expired, tick)
        if not summary.complete and moment < tick + WAIT_FOR_MONTH:
            return dg.SkipReason(f"{closed} is incomplete, waiting for {', '.join(summary.missing)}")
        incomplete = f"{closed} incomplete"
        if not summary.complete and context.cursor == incomplete:
            return dg.SkipReason(f"{closed} is reported as incomplete, and still is")
        try:
            post_to_slack(rotation_text(summary))
        except NoticeFailed as error:
            return dg.SkipReason(f"{closed} is not reported yet: {error}")
        context.update_cursor(str(closed) if summary.complete else incomplete)
        return dg.SkipReason(f"{closed} reported")

    return sensor


def _run_link(run_id: str) -> str:
    base = environment.DAGSTER_WEBSERVER_URL.get()
    if base is None and os.environ.get(environment.UI_PORT.name):
        base = f"http://127.0.0.1:{environment.UI_PORT.get()}"
    return f"{base.rstrip('/')}/runs/{run_id}" if base else f"run {run_id[:8]} in Dagster"


def failure_notice() -> dg.SensorDefinition:
    """Not a run failure sensor: Dagster's own moves on where its function fails, so that a refused notice is lost, and
    it does not see runs of `city-data backfill`, which have no code location."""

    @dg.sensor(
        name="failure_notice",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts failed runs to Slack if {environment.SLACK_WEBHOOK_URL} is set; a refused one again",
    )
    def sensor(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        if not environment.SLACK_WEBHOOK_URL.get():
            return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
        if context.cursor is None:  # failures of before are not news
            context.update_cursor(datetime.now(UTC).isoformat())
            return dg.SkipReason("failed runs are reported from now on")
        records = _failures_since(context.instance, *context.cursor.split(" "))
        return post_in_order(
            context,
            (
                (
                    f"city_data: {run_failures.described(context.instance, record.dagster_run, database)}; "
                    f"{_run_link(record.dagster_run.run_id)}",
                    f"{record.update_timestamp.isoformat()} {record.dagster_run.run_id}",
                )
                for record in records
            ),
        )

    return sensor


def backfill_notice() -> dg.SensorDefinition:
    """Of backfills that Dagster gave up; the failed runs of one that completed have notices of their own."""

    @dg.sensor(
        name="backfill_notice",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts failed backfills to Slack if {environment.SLACK_WEBHOOK_URL} is set; a refused one again",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from city_data.defs.backfills import failed_since

        if not environment.SLACK_WEBHOOK_URL.get():
            return dg.SkipReason(f"{environment.SLACK_WEBHOOK_URL} is not set")
        if context.cursor is None:
            context.update_cursor(str(datetime.now(UTC).timestamp()))
            return dg.SkipReason("failed backfills are reported from now on")
        return post_in_order(
            context,
            (
                (
                    f"city_data: backfill {failed.backfill_id} ({failed.title}) failed: "
                    f"{printable(' '.join(failed.reason.split()), run_failures.MOST_REASON)}",
                    str(failed.ended),
                )
                for failed in failed_since(context.instance, float(context.cursor))
            ),
        )

    return sensor


def _failures_since(instance: dg.DagsterInstance, since: str, last_id: str = "") -> list[dg.RunRecord]:
    """Failed runs in order of their last change, after the one that was reported last."""
    moment = datetime.fromisoformat(since)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=moment - timedelta(microseconds=1))
    records = instance.get_run_records(failed, limit=MOST_NOTICES, order_by="update_timestamp", ascending=True)
    ordered = sorted(records, key=_order)
    return [record for record in ordered if _order(record) > (moment, last_id)]


def _order(record: dg.RunRecord) -> tuple[datetime, str]:
    moment = record.update_timestamp
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC), record.dagster_run.run_id)


class NoticeFailed(CityDataError):
    """Slack did not accept the message. The text omits the webhook's address, which is a secret."""


def post_in_order(context: dg.SensorEvaluationContext, notices: Iterable[tuple[str, str]]) -> dg.SkipReason:
    """Post texts to Slack, each with the sensor's cursor once it is posted. The first that Slack refuses ends the tick,
    and is the first of the next one."""
    posted = 0
    for text, cursor in notices:
        try:
            post_to_slack(text)
        except NoticeFailed as error:
            return dg.SkipReason(f"{posted} reported; the next one is tried again: {error}")
        posted += 1
        context.update_cursor(cursor)
    return dg.SkipReason(f"{posted} reported")


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
