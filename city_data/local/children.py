"""The platform's child processes: one log file each, watched by the supervisor, stopped in order.

Belongs here: starting, awaiting, restarting and stopping them. Does not: which processes there are (platform.py).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from city_data.errors import CityDataError
from city_data.local.child import ended, entered, log_end
from city_data.local.health import is_stopped
from city_data.local.ports import is_free
from city_data.local.supervisor import Supervisor

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
# In the environment of every child and of the runs that it launches, so that a later start finds what was left over.
_MARK = "CHILD_OF_HOME"


class ChildFailed(CityDataError):
    """A child process did not start, or does not end; of a start the text ends with the last lines of its log."""


@dataclass
class _Child:
    command: list[str]
    extra: Mapping[str, str]
    process: subprocess.Popen[bytes]


class Children:
    """Child processes that the kernel ends with this process, however it ends, and the supervisor restarts."""

    def __init__(self, home: Path, variables: Mapping[str, str], supervisor: Supervisor) -> None:
        self._home, self._logs = home, home / "logs"
        self._variables, self._supervisor = variables, supervisor
        self._children: dict[str, _Child] = {}
        self._blockers: dict[str, str] = {}
        self._lock, self._stopping = threading.Lock(), False
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stopping = True
        for name in self._children:
            self._supervisor.forget(name)
        processes = [child.process for child in self._children.values()]
        for process in processes:
            signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            signal_group(process, signal.SIGKILL)
            process.wait()

    def start(
        self,
        name: str,
        command: list[str],
        extra: Mapping[str, str] | None = None,
        *,
        essential: bool = False,
        answers: Callable[[], bool] | None = None,
        before_restart: Callable[[], object] | None = None,
    ) -> None:
        """Start a child, and have it restarted whenever it ends, is stopped, or does not answer for long.

        `before_restart` raises CityDataError.
        """

        def restart() -> None:
            process = self._children[name].process
            signal_group(process, signal.SIGKILL)  # what it has started goes with it
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired as error:  # the others are watched meanwhile
                raise ChildFailed(f"does not end {STOP_TIMEOUT_S:.0f} s after it was killed") from error
            if before_restart:
                before_restart()
            self._children[name].process = self._spawn(name, command, extra or {})

        self._children[name] = _Child(command, extra or {}, self._spawn(name, command, extra or {}))

        def is_well() -> bool:
            return not is_stopped(self._children[name].process.pid) and (answers is None or answers())

        self._supervisor.watch(name, lambda: self._ended(name), restart, answers=is_well, essential=essential)

    def start_after(self, blocker: str, port: int, name: str, command: list[str], **options: Any) -> None:
        """Start a child, as `start` does, once another one listens. Does not wait for that."""

        def start() -> None:
            with self._lock:
                if not self._stopping:
                    self.start(name, command, **options)

        self._blockers[name] = blocker
        self._supervisor.when(lambda: not is_free(port), start)

    def await_port(self, name: str, port: int) -> None:
        """Wait until a child listens. Raises ChildFailed where that takes too long."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while is_free(port):
            self._supervisor.refuse_failed()
            if time.monotonic() > deadline:
                late = name if name in self._children else self._blockers[name]
                raise ChildFailed(f"{late} did not start within {START_TIMEOUT_S:.0f} s: {log_end(self._log(late))}")
            time.sleep(0.1)

    def _spawn(self, name: str, command: list[str], extra: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """In a session of its own, so that Ctrl-C reaches this process only, which stops its children in order."""
        with self._log(name).open("ab") as log:
            return subprocess.Popen(  # noqa: S603  our own command lines
                # Dagster's code server ignored SIGTERM after its parent was killed. None of them has unsaved data.
                entered(command, signal.SIGKILL),
                env={**self._variables, **extra, _MARK: str(self._home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _ended(self, name: str) -> str | None:
        return ended(self._children[name].process, self._log(name))

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def kill_leftovers(home: Path) -> None:
    """Kill what an earlier platform of this home left: a run's process survives a code server that is killed.

    Only with the home's lock held. Recognised by its environment, since its command line names no home.
    """
    left = [process for process in psutil.process_iter() if _is_left_over(process, home)]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, STOP_TIMEOUT_S)


def _is_left_over(process: psutil.Process, home: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(_MARK) == str(home)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it has ended by itself
