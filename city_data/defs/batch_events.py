"""The stored events of a run of several cities: those that a page of Dagster needs.

Belongs here: which events are stored, and their form. Does not: storing them (storage.py), or the purge of old ones
(old_events.py).
A city's month yields about 110 events and 21 check results, 215 kB. For each city of a batch the pages need the
materializations, the times of its steps, and whatever failed in full: 16 kB. A run of one city stores everything.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.events.log import EventLogEntry

from city_data.defs.keys import feeds_by_step

_Kind = dg.DagsterEventType
# Outputs repeat a materialization or a check's result, and a result that was only planned says nothing of its month.
_UNSTORED = {
    _Kind.STEP_INPUT,
    _Kind.STEP_OUTPUT,
    _Kind.HANDLED_OUTPUT,
    _Kind.LOADED_INPUT,
    _Kind.RESOURCE_INIT_STARTED,
    _Kind.RESOURCE_INIT_SUCCESS,
    _Kind.ASSET_CHECK_EVALUATION_PLANNED,
}
# PostgreSQL compresses a row above 2 kB: a materialization that is shortened to less takes more.
_SHORTENED = {_Kind.STEP_START, _Kind.STEP_SUCCESS, _Kind.STEP_SKIPPED, _Kind.ASSET_CHECK_EVALUATION}


def is_batch(run: dg.DagsterRun) -> bool:
    """Whether a run loads several cities."""
    return len({city for _, city in feeds_by_step(run).values()}) > 1


def is_needed(event: EventLogEntry) -> bool:
    """Whether an event of a batch is stored, a check's result aside."""
    return event.dagster_event_type not in _UNSTORED


def passed_check(event: EventLogEntry) -> dg.AssetCheckEvaluation | None:
    """The check that the event says has passed."""
    if event.dagster_event_type != _Kind.ASSET_CHECK_EVALUATION:
        return None
    evaluation = event.get_dagster_event().asset_check_evaluation_data
    return evaluation if evaluation.passed else None


def shortened(event: EventLogEntry) -> EventLogEntry:
    """The event without a second copy of its message, its step's handle and the tags of its log line."""
    if event.dagster_event_type not in _SHORTENED:
        return event
    dagster_event = event.get_dagster_event()
    message = dagster_event.message or event.user_message
    brief = dagster_event._replace(message=None, logging_tags={}, step_handle=None)
    return event._replace(dagster_event=brief, user_message=message)
