"""Dagster's monitoring on one machine: a started run whose process has ended is failed, others go on."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import yaml
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.local.dagster_config import DAGSTER_CONFIG
from city_data.local.embedded import EmbeddedPostgres
from city_data.operations.recovery import PROCESS_TAG, is_process_alive, process_tag


@pytest.fixture
def monitored(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance with the configuration of one machine."""
    name = f"monitored_{tmp_path.name[-30:]}"
    postgres.create_database(name)
    monkeypatch.setenv("CITY_DATA_DAGSTER_URL", postgres.url(name))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(DAGSTER_CONFIG))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def started(instance: dg.DagsterInstance, tag: str | None, worker: int | None = None) -> str:
    tags = {PROCESS_TAG: tag} if tag else {}
    job, state = defs().resolve_job_def(MONTHS_JOB), dg.DagsterRunStatus.STARTED
    run = instance.create_run_for_job(job, status=state, tags=tags)
    if worker is not None:
        instance.report_engine_event(f"Started process for run (pid: {worker}).", run)
    return run.run_id


def monitor(instance: dg.DagsterInstance, run_id: str) -> str:
    """The run's status after one look of the monitoring."""
    record = instance.get_run_record_by_id(run_id)
    assert record is not None
    workspace: Any = None  # only a resumed run has a use for it
    monitor_started_run(instance, workspace, record, logging.getLogger(__name__))
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_run_whose_process_has_ended_is_failed_at_the_next_look(monitored: dg.DagsterInstance) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host = process_tag().partition("/")[0]
    tag = f"{host}/{process.pid}/{psutil.Process(process.pid).create_time():.2f}"
    runs = [started(monitored, tag), started(monitored, None, process.pid)]
    assert [monitor(monitored, run) for run in runs] == ["STARTED", "STARTED"]
    process.kill()
    process.communicate()
    assert [monitor(monitored, run) for run in runs] == ["FAILURE", "FAILURE"]


def test_run_of_a_living_process_and_one_that_has_not_reported_any_go_on(monitored: dg.DagsterInstance) -> None:
    for tag, worker in ((process_tag(), None), (None, os.getpid()), (None, None)):
        assert monitor(monitored, started(monitored, tag, worker)) == "STARTED"


def test_later_process_with_the_id_of_an_ended_one_is_not_taken_for_it() -> None:
    begun = psutil.Process().create_time()
    assert is_process_alive(os.getpid(), begun + 1)
    assert not is_process_alive(os.getpid(), begun - 1)
