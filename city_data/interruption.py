"""A stop that a signal requests: work goes on to a safe point, and waits end at once.

Belongs here: the handlers, and a pause that a stop ends. Does not: the work (operations/backfill.py).
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_waits_end = threading.Event()


class Interrupted(KeyboardInterrupt):
    """A wait was ended by a stop. No error: nobody may handle it as one, as with any KeyboardInterrupt."""


class Stop:
    """`number` is the signal that requested the stop, None without one."""

    number: int | None = None

    @property
    def exit_code(self) -> int:
        """128 and the number of the signal, by the convention of shells; 0 without one."""
        return 0 if self.number is None else 128 + self.number

    def end_waits(self) -> None:
        """Let every `pause` of this process raise Interrupted, from now until the end of `on_signals`."""
        _waits_end.set()


@contextmanager
def on_signals() -> Iterator[Stop]:
    """The first SIGINT, SIGTERM or SIGHUP requests a stop, the second ends the process. For the main thread."""
    stop = Stop()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.number is not None:
            sys.exit(stop.exit_code)
        stop.number = number

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield stop
    finally:
        _waits_end.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def pause(seconds: float) -> None:
    """Sleep. Raises Interrupted where a stop has ended all waits."""
    if _waits_end.wait(seconds):
        raise Interrupted
