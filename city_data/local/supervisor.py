"""The supervisor: restarts processes that have ended or do not answer, and ends the platform where that does not help.

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
MOST_RESTARTS = 10
STABLE_S = 60.0
ASK_EVERY_S, ASK_A_STARTING_ONE_EVERY_S = 5.0, 0.5
# Without an answer for so long a process hangs or is stopped; one that starts is given as long as the platform's start.
LONGEST_SILENCE_S, LONGEST_START_S = 30.0, 90.0
# Checks are this far apart only where this process was stopped itself: then nobody has asked either.
LONGEST_CHECK_S = 10.0
Report = Callable[[str], None]


@dataclass
class _Watched:
    """`due` is the moment of the next restart, None while the process runs. `answered`: the last answer's moment."""

    ended: Callable[[], str | None]
    restart: Callable[[], None]
    answers: Callable[[], bool] | None
    essential: bool
    since: float
    answered: float | None = None
    failures: int = 0
    due: float | None = None


class Supervisor:
    """Checks in a thread of its own from entering the context to its end.

    The kernel ends a child with the thread that started it, so this thread outlives all that it restarted.
    """

    def __init__(
        self,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        has_space: Callable[[], bool] = lambda: True,
    ) -> None:
        """Without space on the disk, restarts go on however often they fail: a person has to make room."""
        self._report, self._clock, self._has_space = report, clock, has_space
        self._watched: dict[str, _Watched] = {}
        self._awaited: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._failure: CityDataError | None = None
        self._checked = clock()

    def __enter__(self) -> Supervisor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def watch(
        self,
        name: str,
        ended: Callable[[], str | None],
        restart: Callable[[], None],
        *,
        answers: Callable[[], bool] | None = None,
        is_ready: bool = False,
        essential: bool = False,
    ) -> None:
        """`ended` gives the cause, None while the process runs. `answers` may block: a thread of its own asks.

        `is_ready`: the process has answered already. `restart` ends one that still runs; it raises CityDataError or
        OSError where it fails.
        """
        now = self._clock()
        watched = _Watched(ended, restart, answers, essential, now, now if is_ready else None)
        with self._lock:
            self._watched[name] = watched
        if answers is not None:
            threading.Thread(target=self._ask_on, args=(name, watched), name=f"ask {name}", daemon=True).start()

    def when(self, ready: Callable[[], bool], start: Callable[[], None]) -> None:
        """Start a process once `ready` is true, without making the caller wait."""
        self._awaited.append((ready, start))

    def start_awaited(self) -> None:
        """Start the processes whose time has come. Raises NotHealed."""
        for awaited in [pair for pair in self._awaited if pair[0]()]:
            self._awaited.remove(awaited)
            try:
                awaited[1]()
            except OSError as error:
                raise NotHealed(f"a process cannot be started: {error}") from error

    def forget(self, name: str) -> None:
        """Watch no more, before the process is stopped on purpose. Waits for a restart that has begun."""
        with self._lock:
            self._watched.pop(name, None)

    def refuse_failed(self) -> None:
        """Raises the CityDataError of a process that cannot be healed."""
        if self._failure is not None:
            raise self._failure

    def ask(self, name: str) -> None:
        """Ask a process once, and note the moment of its answer."""
        watched = self._watched.get(name)
        if watched is not None and watched.answers is not None and watched.answers():
            watched.answered = self._clock()

    def check(self) -> None:
        """Look at every process once. Raises CityDataError where an essential one cannot be healed."""
        with self._lock:
            for name, watched in self._watched.items():
                self._forgive_own_pause()  # which may come in the middle, such as in another's long restart
                self._check(name, watched)

    def _run(self) -> None:
        while not self._stop.wait(CHECK_EVERY_S):
            try:
                self.start_awaited()
                self.check()
            except CityDataError as error:
                self._failure = error
                return

    def _ask_on(self, name: str, watched: _Watched) -> None:
        while self._watched.get(name) is watched:
            self.ask(name)
            # One that stops before its first answer is noted counts as starting, and is given that time.
            if self._stop.wait(ASK_A_STARTING_ONE_EVERY_S if watched.answered is None else ASK_EVERY_S):
                return

    def _forgive_own_pause(self) -> None:
        before, self._checked = self._checked, self._clock()
        if self._checked - before > LONGEST_CHECK_S:
            for watched in self._watched.values():
                watched.since = self._checked
                watched.answered = None if watched.answered is None else self._checked

    def _check(self, name: str, watched: _Watched) -> None:
        now = self._clock()
        if watched.due is None:
            cause = watched.ended() or _silence(watched, now)
            if cause is None:
                if now - watched.since > STABLE_S:
                    watched.failures = 0
                return
            self._plan(name, watched, cause)
        if watched.due is not None and now >= watched.due:
            watched.due, watched.since, watched.answered = None, now, None
            try:
                watched.restart()
            except (CityDataError, OSError) as error:
                self._plan(name, watched, str(error))
            else:
                self._report(f"{name} was restarted")

    def _plan(self, name: str, watched: _Watched, cause: str) -> None:
        watched.failures += 1
        if watched.essential and watched.failures > MOST_RESTARTS and self._has_space():
            raise NotHealed(f"{name} {' '.join(cause.split())}; it did not stay up after {MOST_RESTARTS} restarts")
        wait = 0.0 if watched.failures == 1 else min(LONGEST_WAIT_S, 2.0 ** (watched.failures - 2))
        watched.due = self._clock() + wait
        self._report(f"{name} {_brief(cause)}; restarting" + (f" in {wait:.0f} s" if wait else ""))


def _silence(watched: _Watched, now: float) -> str | None:
    """Why the process counts as hanging; None where it answers, or nobody asks it."""
    if watched.answers is None:
        return None
    since, longest = watched.answered, LONGEST_SILENCE_S
    if since is None:
        since, longest = watched.since, LONGEST_START_S
    return f"has not answered for {now - since:.0f} s" if now - since > longest else None


def _brief(cause: str) -> str:
    """A cause without all but the last line of its log."""
    first, *others = cause.splitlines()
    return " ".join([first, *others]) if len(others) < 2 else " ".join([first.partition(":")[0] + ":", *others[-2:]])


class NotHealed(CityDataError):
    """An essential process does not stay up."""
