"""A failed run is retried once its code location is loaded: Dagster's own daemon, and a server that comes and goes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import grpc
import pytest
import yaml
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiServicer, add_DagsterApiServicer_to_server

from city_data.defs import code_location, storage
from city_data.local.child import free_port


class Server(DagsterApiServicer):  # type: ignore[misc]
    """What `dagster code-server` is to a daemon; `dead` is the process that it starts."""

    dead = False

    def server_id(self, request: object, context: grpc.ServicerContext) -> object:
        if self.dead:
            raise ConnectionError("the process that serves the code has ended")
        return dagster_api_pb2.GetServerIdReply(server_id="one")

    GetServerId = server_id


@contextmanager
def serving(port: int) -> Iterator[Server]:
    server, answering = grpc.server(ThreadPoolExecutor(2)), Server()
    add_DagsterApiServicer_to_server(answering, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield answering
    finally:
        server.stop(0).wait()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def retrying(instance: dg.DagsterInstance, port: int, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with the chart's settings of storage and retries."""
    settings = yaml.safe_load((tmp_path / "dagster" / "dagster.yaml").read_text())
    settings["storage"]["custom"]["config"]["code_location"] = f"127.0.0.1:{port}"
    settings["run_retries"] = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    (tmp_path / "retrying").mkdir()
    (tmp_path / "retrying" / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(tmp_path / "retrying")) as opened:
        ends = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_SUCCESS)
        opened.daemon_cursor_storage.set_cursor_values({f"EVENT_LOG_CONSUMER_CURSOR-{end.value}": "0" for end in ends})
        yield opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Its last entry is the time of the watch."""
    times = [0.0]
    monkeypatch.setattr(code_location.time, "monotonic", lambda: times[-1])
    return times


def look_for_retries(instance: dg.DagsterInstance) -> None:
    """The daemon's own look, every 5 s."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        list(EventLogConsumerDaemon().run_iteration(workspace))


def failed_run(instance: dg.DagsterInstance) -> str:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run, "its pod has ended")
    return str(run.run_id)


def was_looked_at(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether the daemon has tried to retry it: this run has no job that could be."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    return any("unable to retry the run" in entry.message for entry in entries)


def test_failed_run_is_retried_once_its_code_location_has_been_back_for_a_while(
    retrying: dg.DagsterInstance, port: int, clock: list[float]
) -> None:
    run_id = failed_run(retrying)
    look_for_retries(retrying)
    assert not was_looked_at(retrying, run_id)
    with serving(port):
        look_for_retries(retrying)
        assert not was_looked_at(retrying, run_id)
        clock.append(code_location.RELOADED_AFTER_S)
        look_for_retries(retrying)
    assert was_looked_at(retrying, run_id)


def test_failed_run_waits_while_the_code_servers_own_process_is_dead(
    retrying: dg.DagsterInstance, port: int, clock: list[float]
) -> None:
    with serving(port) as server:
        run_id, server.dead = failed_run(retrying), True
        look_for_retries(retrying)
        assert not was_looked_at(retrying, run_id)
        server.dead = False
        clock.append(code_location.RELOADED_AFTER_S)
        look_for_retries(retrying)
    assert was_looked_at(retrying, run_id)


def test_code_location_that_never_returns_keeps_no_later_failure_waiting(
    retrying: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = failed_run(retrying)
    monkeypatch.setattr(storage, "LONGEST_WAIT_S", -1)
    look_for_retries(retrying)
    assert was_looked_at(retrying, run_id)
