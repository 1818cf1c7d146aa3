"""The supervisor: restarts with growing waits, gives up on essential processes only, and says so in a line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis

from city_data.errors import CityDataError
from city_data.local.children import Children
from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis
from city_data.local.supervisor import LONGEST_WAIT_S, MOST_RESTARTS, STABLE_S, NotHealed, Supervisor


@dataclass
class Fake:
    """A process that ends whenever `cause` is set, and its restarts on a clock of the test's."""

    now: float = 0.0
    cause: str | None = None
    restarts: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    fails: bool = False

    def supervisor(self, essential: bool = False) -> Supervisor:
        made = Supervisor(self.lines.append, clock=lambda: self.now)
        made.watch("daemon", lambda: self.cause, self.restart, essential=essential)
        return made

    def restart(self) -> None:
        self.restarts.append(self.now)
        if self.fails:
            raise CityDataError("did not start: no port")

    def run(self, supervisor: Supervisor, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            supervisor.check()
            self.now += 1


def test_process_that_keeps_ending_is_restarted_with_growing_waits_for_ever() -> None:
    fake = Fake(cause="ended with code 1:\nOSError\n(see daemon.log)")
    fake.run(fake.supervisor(), 300)
    waits = [round(later - earlier) for earlier, later in zip(fake.restarts, fake.restarts[1:], strict=False)]
    assert waits[:4] == sorted(waits[:4])
    assert max(waits) <= LONGEST_WAIT_S + 1
    assert len(fake.restarts) > MOST_RESTARTS
    assert fake.lines[0] == "daemon ended with code 1: OSError (see daemon.log); restarting"


def test_essential_process_that_does_not_stay_up_ends_the_platform_with_its_cause() -> None:
    fake = Fake(cause="ended with code 1: no space left")
    with pytest.raises(NotHealed, match="daemon ended with code 1: no space left; it did not stay up"):
        fake.run(fake.supervisor(essential=True), 300)
    assert len(fake.restarts) == MOST_RESTARTS


def test_process_that_stayed_up_is_restarted_at_once_again() -> None:
    fake = Fake()
    supervisor = fake.supervisor(essential=True)
    for _ in range(2 * MOST_RESTARTS):
        fake.cause = "ended with code 1: x"
        supervisor.check()
        fake.cause = None
        fake.run(supervisor, STABLE_S + 2)
    assert len(fake.restarts) == 2 * MOST_RESTARTS


def test_restart_that_fails_is_tried_again() -> None:
    fake = Fake(cause="ended with code 1: x", fails=True)
    supervisor = fake.supervisor()
    supervisor.check()
    fake.cause, fake.fails = None, False
    fake.run(supervisor, 10)
    assert len(fake.restarts) == 2
    assert fake.lines[-2:] == ["daemon did not start: no port; restarting in 1 s", "daemon was restarted"]


def test_killed_servers_come_back_at_their_addresses(tmp_path: Path) -> None:
    lines: list[str] = []
    postgres, cache = EmbeddedPostgres(tmp_path / "postgres", durable=False), EmbeddedRedis(tmp_path / "redis")
    with Supervisor(lines.append) as supervisor:
        for name, server in (("PostgreSQL", postgres), ("Redis", cache)):
            server.start()
            supervisor.watch(name, server.ended, server.start)
            assert server._process is not None
            os.kill(server._process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while sum(line.endswith("was restarted") for line in lines) < 2:
            assert time.monotonic() < deadline, lines
        psycopg.connect(postgres.url()).close()
        with redis.Redis.from_url(cache.url) as client:
            assert client.ping()
        for name in ("PostgreSQL", "Redis"):
            supervisor.forget(name)
    postgres.stop(keep=False)
    cache.stop()


_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
sys.stdin.read() or child.wait()
"""


def test_child_that_is_killed_is_restarted_and_what_it_started_is_not_left(tmp_path: Path) -> None:
    lines: list[str] = []
    with Supervisor(lines.append) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start("code", [sys.executable, "-c", _PARENT])
        log = tmp_path / "logs" / "code.log"
        first = _pids(log, 1)[0]
        os.kill(children._children["code"].process.pid, signal.SIGKILL)
        second = _pids(log, 2)[1]
        assert not _works(first)
        assert _works(second)
    assert not _works(second)


def test_long_log_is_moved_to_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city_data.local.child.LOG_BYTES", 1000)
    with Supervisor(print) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start("api", [sys.executable, "-c", "print('x' * 2000, flush=True); input()"])
        log, moved = tmp_path / "logs" / "api.log", tmp_path / "logs" / "api.log.1"
        deadline = time.monotonic() + 30
        while not (moved.exists() and len(moved.read_text()) >= 2000 and not log.stat().st_size > 1000):
            assert time.monotonic() < deadline


def _pids(log: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while len(lines := log.read_text().split()) < count:
        assert time.monotonic() < deadline
    return [int(line) for line in lines]


def _works(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stdout.startswith("Z")
