"""Backfills that Dagster gave up, from its storage.

Belongs here: which failed, when and why. Does not: notices (notifications.py), metrics (operations/exporter.py), or
backfills whose runs failed: each of those runs is a failure of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus

MOST_BACKFILLS = 50


@dataclass(frozen=True)
class FailedBackfill:
    """`ended` is in Unix seconds, of the end, or of the request where Dagster recorded no end."""

    backfill_id: str
    title: str
    reason: str
    ended: float


def failed_since(instance: dg.DagsterInstance, since: float = 0.0) -> list[FailedBackfill]:
    """The backfills that failed after `since`, oldest first; of more than `MOST_BACKFILLS` the newest."""
    failed = BulkActionsFilter(statuses=[BulkActionStatus.FAILED])
    backfills = [
        FailedBackfill(
            backfill.backfill_id,
            backfill.title or "without a title",
            backfill.error.message if backfill.error else "Dagster recorded no reason",
            backfill.backfill_end_timestamp or backfill.backfill_timestamp,
        )
        for backfill in instance.get_backfills(filters=failed, limit=MOST_BACKFILLS)
    ]
    return sorted((one for one in backfills if one.ended > since), key=lambda one: one.ended)
