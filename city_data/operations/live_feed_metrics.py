"""Prometheus metrics of live feeds' polls, read from the raw archive, since a missed poll cannot be fetched later.

Belongs here: names, labels and counting. Does not: polling (collector.py), the ledger's metrics (exporter.py).

Counts come from the names of the open month's poll files. Listings are reused for some minutes: a month has thousands
of files, and object storage charges for listings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from city_data.operations.metric_families import gauge, labelled
from city_data.pipeline.feeds import Feed
from city_data.store.polls import FROZEN, STORED, PollArchive
from city_data.window import Month

REUSED_FOR_S = 300.0
_FEED = ("city", "dataset")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class PollFigures:
    """`last_stored`: Unix seconds of the newest poll with data, 0 without any. `polls`: the open month's by outcome."""

    last_stored: float
    polls: Mapping[str, int]

    @property
    def without_value(self) -> int:
        return sum(count for outcome, count in self.polls.items() if outcome not in (STORED, FROZEN))


class LiveFeedCollector(Collector):
    """The figures of every live feed, read at a scrape when the last ones are older than REUSED_FOR_S."""

    def __init__(
        self,
        archive: PollArchive,
        feeds: Sequence[Feed],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive, self._clock, self._monotonic = archive, clock, monotonic
        self._feeds = [feed for feed in feeds if feed.live is not None]
        self._figures: dict[tuple[str, ...], PollFigures] = {}
        self._read_at: float | None = None

    def collect(self) -> Iterator[Metric]:
        """An archive that cannot be read is a figure too: `external_polls_up` 0, and no series from before."""
        try:
            figures = self._current()
        except OSError as error:
            _log.warning("polls not read", why=str(error))
            yield gauge("external_polls_up", "Whether the polls of live feeds could be read", 0)
            return
        yield gauge("external_polls_up", "Whether the polls of live feeds could be read", 1)
        yield labelled(
            "external_live_feed_last_stored_timestamp",
            "When a poll of the live feed was last stored with new data; 0 for never",
            _FEED,
            {feed: of.last_stored for feed, of in figures.items()},
        )
        outcomes = {(*feed, name): float(of.polls[name]) for feed, of in figures.items() for name in sorted(of.polls)}
        yield labelled("external_live_feed_polls", "Polls of the open month by outcome", (*_FEED, "outcome"), outcomes)
        yield labelled(
            "external_live_feed_polls_without_value",
            "Polls of the open month whose answer had no data",
            _FEED,
            {feed: float(of.without_value) for feed, of in figures.items()},
        )

    def _current(self) -> Mapping[tuple[str, ...], PollFigures]:
        now = self._monotonic()
        if self._read_at is None or now - self._read_at >= REUSED_FOR_S:
            self._figures = {(feed.city.city_id, feed.dataset.name): self._read(feed) for feed in self._feeds}
            self._read_at = now
        return self._figures

    def _read(self, feed: Feed) -> PollFigures:
        return read_polls(self._archive, feed, self._clock())


def read_polls(archive: PollArchive, feed: Feed, moment: datetime) -> PollFigures:
    """The polls of a live feed in the month of `moment`. Raises OSError where the archive cannot be read."""
    dataset, city_id = feed.dataset.name, feed.city.city_id
    live = feed.live
    last = None if live is None else archive.last_stored(dataset, city_id, live.provider.name)
    counts = {STORED: 0, FROZEN: 0} | archive.polls(dataset, city_id, Month.at(moment, feed.city.timezone))
    return PollFigures(last.at.timestamp() if last else 0.0, counts)
