"""Progress without a terminal, as in a log file: few lines, each with all that a reader of it needs."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console

from city_data.cli.progress import LINE_EVERY_S, Steps


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_log_has_a_line_every_few_seconds_with_done_total_rate_and_what_is_left() -> None:
    text, clock = io.StringIO(), Clock()
    with Steps(Console(file=text, width=200), "months", 40, clock) as steps:
        for number in range(40):
            clock.now += 0.5
            steps.advance(f"weather/madrid {number}")
    lines = text.getvalue().splitlines()
    assert lines[:2] == [
        "1 of 40 months, 2.0 a second, 20 s left: weather/madrid 0",
        "11 of 40 months, 2.0 a second, 14 s left: weather/madrid 10",
    ]
    assert len(lines) == 1 + (clock.now - 0.5) // LINE_EVERY_S
