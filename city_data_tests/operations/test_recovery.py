"""Runs whose process was killed: failed and freed, while those of living processes go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.operations import recovery
from city_data_tests.world import World, queue_run


@pytest.fixture
def other_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    process.communicate()


def tag_of(process: subprocess.Popen[bytes], host: str) -> str:
    return f"{host}/{process.pid}/{psutil.Process(process.pid).create_time():.2f}"


def started(world: World, tag: str | None, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> str:
    tags = {recovery.PROCESS_TAG: tag} if tag else {}
    return world.instance.create_run_for_job(defs().resolve_job_def(MONTHS_JOB), status=status, tags=tags).run_id


def status(world: World, run_id: str) -> str:
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def test_runs_without_a_living_process_are_failed(world: World, other_process: subprocess.Popen[bytes]) -> None:
    host = recovery.process_tag().partition("/")[0]
    launched = [
        started(world, None, state)
        for state in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED)
    ]
    canceling = started(world, None, dg.DagsterRunStatus.CANCELING)
    queued = queue_run(world.instance, MONTHS_JOB).run_id
    own, other = started(world, recovery.process_tag()), started(world, tag_of(other_process, host))
    reused = started(world, f"{host}/{other_process.pid}/1.00")
    elsewhere = started(world, tag_of(other_process, "another-container"))
    assert sorted(recovery.fail_dead_runs(world.instance)) == sorted([*launched, canceling, reused, elsewhere])
    assert {status(world, run) for run in [*launched, reused, elsewhere]} == {"FAILURE"}
    assert status(world, canceling) == "CANCELED"
    assert (status(world, queued), status(world, own), status(world, other)) == ("QUEUED", "STARTED", "STARTED")
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    assert recovery.fail_dead_runs(world.instance) == [other]


def test_launch_that_ended_with_its_daemon_is_failed_before_another_daemon_starts(world: World) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    starting = dg.DagsterRunStatus.STARTING
    unreported, dead, alive = (started(world, None, starting) for _ in range(3))
    for run_id, worker in ((dead, ended.pid), (alive, os.getpid())):
        run = world.instance.get_run_by_id(run_id)
        world.instance.report_engine_event(f"Started process for run (pid: {worker}).", run)
    others = [started(world, None), started(world, recovery.process_tag(), starting)]
    assert sorted(recovery.fail_lost_launches(world.instance)) == sorted([unreported, dead])
    assert {status(world, run) for run in (unreported, dead)} == {"FAILURE"}
    assert [status(world, run) for run in (alive, *others)] == ["STARTING", "STARTED", "STARTING"]


def test_pool_slot_of_a_dead_run_is_freed(world: World) -> None:
    storage = world.instance.event_log_storage
    storage.set_concurrency_slots("aemet", 1)
    run_id = started(world, None)
    assert storage.claim_concurrency_slot("aemet", run_id, "madrid__weather_raw").is_claimed
    recovery.fail_dead_runs(world.instance)
    assert storage.get_concurrency_info("aemet").active_slot_count == 0


def test_backfills_runs_carry_the_tag_of_their_process(world: World) -> None:
    (done,) = world.load("weather", "2026-09")
    run = world.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.tags[recovery.PROCESS_TAG] == recovery.process_tag()
