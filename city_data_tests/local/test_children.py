"""Child processes that need another one: they start once that listens, without making the caller wait."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from city_data.local import children as processes
from city_data.local.child import free_port
from city_data.local.children import ChildFailed, Children
from city_data.local.supervisor import NotHealed, Supervisor

_SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    server.accept()
"""


def server(port: int) -> list[str]:
    return [sys.executable, "-c", _SERVER, str(port)]


def test_child_starts_once_the_one_that_it_needs_listens(tmp_path: Path) -> None:
    code, webserver = free_port(), free_port()
    with Supervisor(print) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start_after("code", code, "webserver", server(webserver))
        supervisor.start_awaited()
        assert not (tmp_path / "logs" / "webserver.log").exists()
        children.start("code", server(code))
        children.await_port("webserver", webserver)


def test_wait_for_a_child_that_never_starts_names_the_one_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "START_TIMEOUT_S", 1.0)
    with Supervisor(print) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start("code", [sys.executable, "-c", "input()"])
        children.start_after("code", free_port(), "webserver", server(free_port()))
        with pytest.raises(ChildFailed, match="code did not start within 1 s"):
            children.await_port("webserver", free_port())


def test_nothing_starts_after_the_stop(tmp_path: Path) -> None:
    port, supervisor = free_port(), Supervisor(print)
    with Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start_after("code", port, "webserver", server(free_port()))
    with socket.create_server(("127.0.0.1", port)):
        supervisor.start_awaited()
    assert not (tmp_path / "logs" / "webserver.log").exists()


def test_child_that_cannot_be_started_later_ends_the_platform_with_its_cause(tmp_path: Path) -> None:
    supervisor = Supervisor(print)

    def fail() -> None:
        raise OSError(28, "No space left on device")

    supervisor.when(lambda: True, fail)
    with pytest.raises(NotHealed, match=r"a process cannot be started: .*No space left on device"):
        supervisor.start_awaited()
