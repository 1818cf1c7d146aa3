"""Child processes that are servers: their port, their end with this process, their readiness and their last log lines.

Belongs here: the parts that every server's start and stop share. Does not: any server.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from city_data.errors import CityDataError
from city_data.local import entry
from city_data.local.entry import NO_USER

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
LOG_BYTES = 16 * 1024 * 1024


class EmbeddedError(CityDataError):
    """A server did not start; the text ends with the last lines of its log."""


def entered(command: Sequence[str], number: int = signal.SIGTERM, user: str = NO_USER) -> list[str]:
    """The command of a child that, on Linux, takes a user first (see entry.py), and that the kernel signals when this
    process ends; 0 for no signal."""
    if sys.platform != "linux":
        return [*command]
    return [sys.executable, "-I", "-S", entry.__file__, str(os.getpid()), str(int(number)), user, *command]


def log_end(log: Path) -> str:
    """The last lines of a server's log and the log's path: the cause is often a few lines above the last one."""
    return "\n".join([*log.read_text(errors="replace").splitlines()[-8:], f"(see {log})"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ended(process: subprocess.Popen[bytes] | None, log: Path) -> str | None:
    """The end of the log of a process that has ended; None while it runs, or where it was never started. Rotates the
    log."""
    if process is None:
        return None
    cause = None if process.poll() is None else f"ended with code {process.returncode}: {log_end(log)}"
    rotate(log)
    return cause


def rotate(log: Path) -> None:
    """Move a long log's content to a second file. Its process goes on writing, at the start: it appends."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        kept = log.with_suffix(".log.1")
        try:
            shutil.copyfile(log, kept)
        except OSError:  # the disk is full: the log's own bytes are the room that is needed
            kept.unlink(missing_ok=True)
        os.truncate(log, 0)


def await_ready(ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            stop_process(process, signal.SIGKILL)
            raise EmbeddedError(f"{name} did not start: {log_end(log)}")
        time.sleep(0.05)


def stop_process(process: subprocess.Popen[bytes] | None, number: int) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
