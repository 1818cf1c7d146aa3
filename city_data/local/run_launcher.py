"""Dagster's launcher on one machine, which knows of each started run whether its process is alive.

Belongs here: the answer to Dagster's run monitoring. Does not: launching, which is Dagster's own, or the recovery at a
start (operations/recovery.py). Dagster's launcher has no answer, so that the run of a killed `city-data backfill`
stayed STARTED, and kept its provider's slot, until the next start of the platform.
"""

from __future__ import annotations

from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun

from city_data.operations.recovery import PROCESS_TAG, is_alive, is_process_alive, reported_worker


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's monitoring fails a run without a process at its next look."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """By the process that the run's tag names, else by the one that its code server has reported."""
        tag = run.tags.get(PROCESS_TAG)
        if is_alive(tag) if tag is not None else self._is_worker_alive(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "its process ended without reporting a result")

    def _is_worker_alive(self, run: DagsterRun) -> bool:
        worker = reported_worker(self._instance, run.run_id)
        return worker is None or is_process_alive(*worker)
