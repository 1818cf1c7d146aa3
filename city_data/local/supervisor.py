"""The supervisor: restarts processes of the platform that have ended, and ends the platform where that does not help.

Belongs here: when to restart and when to give up. Does not: the processes (platform.py, embedded.py).
The reader and the database are what people use: they never end because another process did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from city_data.errors import CityDataError

CHECK_EVERY_S = 0.5
LONGEST_WAIT_S = 30.0
# An essential process that ends so often, in about three minutes, without running for one of them cannot be healed.
# A full disk, which stops PostgreSQL, often has space again by then.
MOST_RESTARTS = 10
STABLE_S = 60.0
Report = Callable[[str], None]


@dataclass
class _Watched:
    """`due` is the moment of the next restart, None while the process runs."""

    ended: Callable[[], str | None]
    restart: Callable[[], None]
    essential: bool
    since: float
    failures: int = 0
    due: float | None = None


class Supervisor:
    """Checks in a thread of its own from entering the context to its end.

    The kernel ends a child with the thread that started it, so this thread outlives all that it restarted.
    """

    def __init__(self, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._report, self._clock = report, clock
        self._watched: dict[str, _Watched] = {}
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._failure: CityDataError | None = None

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def watch(
        self, name: str, ended: Callable[[], str | None], restart: Callable[[], None], *, essential: bool = False
    ) -> None:
        """`ended` gives the cause, None while the process runs. `restart` raises CityDataError where it fails."""
        with self._lock:
            self._watched[name] = _Watched(ended, restart, essential, self._clock())

    def forget(self, name: str) -> None:
        """Watch no more, before the process is stopped on purpose. Waits for a restart that has begun."""
        with self._lock:
            self._watched.pop(name, None)

    def refuse_failed(self) -> None:
        """Raises the CityDataError of a process that cannot be healed."""
        if self._failure is not None:
            raise self._failure

    def check(self) -> None:
        """Look at every process once. Raises CityDataError where an essential one cannot be healed."""
        with self._lock:
            for name, watched in self._watched.items():
                self._check(name, watched)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_EVERY_S):
            try:
                self.check()
            except CityDataError as error:
                self._failure = error
                return

    def _check(self, name: str, watched: _Watched) -> None:
        now = self._clock()
        if watched.due is None:
            cause = watched.ended()
            if cause is None:
                if now - watched.since > STABLE_S:
                    watched.failures = 0
                return
            self._plan(name, watched, cause)
        if watched.due is not None and now >= watched.due:
            watched.due, watched.since = None, now
            try:
                watched.restart()
            except CityDataError as error:
                self._plan(name, watched, str(error))
            else:
                self._report(f"{name} was restarted")

    def _plan(self, name: str, watched: _Watched, cause: str) -> None:
        watched.failures += 1
        text = f"{name} {' '.join(cause.split())}"
        if watched.essential and watched.failures > MOST_RESTARTS:
            raise NotHealed(f"{text}; it did not stay up after {MOST_RESTARTS} restarts")
        wait = 0.0 if watched.failures == 1 else min(LONGEST_WAIT_S, 2.0 ** (watched.failures - 2))
        watched.due = self._clock() + wait
        self._report(f"{text}; restarting" + (f" in {wait:.0f} s" if wait else ""))


class NotHealed(CityDataError):
    """An essential process does not stay up."""
