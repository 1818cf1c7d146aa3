"""Batches: the feeds of one provider that one run loads, for one month.

Belongs here: the grouping. Does not: which months are due (settling.py), or requesting the runs (defs/schedules.py).
A run costs seconds for its process, its imports and its place in the queue, and a city's month less than one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from city_data import environment
from city_data.pipeline.feeds import Feed
from city_data.window import Month


@dataclass(frozen=True)
class Batch:
    """Feeds with the same first provider and dataset, and the month."""

    feeds: list[Feed]
    month: Month

    @property
    def name(self) -> str:
        """Names the batch among those of a month: a feed is in one of them only."""
        return f"{self.feeds[0].primary.provider.name}:{self.feeds[0].name}"


def batches(tasks: Iterable[tuple[Feed, Month]]) -> list[Batch]:
    """Group tasks into runs, in the order of each one's first task."""
    grouped: dict[tuple[str, str, Month], list[Feed]] = {}
    for feed, month in tasks:
        grouped.setdefault((feed.primary.provider.name, feed.dataset.name, month), []).append(feed)
    return [Batch(part, month) for (_, _, month), feeds in grouped.items() for part in parts(feeds)]


def parts(feeds: list[Feed]) -> list[list[Feed]]:
    """Feeds in as many parts as their runs need. Raises ConfigurationError."""
    size = environment.CITIES_A_RUN.whole_number("a number of cities from 1 to 500", 1, 500)
    return [feeds[start : start + size] for start in range(0, len(feeds), size)]
