"""The end of a run whose pod has died or never starts: Dagster's own monitoring, on a stand-in for the API server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration

from city_data.defs import job_launcher
from city_data_tests.helm.cluster import Cluster, serving

STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def launching(cluster: Cluster, instance: dg.DagsterInstance, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose launcher and retries are the chart's."""
    with serving(cluster, tmp_path) as kubeconfig:
        config = {
            "service_account_name": "run",
            "instance_config_map": "dagster",
            "dagster_home": "/opt/dagster/dagster_home",
            "job_namespace": "weather",
            "load_incluster_config": False,
            "kubeconfig_file": str(kubeconfig),
        }
        settings = yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_text())
        settings["run_launcher"] = {"module": job_launcher.__name__, "class": "JobRunLauncher", "config": config}
        settings["run_monitoring"] = {"enabled": True, "start_timeout_seconds": 600}
        settings["run_retries"] = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
        (tmp_path / "launching").mkdir()
        (tmp_path / "launching" / "dagster.yaml").write_text(yaml.safe_dump(settings))
        with dg.DagsterInstance.from_config(str(tmp_path / "launching")) as opened:
            yield opened


def run_with_pod(
    instance: dg.DagsterInstance, cluster: Cluster, status: dg.DagsterRunStatus, terminated: str | None
) -> str:
    """A run in `status`, its Job and its pod: `terminated` for this reason, else pending."""
    pointer = ModuleCodePointer("city_data.definitions", "repository")
    origin = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=4000, location_name="city_data")
    run = create_run_for_test(
        instance,
        status=status,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(origin, "__repository__"), "__ASSET_JOB"),
        job_code_origin=JobPythonOrigin("__ASSET_JOB", RepositoryPythonOrigin("python", pointer)),
    )
    if status == STARTING:
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_STARTING", "__ASSET_JOB"), run.run_id)
    name = f"dagster-run-{run.run_id}"
    ended = {"failed": 1} if terminated else {"active": 1}
    cluster.objects["Job", name] = {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {"name": name},
        "status": ended,
    }
    cluster.objects["Pod", name] = pod(name, terminated)
    return str(run.run_id)


def pod(name: str, terminated: str | None) -> dict[str, Any]:
    state = (
        {"terminated": {"reason": terminated, "exitCode": 137}}
        if terminated
        else {"waiting": {"reason": "ErrImagePull"}}
    )
    container = {"name": "dagster", "image": "i", "resources": {"limits": {"memory": "2Gi"}}}
    status = {"name": "dagster", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": {"job-name": name}},
        "spec": {"containers": [container]},
        "status": {"phase": "Failed" if terminated else "Pending", "containerStatuses": [status]},
    }


def monitor(instance: dg.DagsterInstance) -> None:
    """What the daemon does every 10 s."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        found = execute_run_monitoring_iteration(workspace, logging.getLogger("monitoring"))
        assert [error for error in found if error] == []


def ending(instance: dg.DagsterInstance, run_id: str) -> tuple[str, str | None, str]:
    """Status, whether Dagster retries the run, and the text of the failure."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    failures = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return (
        run.status.value,
        run.tags.get(WILL_RETRY_TAG),
        "".join(str(entry.dagster_event.message) for entry in failures),
    )


def test_run_killed_for_memory_names_its_limit_and_is_not_retried(
    launching: dg.DagsterInstance, cluster: Cluster
) -> None:
    run_id = run_with_pod(launching, cluster, STARTED, "OOMKilled")
    monitor(launching)
    status, retried, text = ending(launching, run_id)
    assert (status, retried) == ("FAILURE", "false")
    assert "OOMKilled: the run needs more memory than its limit of 2Gi" in text
    assert ("Job", f"dagster-run-{run_id}") in cluster.objects  # ended by itself; its log may be read


def test_run_killed_for_memory_before_its_first_step_says_so_too(
    launching: dg.DagsterInstance, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_with_pod(launching, cluster, STARTING, "OOMKilled")
    monkeypatch.setattr(type(launching), "run_monitoring_start_timeout_seconds", 0.001)
    monitor(launching)
    status, retried, text = ending(launching, run_id)
    assert (status, retried) == ("FAILURE", "false")
    assert "OOMKilled: the run needs more memory than its limit of 2Gi" in text


def test_run_whose_process_was_killed_is_retried(launching: dg.DagsterInstance, cluster: Cluster) -> None:
    run_id = run_with_pod(launching, cluster, STARTED, "Error")
    monitor(launching)
    assert ending(launching, run_id)[:2] == ("FAILURE", "true")


def test_job_of_a_run_that_never_started_is_deleted_before_its_retry(
    launching: dg.DagsterInstance, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = run_with_pod(launching, cluster, STARTING, None)
    monitor(launching)
    assert cluster.objects
    monkeypatch.setattr(type(launching), "run_monitoring_start_timeout_seconds", 0.001)
    monitor(launching)
    status, retried, text = ending(launching, run_id)
    assert (status, retried, cluster.objects) == ("FAILURE", "true", {})
    assert "ErrImagePull" in text
