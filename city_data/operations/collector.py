"""The collector: polls every live feed without history at a fixed interval until stopped.

Belongs here: the timing of polls and the outcome of each. Does not: parsing an answer (providers/), storing snapshots
(store/polls.py), building months from them (defs/assets/raw.py, defs/assets/monthly.py). It needs no database, since a
poll missed while a database is down is lost for good.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from pathlib import Path

import structlog

from city_data.errors import CityDataError
from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.providers.base import (
    CollectingProvider,
    NoSnapshot,
    PermanentError,
    Provider,
    ProviderError,
    RateLimit,
    Snapshot,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.transport.clock import Clock, SystemClock
from city_data.store.polls import FROZEN, STORED, Poll, PollArchive
from city_data.window import Month, as_of

# At least one poll in each quarter hour, the unit of the method.
INTERVAL_S = 600.0
LONGEST_WAIT_S = 3600.0
# The next poll is the retry; a feed that hangs must not delay the others for long.
_PATIENCE = HttpSettings(deadline=60, attempts=2, longest_wait=10)
_ERRORS = ("transient_error", "permanent_error", "not_archived")
_log = structlog.get_logger(__name__)


class CollectorError(CityDataError):
    """The file of the liveness probe cannot be written."""


@dataclass
class Spaced:
    """A call budget for the only process that calls a source: calls keep the source's spacing."""

    clock: Clock = field(default_factory=SystemClock)
    _last: dict[str, float] = field(default_factory=dict)

    def block(self, name: str, seconds: float) -> None:
        """A poll that fails doubles the wait by itself."""

    def reserve(self, name: str, limit: RateLimit, patience: float) -> float:
        now = self.clock.monotonic()
        wait = max(0.0, self._last.get(name, now - limit.spacing) + limit.spacing - now)
        if wait <= patience:
            self._last[name] = now + wait
        return wait


@dataclass
class Collector:
    """`interval` is in seconds. `now` gives the moment of a snapshot, `clock` the pace; tests inject both.
    `counts` are the outcomes by feed since the start."""

    feeds: Sequence[Feed]
    archive: PollArchive
    client: Callable[[Provider], HttpClient] | None = None
    interval: float = INTERVAL_S
    now: Callable[[], datetime] = as_of
    clock: Clock = field(default_factory=SystemClock)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)
    _errors: Counter[str] = field(default_factory=Counter)
    _marks: dict[str, str | None] = field(default_factory=dict)

    def run(self, alive: Path | None = None) -> None:
        """Poll until the process is stopped. A snapshot is stored completely or not at all.

        `alive` is touched at least once an hour plus two intervals, for a probe that reads its time. Without feeds
        this only waits, since a service that ended would be restarted for ever. Raises CollectorError.
        """
        while True:
            if alive:
                _touch(alive)
            self.clock.sleep(self.step())

    def step(self) -> float:
        """Poll every feed that is due; returns the seconds until the next poll."""
        for feed in self.feeds:
            due = self._due.setdefault(feed.name, self.clock.monotonic())
            if due <= self.clock.monotonic():
                _, wait = self.poll(feed)
                later = self.clock.monotonic() - due
                # Multiples of the interval: a slow answer does not shift later polls, and missed polls are skipped.
                self._due[feed.name] = due + self.interval * max(1, ceil(max(wait, later) / self.interval))
        if not self._due:
            return self.interval
        return max(0.0, min(self._due.values()) - self.clock.monotonic())

    def poll(self, feed: Feed) -> tuple[Poll, float]:
        """Poll once, store and log the outcome; returns it with the minimum seconds until the next poll.

        Provider errors and OSError become outcomes: one bad answer must not end the collection.
        """
        choice, moment, retry_after = feed.live, self.now(), None
        if choice is None:
            raise ValueError(f"{feed.name} has no live source")
        with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
            try:
                poll = self._polled(feed, choice, moment, Path(folder))
            except NoSnapshot as nothing:
                poll = self._failed(feed, choice, moment, nothing.reason, nothing)
            except TransientError as error:
                poll, retry_after = self._failed(feed, choice, moment, _ERRORS[0], error), error.retry_after
            except ProviderError as error:
                poll = self._failed(feed, choice, moment, _ERRORS[1], error)
            except OSError as error:
                poll = self._poll(choice, moment, _ERRORS[2], message=f"{type(error).__name__}: {error}")
        wait = self._wait(feed, poll.outcome, retry_after)
        self._log_poll(feed, poll, wait)
        return poll, wait

    def _polled(self, feed: Feed, choice: ProviderBinding, moment: datetime, folder: Path) -> Poll:
        provider, month = choice.provider, Month.at(moment, feed.city.timezone)
        if not isinstance(provider, CollectingProvider):
            raise PermanentError(f"{provider.name} has no live feed")
        request = feed.request(choice, month, moment)
        with TypedOutcomes(provider.name, request):
            snapshot = provider.poll(request, self._client(provider), folder)
        frozen = snapshot.mark == self._mark(feed, choice)
        poll = self._poll(choice, moment, FROZEN if frozen else STORED, snapshot)
        keys = (feed.dataset.name, feed.city.city_id, month)
        poll = self.archive.record(*keys, poll, None if frozen else snapshot.payload)
        self._marks[feed.name] = snapshot.mark
        return poll

    def _failed(
        self, feed: Feed, choice: ProviderBinding, moment: datetime, outcome: str, error: ProviderError
    ) -> Poll:
        poll = self._poll(choice, moment, outcome, message=str(error))
        month = Month.at(moment, feed.city.timezone)
        try:
            return self.archive.record(feed.dataset.name, feed.city.city_id, month, poll)
        except OSError as unkept:
            return poll.model_copy(update={"message": f"{error}; not recorded: {unkept}"})

    def _poll(
        self,
        choice: ProviderBinding,
        at: datetime,
        outcome: str,
        snapshot: Snapshot | None = None,
        message: str | None = None,
    ) -> Poll:
        snapshot_fields = (
            {} if snapshot is None else {name: getattr(snapshot, name) for name in ("mark", "newest", "repeated")}
        )
        return Poll(at=at, provider=choice.provider.name, outcome=outcome, message=message, **snapshot_fields)

    def _mark(self, feed: Feed, choice: ProviderBinding) -> str | None:
        """The mark of the last stored snapshot, by this process or an earlier one."""
        if feed.name not in self._marks:
            last = self.archive.last_stored(feed.dataset.name, feed.city.city_id, choice.provider.name)
            self._marks[feed.name] = last.mark if last else None
        return self._marks[feed.name]

    def _client(self, provider: Provider) -> HttpClient:
        if self.client is None:
            spaced = Spaced(self.clock)
            self.client = lambda provider: HttpClient(
                provider.name, provider.capabilities, budget=spaced, settings=_PATIENCE, clock=self.clock
            )
        return self.client(provider)

    def _wait(self, feed: Feed, outcome: str, retry_after: float | None) -> float:
        """Errors double the wait, up to an hour. Answers without data do not: on one day 64 of 96 answers were
        header-only, and a longer wait would have lost some of the other 32."""
        self._errors[feed.name] = self._errors[feed.name] + 1 if outcome in _ERRORS else 0
        doubled: float = self.interval * 2 ** min(20, max(0, self._errors[feed.name] - 1))
        return max(self.interval, min(doubled, LONGEST_WAIT_S), min(retry_after or 0.0, LONGEST_WAIT_S))

    def _log_poll(self, feed: Feed, poll: Poll, wait: float) -> None:
        counts = self.counts.setdefault(feed.name, Counter())
        counts[poll.outcome] += 1
        log_event = _log.info if poll.outcome in (STORED, FROZEN) else _log.warning
        log_event(
            "poll",
            feed=feed.name,
            provider=poll.provider,
            at=poll.at.isoformat(),
            outcome=poll.outcome,
            bytes=poll.file.bytes if poll.file else 0,
            newest=poll.newest.isoformat() if poll.newest else None,
            repeated=poll.repeated,
            counts=dict(counts),
            next_in_s=wait,
            **({"why": poll.message} if poll.message else {}),
        )


def _touch(alive: Path) -> None:
    try:
        alive.touch()
    except OSError as error:
        raise CollectorError(f"--alive {alive} cannot be touched: {error.strerror or error}") from error


def log_as_json() -> None:
    """Log each event as one line of JSON on standard output."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
    )
