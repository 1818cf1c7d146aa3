"""Backfills that failed, and those that Dagster calls failed though every run succeeded.

Belongs here: which failed, when and why. Does not: notices (notifications.py), metrics (operations/exporter.py), or
backfills whose runs failed: each of those runs is a failure of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill

MOST_BACKFILLS = 50
_FAILED = (BulkActionStatus.COMPLETED_FAILED, BulkActionStatus.FAILED)


@dataclass(frozen=True)
class FailedBackfill:
    """`ended` is in Unix seconds, of the end, or of the request where Dagster recorded no end."""

    backfill_id: str
    title: str
    reason: str
    ended: float


def failed_since(instance: dg.DagsterInstance, since: float = 0.0) -> list[FailedBackfill]:
    """The backfills that failed after `since`, oldest first; of more than `MOST_BACKFILLS` the newest."""
    backfills = [
        FailedBackfill(
            backfill.backfill_id,
            backfill.title or "without a title",
            backfill.error.message if backfill.error else "Dagster recorded no reason",
            _end(backfill),
        )
        for backfill in _newest(instance, BulkActionStatus.FAILED)
    ]
    return sorted((one for one in backfills if one.ended > since), key=lambda one: one.ended)


def last_failure(instance: dg.DagsterInstance) -> float:
    """When a backfill last failed, of itself or by a run, in Unix seconds; 0 for never."""
    return max((_end(backfill) for backfill in _newest(instance, *_FAILED)), default=0.0)


def _newest(instance: dg.DagsterInstance, *statuses: BulkActionStatus) -> Sequence[PartitionBackfill]:
    return instance.get_backfills(filters=BulkActionsFilter(statuses=list(statuses)), limit=MOST_BACKFILLS)


def _end(backfill: PartitionBackfill) -> float:
    return float(backfill.backfill_end_timestamp or backfill.backfill_timestamp)


def is_called_failed(backfill: PartitionBackfill) -> bool:
    """Whether Dagster ended it as failed, though it had requested all its partitions."""
    data = backfill.asset_backfill_data
    return backfill.status in _FAILED and data is not None and (data.target_subset - data.requested_subset).is_empty


def ended_as_its_runs(backfill: PartitionBackfill, runs: Iterable[dg.DagsterRun]) -> PartitionBackfill:
    """The backfill as a success where every one of its runs, or a retry of it, succeeded; else unchanged.

    Dagster counts a partition without a materialization as failed: a month that its source does not have, whose run
    succeeded (dagster 19635). And it fails a backfill whose code location is away as its last run ends (29467).
    """
    succeeded: dict[str, bool] = {}
    for run in runs:
        first = run.root_run_id or run.run_id
        succeeded[first] = succeeded.get(first, False) or run.status == dg.DagsterRunStatus.SUCCESS
    if not succeeded or not all(succeeded.values()):
        return backfill
    return backfill._replace(status=BulkActionStatus.COMPLETED_SUCCESS, error=None)
