"""Overdue months in Dagster: a check of what is served of each city, which names the months that should be there.

Belongs here: the check, and the sensor that reports its changes. Does not: when a month is overdue
(pipeline/timetable.py), or the metric and its alert (operations/exporter.py, helm/).
A month that never arrives has no run that could show it: a clock makes it overdue, and the sensor reports that without
a run. The check is on the reader, which no run makes. In a run of a month it would need that month as its partition:
without one Dagster plans it for the month, stores the result beside, and leaves the planned one open for ever.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from city_data.defs.keys import reader_key
from city_data.defs.metadata import check_result
from city_data.defs.resources import DatabaseResource
from city_data.frames.checks import Outcome
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import LATENESS, is_overdue
from city_data.texts import printable
from city_data.window import Month, as_of, rolling_window

if TYPE_CHECKING:
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord

    from city_data.store.ledger import MonthEntry

CHECK = "overdue_months"
DESCRIPTION = (
    f"Every complete month is stored within {LATENESS.days} days of its source's lag, or its source will never have it"
)
CHECK_EVERY_S = 600
MOST_NAMED, MOST_REASON = 5, 200
_Stored = Mapping[tuple[str, str, Month], "MonthEntry"]


def overdue_check(feeds: list[Feed]) -> dg.AssetChecksDefinition:
    """The checks of all cities in one step, of which a run executes those that it selects."""
    by_key = _feeds_by_reader(feeds)
    specs = [dg.AssetCheckSpec(CHECK, asset=key, description=DESCRIPTION) for key in by_key]

    @dg.multi_asset_check(name=CHECK, specs=specs, can_subset=True)
    def check(context: dg.AssetCheckExecutionContext, database: DatabaseResource) -> Iterator[dg.AssetCheckResult]:
        stored, moment = _stored(database), as_of()
        for key in context.selected_asset_check_keys:
            yield check_result(key.asset_key, overdue_outcome(by_key[key.asset_key], stored, moment))

    return check


def overdue_outcome(feeds: Iterable[Feed], stored: _Stored, moment: datetime) -> Outcome:
    """The overdue months of a city's feeds, the newest of which are named with their reasons."""
    late = [
        (month, feed, stored.get((feed.dataset.name, feed.city.city_id, month)))
        for month in rolling_window(moment).complete_months()
        for feed in feeds
        if is_overdue(feed, month, stored.get((feed.dataset.name, feed.city.city_id, month)), moment)
    ]
    if not late:
        return Outcome(CHECK, True, "no month is overdue")
    named = "; ".join(
        f"{feed.dataset.name} {month} {_state(entry)}" for month, feed, entry in late[: -MOST_NAMED - 1 : -1]
    )
    older = f"; and {len(late) - MOST_NAMED} older" if len(late) > MOST_NAMED else ""
    months = ", ".join(f"{feed.dataset.name} {month}" for month, feed, _ in late)
    return Outcome(CHECK, False, f"{len(late)} overdue: {named}{older}", {"months": months, "count": len(late)})


def overdue_sensor(feeds: list[Feed]) -> dg.SensorDefinition:
    @dg.sensor(
        name=CHECK,
        minimum_interval_seconds=CHECK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Shows the overdue months of each city in the check `{CHECK}` of its reader",
    )
    def sensor(context: dg.SensorEvaluationContext, database: DatabaseResource) -> dg.SkipReason:
        stored, moment = _stored(database), as_of()
        outcomes = {
            dg.AssetCheckKey(key, CHECK): overdue_outcome(own, stored, moment)
            for key, own in _feeds_by_reader(feeds).items()
        }
        shown = context.instance.event_log_storage.get_latest_asset_check_execution_by_key([*outcomes])
        changed = [key for key, outcome in outcomes.items() if _description(shown.get(key)) != outcome.description]
        for key in changed:
            context.instance.report_runless_asset_event(_evaluation(key, outcomes[key]))
        late = sum(not outcome.passed for outcome in outcomes.values())
        return dg.SkipReason(f"{late} of {len(outcomes)} cities have overdue months; {len(changed)} checks changed")

    return sensor


def _feeds_by_reader(feeds: Iterable[Feed]) -> dict[dg.AssetKey, list[Feed]]:
    by_key: dict[dg.AssetKey, list[Feed]] = {}
    for feed in feeds:
        by_key.setdefault(reader_key(feed), []).append(feed)
    return by_key


def _stored(database: DatabaseResource) -> _Stored:
    from city_data.store.ledger import read_months

    return {(entry.dataset, entry.city_id, entry.month): entry for entry in read_months(database.open())}


def _state(entry: "MonthEntry | None") -> str:
    if entry is None:
        return "was never requested"
    reason = entry.last_error or str(entry.provenance.get("reason", ""))
    return f"{entry.state}: {printable(reason, MOST_REASON)}" if reason else entry.state


def _description(execution: "AssetCheckExecutionRecord | None") -> str | None:
    """The text of an evaluation; None without one, as of a run that ended before its check."""
    event = execution.event.dagster_event if execution is not None and execution.event is not None else None
    if event is None or event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        return None
    return event.asset_check_evaluation_data.description


def _evaluation(key: dg.AssetCheckKey, outcome: Outcome) -> dg.AssetCheckEvaluation:
    result = check_result(key.asset_key, outcome)
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=outcome.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )
