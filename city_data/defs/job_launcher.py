"""Dagster's launcher of Kubernetes Jobs, which ends the Job of a run that is given up and retries what has a chance.

Belongs here: what follows from the end of a run's pod. Does not: the Job itself (dagster-k8s, configured by the chart),
or the launcher of one machine (local/run_launcher.py).
"""

from __future__ import annotations

from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun, DagsterRunStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster_k8s import K8sRunLauncher
from dagster_k8s.job import get_job_name_from_run_id


class JobRunLauncher(K8sRunLauncher):
    """For `run_launcher` in dagster.yaml, configured as `K8sRunLauncher`."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """As Dagster's; but a run that was killed for memory is not retried with the same limit."""
        health: CheckRunHealthResult = super().check_run_worker_health(run)
        if health.status != WorkerStatus.FAILED:
            return health
        killed = self._killed_for_memory(run)
        return CheckRunHealthResult(WorkerStatus.FAILED, killed) if killed else health

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """As Dagster's, then end the Job: run monitoring reads this at the moment that it gives a run up, and has no
        other hook there. A Job whose pod waits for a node or an image would start beside the retry's (16535)."""
        info = super().get_run_worker_debug_info(run, include_container_logs)
        if run.status == DagsterRunStatus.STARTING and (killed := self._killed_for_memory(run)):
            info = f"{killed}\n{info or ''}"
        job, namespace = self._job_of(run)
        status = self._api_client.get_job_status(job, namespace)
        if status is not None and status.active:
            self._api_client.delete_job(job, namespace)
        return info

    def _job_of(self, run: DagsterRun) -> tuple[str, str]:
        attempt = self._get_resume_attempt_number(run)
        name = get_job_name_from_run_id(run.run_id, resume_attempt_number=attempt)  # type: ignore[no-untyped-call]
        return str(name), str(self.get_container_context_for_run(run).namespace)

    def _killed_for_memory(self, run: DagsterRun) -> str | None:
        """The reason where the run's container was killed for memory; then the run is not to be retried."""
        limit = self._exceeded_memory(run)
        if limit is None:
            return None
        self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})
        return (
            f"OOMKilled: the run needs more memory than its limit of {limit} (runs.resources.limits.memory). It is not "
            "retried with the same limit"
        )

    def _exceeded_memory(self, run: DagsterRun) -> str | None:
        """The limit of a container that was killed for memory."""
        for pod in self._api_client.get_pods_in_job(*self._job_of(run)):
            limits = {container.name: container.resources.limits or {} for container in pod.spec.containers}
            for container in pod.status.container_statuses or []:
                ended = container.state.terminated if container.state else None
                if ended is not None and ended.reason == "OOMKilled":
                    return str(limits[container.name].get("memory", "none"))
        return None
