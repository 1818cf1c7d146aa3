"""Backfills of many months in this process, one run after another.

Belongs here: requesting the runs and reporting their progress. Does not: the work of a month's run, or backfills that
a running Dagster launches (cluster_backfill.py).
A run through queue and daemon takes 6 s, of which the run itself takes 0.3 s. One long-lived process saves the rest;
its runs are ordinary Dagster runs, recorded in the instance and shown in the UI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.utils import make_new_run_id

from city_data.defs.keys import STEPS, asset_key, run_tags
from city_data.interruption import Stop
from city_data.operations.recovery import PROCESS_TAG, process_tag
from city_data.pipeline.feeds import Feed
from city_data.window import Month, as_of, rolling_window

Task = tuple[Feed, Month]

SIGNAL_POLL_S = 0.2
# What does not wait, such as a download, may end by itself within this time.
STOP_WAIT_S = 20.0
# The progress bar replaces the console log; the instance still records every event.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Done:
    """One month's result. `rows` is 0 if the source does not have the month; `error` is set if the run failed."""

    feed: Feed
    month: Month
    rows: int
    run_id: str
    error: str | None


def newest_first(todo: Sequence[Task]) -> list[Task]:
    """The months that people ask for first."""
    return sorted(todo, key=lambda task: task[1], reverse=True)


def tasks(feeds: Sequence[Feed], months: Sequence[Month]) -> list[Task]:
    """The months that each feed reaches, month by month, so that an interrupted backfill leaves months complete for all
    feeds."""
    open_month = rolling_window(as_of()).open
    return [(feed, month) for month in months for feed in feeds if month <= open_month + feed.dataset.months_ahead]


def materialize(
    month_job: Callable[[Feed], dg.JobDefinition],
    instance: dg.DagsterInstance,
    todo: Iterable[Task],
    steps: Sequence[str] = STEPS,
    stop: Stop | None = None,
) -> Iterator[Done]:
    """Run each task in this process and yield its result. A failed month does not stop the others.

    A stop ends the iteration after the running month, or in its next wait: then the month's run is canceled and not
    yielded. Runs have a thread of their own, since Dagster takes over the signals of the main thread.
    """
    jobs: dict[str, dg.JobDefinition] = {}
    process, stop = process_tag(), stop or Stop()
    with ThreadPool(1) as pool:
        for feed, month in todo:
            if stop.number is not None:
                return
            if feed.name not in jobs:
                jobs[feed.name] = month_job(feed)
            options: dict[str, Any] = {
                "run_id": make_new_run_id(),
                "partition_key": str(month),
                "asset_selection": [asset_key(feed, step) for step in steps],
                "instance": instance,
                "raise_on_error": False,
                "run_config": _QUIET,
                "tags": {**run_tags([feed]), PROCESS_TAG: process},
            }
            result = _await(
                pool.apply_async(jobs[feed.name].execute_in_process, kwds=options), instance, options["run_id"], stop
            )
            if result is None or (stop.number is not None and not result.success):
                return
            yield Done(feed, month, _rows(result, feed), result.run_id, None if result.success else _why(result))


def _await(
    pending: AsyncResult[dg.ExecuteInProcessResult], instance: dg.DagsterInstance, run_id: str, stop: Stop
) -> dg.ExecuteInProcessResult | None:
    """The run's result; None where it did not come to a safe point within `STOP_WAIT_S` of a stop."""
    while stop.number is None:
        pending.wait(SIGNAL_POLL_S)
        if pending.ready():
            return pending.get()
    # Before the wait ends: Dagster calls an interrupted run failed, unless it was to be canceled.
    if (run := instance.get_run_by_id(run_id)) is not None and not run.is_finished:
        instance.report_run_canceling(run)
    stop.end_waits()
    pending.wait(STOP_WAIT_S)
    result = pending.get() if pending.ready() else None
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status == dg.DagsterRunStatus.CANCELING:
        if result is not None and result.success:  # it had ended before it was to be canceled
            instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_SUCCESS.value, run.job_name), run_id)
        else:
            instance.report_run_canceled(run)
    return result


def _rows(result: dg.ExecuteInProcessResult, feed: Feed) -> int:
    for event in result.get_asset_materialization_events():
        if event.asset_key == asset_key(feed, "monthly"):
            count = event.materialization.metadata.get("dagster/partition_row_count")
            return int(str(count.value)) if count is not None else 0
    return 0


def _why(result: dg.ExecuteInProcessResult) -> str:
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return data.user_failure_data.description
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause  # Dagster's own wrapper names only the op
            return (error.message if error else event.message or "failed").strip()
    return "the run failed before its first step"
