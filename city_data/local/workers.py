"""Worker processes of a backfill: as many as processors, each executing one month's run at a time.

Belongs here: the distribution of months to them. Does not: a process (worker.py), or a run (operations/backfill.py).
A run is mostly work of one processor, and providers are independent of each other: no two workers call the same one.
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from city_data.errors import CityDataError
from city_data.interruption import Stop
from city_data.local.worker import Worker, provider_of
from city_data.operations.backfill import SIGNAL_POLL_S, STOP_WAIT_S, Done, Task
from city_data.operations.instance import deployed_instance
from city_data.operations.recovery import fail_runs_of
from city_data.store.database import DatabaseUnavailable

MOST_DEATHS = 3


class WorkerFailed(CityDataError):
    """A worker cannot go on, or workers end again and again; the text gives the cause."""


def materialize_in_workers(
    todo: Sequence[Task], count: int, stop: Stop, early: Sequence[Worker] = ()
) -> Iterator[Done]:
    """Run the tasks in worker processes and yield their results. Each worker gets the first task with a free provider.

    `early` workers are started already, and used first.

    A stop ends it after the running months, as in one process. A month whose worker is killed has failed, like its
    run, and another worker goes on. Raises DatabaseUnavailable, WorkerFailed.
    """
    with deployed_instance():  # creates the tables of a fresh database, which workers would all do at once
        pass
    with ExitStack() as stack:
        yield from _Distribution(todo, count, stop, stack, early).results()


class _Distribution:
    """`failure` ends it like a stop, and is raised at its end."""

    def __init__(self, todo: Sequence[Task], count: int, stop: Stop, stack: ExitStack, early: Sequence[Worker]) -> None:
        self._todo, self._stop, self._stack = list(todo), stop, stack
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._workers: list[Worker] = []
        self._failure: CityDataError | None = None
        self._stopped_at: float | None = None
        self._deaths = 0
        self._early = list(early)
        for _ in range(count):
            self._start_worker()

    def results(self) -> Iterator[Done]:
        while self._goes_on():
            for key, _ in self._selector.select(SIGNAL_POLL_S):
                worker: Worker = key.data
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
        busy = {provider_of(worker.task) for worker in self._workers if worker.task is not None}
        task = next((task for task in self._todo if provider_of(task) not in busy), None)
        if task is not None:
            self._todo.remove(task)
        return task

    def _after(self, worker: Worker, message: Mapping[str, Any]) -> Iterator[Done]:
        task, worker.task = worker.task, None
        if "failure" in message:
            self._failure = (DatabaseUnavailable if message["away"] else WorkerFailed)(message["failure"])
        elif task is not None:
            yield Done(*task, message["rows"], message["run_id"], message["error"])

    def _after_the_end_of(self, worker: Worker) -> Iterator[Done]:
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
        worker = self._stack.enter_context(self._early.pop() if self._early else Worker())
        worker.begin()
        self._workers.append(worker)
        self._selector.register(worker, selectors.EVENT_READ, worker)
