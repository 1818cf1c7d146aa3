"""Overdue months in Dagster: a check of each feed, which names the months that its source should have published.

Belongs here: the check, and the sensor that reports its changes. Does not: when a month is overdue
(pipeline/timetable.py), or the metric and its alert (operations/exporter.py, helm/).
A run evaluates the check of the feed that it loads. A month that never arrives has no such run, and a clock makes it
overdue: the sensor reports that without one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from city_data.defs.keys import asset_key
from city_data.defs.metadata import check_result
from city_data.defs.resources import DatabaseResource
from city_data.frames.checks import Outcome
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import LATENESS, is_overdue
from city_data.texts import printable
from city_data.window import as_of, rolling_window

if TYPE_CHECKING:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

    from city_data.store.ledger import MonthEntry

CHECK = "overdue_months"
DESCRIPTION = (
    f"Every complete month is stored within {LATENESS.days} days of its source's lag, or its source will never have it"
)
CHECK_EVERY_S = 3600
MOST_NAMED, MOST_REASON = 5, 200


def check_spec(feed: Feed) -> dg.AssetCheckSpec:
    """Without partitions: the months that it names have no materialization to show it at."""
    return dg.AssetCheckSpec(CHECK, asset=asset_key(feed, "monthly"), description=DESCRIPTION)


def overdue_outcome(feed: Feed, entries: Iterable["MonthEntry"], moment: datetime) -> Outcome:
    """`entries` are the feed's rows of the ledger."""
    stored = {entry.month: entry for entry in entries}
    complete = rolling_window(moment).complete_months()
    late = [month for month in complete if is_overdue(feed, month, stored.get(month), moment)]
    if not late:
        return Outcome(CHECK, True, "no month is overdue")
    named = "; ".join(f"{month} {_state(stored.get(month))}" for month in late[-MOST_NAMED:])
    older = f"; and {len(late) - MOST_NAMED} older" if len(late) > MOST_NAMED else ""
    months = ", ".join(map(str, late))
    return Outcome(CHECK, False, f"{len(late)} overdue: {named}{older}", {"months": months, "count": len(late)})


def _state(entry: "MonthEntry | None") -> str:
    if entry is None:
        return "was never requested"
    reason = entry.last_error or str(entry.provenance.get("reason", ""))
    return f"{entry.state}: {printable(reason, MOST_REASON)}" if reason else entry.state


def overdue_sensor(feeds: list[Feed]) -> dg.SensorDefinition:
    @dg.sensor(
        name=CHECK,
        minimum_interval_seconds=CHECK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Shows overdue months in the check `{CHECK}` of the monthly assets",
    )
    def sensor(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        from city_data.store.ledger import read_months

        moment = as_of()
        entries: dict[tuple[str, str], list[MonthEntry]] = {}
        for entry in read_months(database.open()):
            entries.setdefault((entry.dataset, entry.city_id), []).append(entry)
        outcomes = {
            asset_key(feed, "monthly"): overdue_outcome(
                feed, entries.get((feed.dataset.name, feed.city.city_id), []), moment
            )
            for feed in feeds
        }
        keys = [dg.AssetCheckKey(key, CHECK) for key in outcomes]
        shown = context.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        changed = [key for key in keys if _description(shown.get(key)) != outcomes[key.asset_key].description]
        for key in changed:
            _report(context.instance, key.asset_key, outcomes[key.asset_key])
        late = sum(not outcome.passed for outcome in outcomes.values())
        return dg.SkipReason(f"{late} of {len(feeds)} feeds have overdue months; {len(changed)} checks changed")

    return sensor


def _description(execution: "AssetCheckExecutionRecord | None") -> str | None:
    """The text of an evaluation; None without one, as of a run that ended before its check."""
    event = execution.event.dagster_event if execution is not None and execution.event is not None else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return event.asset_check_evaluation_data.description


def _report(instance: dg.DagsterInstance, key: dg.AssetKey, outcome: Outcome) -> None:
    """Of the newest materialization: Dagster's pages hide an evaluation of an older one."""
    result, latest = check_result(key, outcome), instance.fetch_materializations(key, limit=1).records
    target = (
        AssetCheckEvaluationTargetMaterializationData(
            run_id=latest[0].run_id, storage_id=latest[0].storage_id, timestamp=latest[0].timestamp
        )
        if latest
        else None
    )
    evaluation = dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
        target_materialization_data=target,
    )
    instance.report_runless_asset_event(evaluation)
