"""A worker process of a backfill, as its parent sees it: the process, the messages to it and from it.

Belongs here: one process. Does not: the distribution of months (workers.py), or the worker's side
(operations/backfill_worker.py). Dagster is not imported, which takes longer than starting a process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from city_data.local.child import entered

if TYPE_CHECKING:
    from city_data.operations.backfill import Task

# A worker takes as long to start as one process takes for about so many months.
MONTHS_WORTH_A_WORKER = 12
COMMAND = [sys.executable, "-m", "city_data.operations.backfill_worker"]


def worker_count(todo: Sequence[Task]) -> int:
    """One a processor, if there are so many providers and enough months. Below two, this process alone is faster."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(processors, len({provider_of(task) for task in todo}), len(todo) // MONTHS_WORTH_A_WORKER)


def provider_of(task: Task) -> str:
    return task[0].primary.provider.name


@contextmanager
def early_workers(todo: Sequence[Task]) -> Iterator[list[Worker]]:
    """As many workers as these tasks are worth, which import while their databases start; those left over end."""
    with ExitStack() as stack:
        yield [stack.enter_context(Worker()) for _ in range(worker_count(todo))]


class Worker:
    """A worker process, which imports until it is begun. Its session is its own, so that Ctrl-C reaches this process
    only; it ends with this one."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                entered(COMMAND, signal.SIGKILL),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
            )
        self.tag = ""
        self._received = b""

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An idle worker ends by itself, when no more can come; it is killed if anything failed here."""
        if kind is not None or self.task is not None:
            self._process.kill()
        self._socket.close()
        self._process.wait()

    def begin(self) -> None:
        """Give it its environment, which names the databases, and know the tag of its runs."""
        from city_data.operations.recovery import process_tag

        self.tag = process_tag(self._process.pid)
        self.tell(dict(os.environ))

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: Mapping[str, object]) -> None:
        """A worker that has ended is noticed by what comes from it."""
        with suppress(BrokenPipeError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def give(self, task: Task) -> None:
        self.task = task
        self.tell({"feed": task[0].name, "month": str(task[1])})

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages that have come; None once the worker has ended."""
        try:
            part = self._socket.recv(65_536)
        except ConnectionResetError:  # it had not read all
            part = b""
        *lines, self._received = (self._received + part).split(b"\n")
        return [json.loads(line) for line in lines] if part else None

    def end(self) -> str:
        """How the process has ended."""
        code = self._process.wait()
        return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
