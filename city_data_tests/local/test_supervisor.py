"""The supervisor: restarts with growing waits, gives up on essential processes only, and says so in a line each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis

from city_data.errors import CityDataError
from city_data.local import children as processes
from city_data.local import supervisor as supervision
from city_data.local.children import Children
from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis
from city_data.local.supervisor import (
    LONGEST_CHECK_S,
    LONGEST_SILENCE_S,
    LONGEST_START_S,
    LONGEST_WAIT_S,
    MOST_RESTARTS,
    STABLE_S,
    NotHealed,
    Supervisor,
)


@dataclass
class Fake:
    """A process that ends whenever `cause` is set, and its restarts on a clock of the test's."""

    now: float = 0.0
    cause: str | None = None
    restarts: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    fails: Exception | None = None
    has_space: bool = True

    def supervisor(self, essential: bool = False) -> Supervisor:
        made = Supervisor(self.lines.append, clock=lambda: self.now, has_space=lambda: self.has_space)
        made.watch("daemon", lambda: self.cause, self.restart, essential=essential)
        return made

    def restart(self) -> None:
        self.restarts.append(self.now)
        if self.fails:
            raise self.fails

    def run(self, supervisor: Supervisor, seconds: float, asks: bool = False) -> None:
        end = self.now + seconds
        while self.now < end:
            if asks:
                supervisor.ask("daemon")
            supervisor.check()
            self.now += 1


def test_process_that_keeps_ending_is_restarted_with_growing_waits_for_ever() -> None:
    fake = Fake(cause="ended with code 1: Traceback\n  File x\nOSError\n(see daemon.log)")
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


def test_essential_process_is_restarted_for_as_long_as_the_disk_is_full() -> None:
    fake = Fake(cause="ended with code 1: No space left on device", has_space=False)
    supervisor = fake.supervisor(essential=True)
    fake.run(supervisor, 1200)
    assert len(fake.restarts) > 2 * MOST_RESTARTS
    fake.cause, fake.has_space = None, True
    fake.run(supervisor, STABLE_S)
    assert fake.lines[-1] == "daemon was restarted"


def test_process_that_stayed_up_is_restarted_at_once_again() -> None:
    fake = Fake()
    supervisor = fake.supervisor(essential=True)
    for _ in range(2 * MOST_RESTARTS):
        fake.cause = "ended with code 1: x"
        supervisor.check()
        fake.cause = None
        fake.run(supervisor, STABLE_S + 2)
    assert len(fake.restarts) == 2 * MOST_RESTARTS


@pytest.mark.parametrize("error", [CityDataError("did not start"), OSError(28, "No space left on device")])
def test_restart_that_fails_is_tried_again(error: Exception) -> None:
    fake = Fake(cause="ended with code 1: x", fails=error)
    supervisor = fake.supervisor()
    supervisor.check()
    fake.cause, fake.fails = None, None
    fake.run(supervisor, 10)
    assert len(fake.restarts) == 2
    assert fake.lines[-2:] == [f"daemon {error}; restarting in 1 s", "daemon was restarted"]


@dataclass
class Hanging(Fake):
    """A process that runs, and answers unless it `hangs`."""

    hangs: bool = False

    def supervisor(self, essential: bool = False) -> Supervisor:
        made = Supervisor(self.lines.append, clock=lambda: self.now)
        made.watch("daemon", lambda: None, self.restart, answers=lambda: not self.hangs, essential=essential)
        return made


def test_process_that_stops_answering_is_restarted_with_a_line() -> None:
    fake = Hanging()
    supervisor = fake.supervisor()
    fake.run(supervisor, 5 * LONGEST_SILENCE_S, asks=True)
    assert fake.restarts == []
    fake.hangs, hung = True, fake.now
    fake.run(supervisor, LONGEST_SILENCE_S + 2, asks=True)
    assert [moment - hung for moment in fake.restarts] == [LONGEST_SILENCE_S]
    assert fake.lines == ["daemon has not answered for 31 s; restarting", "daemon was restarted"]


def test_process_that_has_never_answered_is_given_the_time_of_a_start() -> None:
    fake = Hanging(hangs=True)
    supervisor = fake.supervisor()
    fake.run(supervisor, LONGEST_START_S, asks=True)
    assert fake.restarts == []
    fake.run(supervisor, 2 + LONGEST_START_S, asks=True)
    assert len(fake.restarts) == 1  # the second start is given as long


def test_starting_process_is_asked_again_soon_so_that_its_first_answer_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server stopped within 5 s of its start hung for 90 s, which a starting one may take, and not for 30 s."""
    monkeypatch.setattr(supervision, "ASK_EVERY_S", 3_600.0)
    monkeypatch.setattr(supervision, "ASK_A_STARTING_ONE_EVERY_S", 0.001)
    asked, answered = iter([False, False, True]), threading.Event()

    def answers() -> bool:
        answer = next(asked)
        if answer:
            answered.set()
        return answer

    with Supervisor(lambda _: None) as supervisor:
        supervisor.watch("webserver", lambda: None, lambda: None, answers=answers)
        assert answered.wait(10)
        supervisor.forget("webserver")


def test_pause_of_the_supervisor_itself_is_nobodys_silence() -> None:
    fake = Hanging()
    supervisor = fake.supervisor()
    fake.run(supervisor, 10, asks=True)
    fake.now += LONGEST_CHECK_S + LONGEST_SILENCE_S
    fake.run(supervisor, LONGEST_SILENCE_S - 1)
    assert fake.restarts == []


def test_pause_during_the_restart_of_another_process_is_nobodys_silence() -> None:
    fake = Hanging()

    def restart() -> None:
        fake.now += LONGEST_SILENCE_S + 1

    supervisor = Supervisor(fake.lines.append, clock=lambda: fake.now)
    supervisor.watch("PostgreSQL", lambda: "ended with code -9:", restart)
    supervisor.watch("daemon", lambda: None, fake.restart, answers=lambda: True)
    supervisor.ask("daemon")
    supervisor.check()
    assert fake.now > LONGEST_SILENCE_S
    assert fake.restarts == []


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silence of a second counts."""
    for name, seconds in {"ASK_EVERY_S": 0.1, "LONGEST_SILENCE_S": 1.0}.items():
        monkeypatch.setattr(supervision, name, seconds)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_and_stopped_servers_come_back_at_their_addresses(tmp_path: Path, number: int) -> None:
    lines: list[str] = []
    postgres, cache = EmbeddedPostgres(tmp_path / "postgres", durable=False), EmbeddedRedis(tmp_path / "redis")
    with Supervisor(lines.append) as supervisor:
        for name, server in (("PostgreSQL", postgres), ("Redis", cache)):
            server.start()
            supervisor.watch(name, server.ended, server.restart, answers=server.answers, is_ready=True)
            assert server._process is not None
            os.kill(server._process.pid, number)
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


# What it starts ends by no means of its own: neither with a pipe's other end, nor with its parent.
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_killed_or_stopped_child_is_restarted_and_what_it_started_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 2.0)
    lines: list[str] = []
    restarted = threading.Event()

    def report(line: str) -> None:
        lines.append(line)
        if "was restarted" in line or "after it was killed" in line:
            restarted.set()

    with Supervisor(report) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start("code", [sys.executable, "-c", _PARENT])
        log = tmp_path / "logs" / "code.log"
        first = _pids(log, 1)[0]
        try:
            os.kill(children._children["code"].process.pid, number)
            assert restarted.wait(30)
            assert not _works(first), lines
        finally:
            with suppress(ProcessLookupError):
                os.kill(first, signal.SIGKILL)
        second = _pids(log, 2)[1]
        assert _works(second)
    deadline = time.monotonic() + 30
    while _works(second):  # killed, and on a busy machine not gone yet
        assert time.monotonic() < deadline


def test_long_log_is_moved_to_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city_data.local.child.LOG_BYTES", 1000)
    with Supervisor(print) as supervisor, Children(tmp_path, dict(os.environ), supervisor) as children:
        children.start("api", [sys.executable, "-c", "print('x' * 2000, flush=True); input()"])
        log, moved = tmp_path / "logs" / "api.log", tmp_path / "logs" / "api.log.1"
        deadline = time.monotonic() + 30
        while not (moved.exists() and len(moved.read_text()) >= 2000 and not log.stat().st_size > 1000):
            assert time.monotonic() < deadline


def test_long_log_of_a_database_is_moved_to_a_second_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("city_data.local.child.LOG_BYTES", 100)
    servers = {
        "postgres": EmbeddedPostgres(tmp_path / "postgres", durable=False),
        "redis": EmbeddedRedis(tmp_path / "redis"),
    }
    for name, server in servers.items():
        server.start()
        log = tmp_path / name / f"{name}.log"
        begun = log.read_text()
        assert len(begun) > 100
        assert server.ended() is None
        server.stop()
        assert log.with_suffix(".log.1").read_text().startswith(begun)
        assert begun not in log.read_text()


def _pids(log: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 60
    while len(lines := log.read_text().split()) < count:
        assert time.monotonic() < deadline
    return [int(line) for line in lines]


def _works(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.returncode == 0 and not done.stdout.startswith("Z")
