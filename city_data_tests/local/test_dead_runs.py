"""A run's process that is killed, on a whole platform of one machine: its provider is free for the next run at once."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import dagster as dg
import httpx
import psutil
import pytest
import yaml

from city_data.local import platform
from city_data.local.embedded import free_port
from city_data.local.ports import Ports
from city_data.operations.instance import deployed_instance
from city_data_tests.test_cities import TOWN

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } } }
}"""
FAULTS = "/_faults"
MONTHS = ("2026-08", "2026-09")


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Dagster's webserver, on a platform whose runs call the sandbox."""
    folder = tmp_path_factory.mktemp("platform")
    cities = folder / "cities.yaml"
    cities.write_text(yaml.safe_dump({"cities": [TOWN]}))
    ports = Ports(api=free_port(), ui=free_port())
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("CITY_DATA_CITIES", str(cities))
        patch.delenv("CITY_DATA_DATABASE_URL", raising=False)
        own = stack.enter_context(platform.owned(folder / "home", "demo", print))
        for name, value in own.variables.items():
            patch.setenv(name, value)
        platform.prepare_dagster(print)
        children = stack.enter_context(platform.services(own, ports))
        children.await_port("webserver", ports.ui)
        yield f"http://127.0.0.1:{ports.ui}"


def order(fault: dict[str, object] | None) -> None:
    """Let the sandbox answer wrongly from now on, or rightly again."""
    if fault:
        httpx.post(faults(), json=fault).raise_for_status()
    else:
        httpx.delete(faults()).raise_for_status()


def faults() -> str:
    return str(re.findall(r"http://127\.0\.0\.1:\d+", os.environ["CITY_DATA_ROUTES"])[0]) + FAULTS


def carried_out() -> int:
    return int(httpx.get(faults()).json()["carried_out"])


def launch(webserver: str, month: str) -> str:
    steps = [{"path": ["town", f"weather_{step}"]} for step in ("raw", "monthly", "cache")]
    selector = {"repositoryLocationName": "city_data", "repositoryName": "__repository__", "jobName": "__ASSET_JOB"}
    # Without a retry, which the next test's run would wait for.
    tags = [{"key": "dagster/partition", "value": month}, {"key": "dagster/max_retries", "value": "0"}]
    params = {"selector": {**selector, "assetSelection": steps}, "executionMetadata": {"tags": tags}}
    answer = httpx.post(f"{webserver}/graphql", json={"query": LAUNCH, "variables": {"params": params}}, timeout=30)
    return str(answer.json()["data"]["launchRun"]["run"]["runId"])


def await_true(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


def status(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def worker(instance: dg.DagsterInstance, run_id: str) -> int | None:
    """The process that executes the run's steps, once it does."""
    messages = [entry.message for entry in instance.all_logs(run_id)]
    found = [re.search(r"\(pid: (\d+)\)", message) for message in messages if "Executing steps" in message]
    return int(found[0][1]) if found and found[0] else None


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", ["worker killed", "run canceled", "code server killed"])
def test_next_run_of_the_provider_starts_within_30_s_of_the_end_of_a_run(webserver: str, fault: str) -> None:
    before = carried_out()
    order({"path": "/v1/archive", "delay": 600})
    with deployed_instance() as instance:
        first = launch(webserver, MONTHS[0])
        await_true(lambda: worker(instance, first), 90)
        await_true(lambda: carried_out() > before, 30)
        second = launch(webserver, MONTHS[1])
        process = worker(instance, first)
        assert process is not None
        await_true(lambda: status(instance, second) == "QUEUED", 30)
        order(None)
        ended = time.monotonic()
        if fault == "worker killed":
            os.kill(process, signal.SIGKILL)
        elif fault == "code server killed":
            os.killpg(os.getpgid(process), signal.SIGKILL)
        else:
            instance.run_coordinator.cancel_run(first)
        await_true(lambda: status(instance, first) in ("FAILURE", "CANCELED"), 30)
        await_true(lambda: status(instance, second) not in ("QUEUED", "NOT_STARTED"), 30 - (time.monotonic() - ended))
        await_true(lambda: status(instance, second) == "SUCCESS", 120)
    assert not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE
