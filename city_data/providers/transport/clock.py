"""Time, injected into the client so that tests never wait.

Belongs here: a clock and its protocol. Does not: deadlines and waits (http.py).
"""

from __future__ import annotations

import time
from typing import Protocol

from city_data.interruption import pause


class Clock(Protocol):
    """Time, injected so that tests never wait."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        pause(seconds)
