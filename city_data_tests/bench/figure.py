"""One measured figure and its limit: a ratio to a floor of the same run, or a plain amount."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    name: str
    measured: float
    limit: float
    unit: str
    floor: float | None = None
    at_least: bool = False
    why_skipped: str | None = None

    @classmethod
    def skipped(cls, name: str, why: str) -> Figure:
        return cls(name, 0.0, 0.0, "", why_skipped=why)

    @property
    def value(self) -> float:
        return self.measured / self.floor if self.floor else self.measured

    @property
    def holds(self) -> bool:
        if self.why_skipped is not None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def shown(self) -> str:
        if self.why_skipped is not None:
            return f"skipped: {self.why_skipped}"
        plain = f"{self.measured:.3g} {self.unit}"
        return f"{plain} = {self.value:.2f}x" if self.floor else plain

    def floor_shown(self) -> str:
        return f"{self.floor:.3g} {self.unit}" if self.floor else ""

    def limit_shown(self) -> str:
        if self.why_skipped is not None:
            return ""
        limit = f"{self.limit:g}x" if self.floor else f"{self.limit:g} {self.unit}"
        return f"at least {limit}" if self.at_least else limit


def median_seconds(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def alternating(work: Callable[[], object], floor: Callable[[], object], times: int) -> tuple[float, float]:
    """The medians of both, run in turn, so that a machine that slows down slows down both."""
    pairs = [(median_seconds(work, 1), median_seconds(floor, 1)) for _ in range(times)]
    return statistics.median(work for work, _ in pairs), statistics.median(floor for _, floor in pairs)
