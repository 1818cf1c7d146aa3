"""Runs, backfills and readers through what other people's clusters did to Dagster, on the release of test_release.py.

The months and moments are chosen by CLUSTER_TEST_SEED, which the log names.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import httpx
import psutil
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, ScheduleInstigatorData
from dagster._core.storage.tags import BACKFILL_ID_TAG, SCHEDULE_NAME_TAG, WILL_RETRY_TAG

from city_data.datasets import DATASETS
from city_data.sandbox import Sandbox
from city_data.sandbox.faults import Fault
from city_data_tests.api.issuer import Issuer, bearer
from city_data_tests.cluster.reader import ROUTE, Reader, address
from city_data_tests.cluster.release import NAMESPACE, RELEASE, ReachablePostgres, Release, ended, is_ready, until

SEED = int(os.environ.get("CLUSTER_TEST_SEED", "18"))
STARTED, SUCCESS, FAILURE = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
# Run in a run's pod: many that are smaller than the run's process, which the kernel then kills first.
FILL_MEMORY = """
import os, time
for _ in range(100):
    if os.fork() == 0:
        held = b"x" * (1 << 26)
        time.sleep(60)
        os._exit(0)
    time.sleep(0.05)
"""
# Run in the code location's pod: TAGS launches a month with its own settings of the Job; prints the run's id.
LAUNCH = """
import httpx, json, sys
query = '''mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }'''
assets = [{"path": ["madrid", f"weather_{step}"]} for step in ("raw", "monthly", "cache")]
selector = {"repositoryLocationName": "city_data", "repositoryName": "__repository__", "jobName": "__ASSET_JOB"}
tags = [{"key": key, "value": value} for key, value in json.loads(sys.argv[1]).items()]
params = {"selector": {**selector, "assetSelection": assets}, "executionMetadata": {"tags": tags}}
asked = {"query": query, "variables": {"params": params}}
answer = httpx.post("http://city-data-webserver/graphql", json=asked, timeout=60).json()["data"]["launchRun"]
print(answer["run"]["runId"])
"""


@pytest.fixture(scope="session")
def chance(release: Release) -> random.Random:
    release.note(f"CLUSTER_TEST_SEED={SEED}")
    return random.Random(SEED)


@pytest.fixture(autouse=True)
def roles_ready(release: Release, notes: str) -> None:
    """Each test begins with what the one before has taken away."""
    await_roles(release)


@pytest.fixture
def month(chance: random.Random) -> str:
    return f"2026-{chance.randint(1, 9):02d}"


@contextmanager
def slow_sources(sources: Sandbox) -> Iterator[None]:
    """Each answer takes a while, so that a run can be met at work."""
    sources.faults.add(Fault(path=".", delay=20.0))
    try:
        yield
    finally:
        sources.faults.clear()


def runs_of(dagster: dg.DagsterInstance, backfill_id: str) -> list[dg.DagsterRun]:
    return list(dagster.get_runs(dg.RunsFilter(tags={BACKFILL_ID_TAG: backfill_id})))


def run_at_work(dagster: dg.DagsterInstance, backfill_id: str) -> dg.DagsterRun:
    """The backfill's first run, once it is executing."""
    until("a run at work", 240, lambda: any(run.status == STARTED for run in runs_of(dagster, backfill_id)))
    return next(run for run in runs_of(dagster, backfill_id) if run.status == STARTED)


def processes_of(run: dg.DagsterRun) -> list[psutil.Process]:
    """On this machine, which the nodes share."""
    named = [(one, " ".join(one.info["cmdline"] or [])) for one in psutil.process_iter(["cmdline"])]
    return [process for process, line in named if "execute_run" in line and run.run_id in line]


def status(dagster: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = dagster.get_run_by_id(run_id)
    assert run is not None
    return run.status


def failure_of(dagster: dg.DagsterInstance, run_id: str) -> str:
    entries = dagster.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return "".join(str(entry.dagster_event.message) for entry in entries if entry.dagster_event)


def jobs_at_work(release: Release, run_ids: set[str]) -> set[str]:
    names = {f"dagster-run-{run_id}" for run_id in run_ids}
    jobs = release.items("jobs", f"city-data/release={RELEASE}")
    return {job["metadata"]["name"] for job in jobs if job["status"].get("active")} & names


def await_roles(release: Release) -> None:
    for role in ("code", "daemon", "webserver"):
        until(f"{role} ready", 240, lambda role=role: any(is_ready(pod) for pod in release.pods(role)))


def states_of(dagster: dg.DagsterInstance, schedule: str) -> list[InstigatorState]:
    states = dagster.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return [state for state in states if state.name == schedule]


def test_schedule_ticks_and_its_runs_load_the_month_that_closed(release: Release, dagster: dg.DagsterInstance) -> None:
    """The daemon, away since before the last day 1, catches up on it."""
    until("the schedule", 120, lambda: states_of(dagster, "month_closed"))  # the daemon writes it once it has seen it
    release.kubectl("scale", f"deploy/{RELEASE}-daemon", "--replicas=0")  # it holds in memory when it looks next
    until("no daemon", 60, lambda: not release.items("pods", "app.kubernetes.io/component=daemon"))
    (state,) = states_of(dagster, "month_closed")
    since = (datetime.now(UTC) - timedelta(days=32)).timestamp()
    dagster.update_instigator_state(state.with_data(ScheduleInstigatorData("0 2 1 * *", start_timestamp=since)))
    release.kubectl("scale", f"deploy/{RELEASE}-daemon", "--replicas=1")
    of_schedule = dg.RunsFilter(tags={SCHEDULE_NAME_TAG: "month_closed"})
    took = until("runs of the schedule", 240, lambda: len(dagster.get_runs(of_schedule)) == len(DATASETS))
    until("their end", 400, lambda: all(run.is_finished for run in dagster.get_runs(of_schedule)), every=3)
    release.note(
        f"schedule ticked after {took:.0f} s; its runs: {[run.status.value for run in dagster.get_runs(of_schedule)]}"
    )
    assert [run.status for run in dagster.get_runs(of_schedule)] == [SUCCESS] * len(DATASETS)


def test_killed_run_is_run_again(
    release: Release, dagster: dg.DagsterInstance, sources: Sandbox, chance: random.Random, month: str
) -> None:
    with slow_sources(sources):
        number = release.backfill(month, month)
        run = run_at_work(dagster, number)
        time.sleep(chance.uniform(0, 5))
        for process in processes_of(run):
            process.kill()
    result = ended(dagster, number, 400)
    release.note(f"run of {month} killed: {status(dagster, run.run_id).value}, its backfill {result}")
    assert (status(dagster, run.run_id), result) == (FAILURE, "COMPLETED_SUCCESS")


def test_run_killed_for_memory_says_so_and_frees_its_place(
    release: Release, dagster: dg.DagsterInstance, sources: Sandbox, month: str
) -> None:
    with slow_sources(sources):
        number = release.backfill(month, month)
        run = run_at_work(dagster, number)
        release.kubectl("exec", f"job/dagster-run-{run.run_id}", "--", "python", "-c", FILL_MEMORY, check=False)
        took = until("the run's failure", 120, lambda: status(dagster, run.run_id) == FAILURE)
    text = failure_of(dagster, run.run_id)
    release.note(f"run killed for memory failed after {took:.0f} s: {text[:160]}")
    assert "OOMKilled: the run needs more memory than its limit of 1Gi" in text
    assert ended(dagster, number, 120) == "COMPLETED_FAILED"
    assert [one.tags[WILL_RETRY_TAG] for one in runs_of(dagster, number)] == ["false"]
    assert ended(dagster, release.backfill(month, month), 300) == "COMPLETED_SUCCESS"


def test_evicted_run_is_run_again(release: Release, dagster: dg.DagsterInstance, sources: Sandbox, month: str) -> None:
    with slow_sources(sources):
        number = release.backfill(month, month)
        run = run_at_work(dagster, number)
        (pod,) = [one["metadata"]["name"] for one in release.items("pods", f"dagster/run-id={run.run_id}")]
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
        release.kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))
        until("the run's end", 120, lambda: status(dagster, run.run_id) in (FAILURE, dg.DagsterRunStatus.CANCELED))
    result = ended(dagster, number, 400)
    runs = [one.status.value for one in runs_of(dagster, number)]
    release.note(f"run evicted: {failure_of(dagster, run.run_id)[:160]}; runs {runs}, its backfill {result}")
    assert (result, len(runs)) == ("COMPLETED_SUCCESS", 2)


def test_run_that_dies_while_the_code_location_is_away_is_run_again(
    release: Release, dagster: dg.DagsterInstance, sources: Sandbox, month: str
) -> None:
    """The last of its backfill, which is not marked failed for it either."""
    with slow_sources(sources):
        number = release.backfill(month, month)
        run = run_at_work(dagster, number)
        release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=0")
        until("no code location", 60, lambda: not release.pods("code"))
        for process in processes_of(run):
            process.kill()
        time.sleep(40)
        release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=1")
        await_roles(release)
    result = ended(dagster, number, 500)
    runs = [one.status.value for one in runs_of(dagster, number)]
    release.note(f"run died without a code location: runs {runs}, its backfill {result}")
    assert (result, len(runs)) == ("COMPLETED_SUCCESS", 2)


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        ({"image": "nowhere.invalid/none:1", "imagePullPolicy": "IfNotPresent"}, "ErrImagePull"),
        ({"resources": {"requests": {"cpu": "64"}}}, "FailedScheduling"),
    ],
    ids=["image that cannot be pulled", "more than any node has"],
)
def test_job_of_a_run_that_cannot_start_is_gone_before_its_retry(
    container: dict[str, object], reason: str, release: Release, dagster: dg.DagsterInstance, month: str
) -> None:
    tags = {"dagster/partition": month, "dagster-k8s/config": json.dumps({"container_config": container})}
    launched = release.kubectl("exec", f"deploy/{RELEASE}-code", "--", "python", "-c", LAUNCH, json.dumps(tags)).strip()
    most = 0

    def group() -> list[dg.DagsterRun]:
        found = dagster.get_run_group(launched)
        return list(found[1]) if found else []

    def over() -> bool:
        nonlocal most
        runs = group() or [run for run in [dagster.get_run_by_id(launched)] if run]
        most = max(most, len(jobs_at_work(release, {run.run_id for run in runs})))
        return len(runs) == 2 and all(run.is_finished for run in runs)

    until("the end of run and retry", 500, over, every=2)
    left = jobs_at_work(release, {run.run_id for run in group()})
    release.note(f"{reason}: {[run.status.value for run in group()]}, at most {most} Job at a time, {len(left)} left")
    assert reason in failure_of(dagster, launched)
    assert (most, left) == (1, set())


def test_database_away_for_a_minute_costs_no_month(
    release: Release, dagster: dg.DagsterInstance, sources: Sandbox, database: ReachablePostgres, issuer: Issuer
) -> None:
    """Under daemon, runs and readers, who have answers of 503 meanwhile and nothing else."""
    with slow_sources(sources):
        number = release.backfill("2026-03", "2026-04")
        run_at_work(dagster, number)
    with Reader(address(release) + ROUTE, issuer) as reader:
        database.stop(keep=True)
        time.sleep(60)
        database.start()
        url, headers = address(release) + ROUTE, bearer(issuer.token())
        took = until("an answer", 60, lambda: httpx.get(url, headers=headers).status_code == 200)
    other = [lost for lost in reader.lost if lost != "503"]
    result = ended(dagster, number, 600)
    release.note(
        f"database away: read again after {took:.0f} s, {reader.answers} answers, {other[:3]}; backfill {result}"
    )
    assert (other, result) == ([], "COMPLETED_SUCCESS")
