"""Worker processes of a backfill: as many as processors, each executing one month's run at a time.

Belongs here: the processes, and the distribution of months to them. Does not: a run (operations/backfill.py), or the
worker's side (operations/backfill_worker.py).
A run is mostly work of one processor, and providers are independent of each other: no two workers call the same one.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from types import TracebackType
from typing import Any

from city_data.errors import CityDataError
from city_data.interruption import Stop
from city_data.local.child import die_with_parent
from city_data.operations.backfill import SIGNAL_POLL_S, STOP_WAIT_S, Done, Task
from city_data.operations.backfill_worker import task_message
from city_data.operations.instance import deployed_instance
from city_data.operations.recovery import fail_runs_of, process_tag
from city_data.store.database import DatabaseUnavailable

# A worker takes as long to start as one process takes for about so many months.
MONTHS_WORTH_A_WORKER = 12
MOST_DEATHS = 3
_COMMAND = [sys.executable, "-m", "city_data.operations.backfill_worker"]


class WorkerFailed(CityDataError):
    """A worker cannot go on, or workers end again and again; the text gives the cause."""


def worker_count(todo: Sequence[Task]) -> int:
    """One a processor, if there are so many providers and enough months. Below two, this process alone is faster."""
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(processors, len({_provider(task) for task in todo}), len(todo) // MONTHS_WORTH_A_WORKER)


def materialize_in_workers(todo: Sequence[Task], count: int, stop: Stop) -> Iterator[Done]:
    """Run the tasks in worker processes and yield their results. Each worker gets the first task with a free provider.

    A stop ends it after the running months, as in one process. A month whose worker is killed has failed, like its
    run, and another worker goes on. Raises DatabaseUnavailable, WorkerFailed.
    """
    with deployed_instance():  # creates the tables of a fresh database, which workers would all do at once
        pass
    with ExitStack() as stack:
        yield from _Distribution(todo, count, stop, stack).results()


class _Worker:
    """A worker process. Its session is its own, so that Ctrl-C reaches this process only; it ends with this one."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                _COMMAND,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
                preexec_fn=partial(die_with_parent, signal.SIGKILL),
            )
        self.tag = process_tag(self._process.pid)
        self._received = b""
        self.tell(dict(os.environ))

    def __enter__(self) -> _Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An idle worker ends by itself, when no more can come; it is killed if anything failed here."""
        if kind is not None or self.task is not None:
            self._process.kill()
        self._socket.close()
        self._process.wait()

    def fileno(self) -> int:
        return self._socket.fileno()

    def tell(self, message: Mapping[str, object]) -> None:
        """A worker that has ended is noticed by what comes from it."""
        with suppress(BrokenPipeError):
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def give(self, task: Task) -> None:
        self.task = task
        self.tell(task_message(*task))

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


class _Distribution:
    """`failure` ends it like a stop, and is raised at its end."""

    def __init__(self, todo: Sequence[Task], count: int, stop: Stop, stack: ExitStack) -> None:
        self._todo, self._stop, self._stack = list(todo), stop, stack
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._workers: list[_Worker] = []
        self._failure: CityDataError | None = None
        self._stopped_at: float | None = None
        self._deaths = 0
        for _ in range(count):
            self._start_worker()

    def results(self) -> Iterator[Done]:
        while self._goes_on():
            for key, _ in self._selector.select(SIGNAL_POLL_S):
                worker: _Worker = key.data
                messages = worker.receive()
                if messages is None:
                    yield from self._after_the_end_of(worker)
                for message in messages or []:
                    yield from self._after(worker, message)
        if self._failure is not None:
            raise self._failure

    def _goes_on(self) -> bool:
        """Distribute tasks, or request a stop once; whether any is running."""
        if self._stop.number is not None or self._failure is not None:
            self._request_stop()
        for worker in self._workers:
            if worker.task is None and (task := self._next()) is not None:
                worker.give(task)
        late = self._stopped_at is not None and time.monotonic() - self._stopped_at > 2 * STOP_WAIT_S
        return not late and any(worker.task is not None for worker in self._workers)

    def _request_stop(self) -> None:
        self._todo.clear()
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for worker in self._workers:
                worker.tell({"stop": self._stop.number or signal.SIGTERM})

    def _next(self) -> Task | None:
        busy = {_provider(worker.task) for worker in self._workers if worker.task is not None}
        task = next((task for task in self._todo if _provider(task) not in busy), None)
        if task is not None:
            self._todo.remove(task)
        return task

    def _after(self, worker: _Worker, message: Mapping[str, Any]) -> Iterator[Done]:
        task, worker.task = worker.task, None
        if "failure" in message:
            self._failure = (DatabaseUnavailable if message["away"] else WorkerFailed)(message["failure"])
        elif task is not None:
            yield Done(*task, message["rows"], message["run_id"], message["error"])

    def _after_the_end_of(self, worker: _Worker) -> Iterator[Done]:
        self._selector.unregister(worker)
        self._workers.remove(worker)
        task, worker.task = worker.task, None
        if self._stopped_at is not None or self._failure is not None:
            return
        error = f"the process of the run {worker.end()}"
        with deployed_instance() as instance:
            runs = fail_runs_of(instance, worker.tag)
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            self._failure = WorkerFailed(f"{error}, after {MOST_DEATHS} others; the backfill ends here")
        else:
            self._start_worker()
        if task is not None:
            yield Done(*task, 0, "".join(runs[:1]), error)

    def _start_worker(self) -> None:
        worker = self._stack.enter_context(_Worker())
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ, worker)


def _provider(task: Task) -> str:
    return task[0].primary.provider.name
