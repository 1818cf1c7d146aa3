"""The story of a month whose source errs and recovers, told in a few lines by each test of an outcome.

Belongs here: the fault, what is stored and served meanwhile, the recovery. Does not: any test, or the month's parts
(life.py).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg
import httpx
from rich.console import Console
from starlette.testclient import TestClient

from city_data.cli.progress import entries_of
from city_data.cli.status import print_months
from city_data.datasets import DatasetName
from city_data.defs.assets import failures
from city_data.defs.assets.failures import RecordedFailures
from city_data.defs.resources import DatabaseResource, HttpResource
from city_data.pipeline.build import build_month, month_load
from city_data.pipeline.feeds import Feed
from city_data.pipeline.fetch import absence, fetch_month
from city_data.pipeline.settling import choices_to_ask, is_due
from city_data.providers.base import NotAvailable, NotConfigured, NotYetPublished
from city_data.store.ledger import MonthEntry
from city_data.store.polls import PollArchive
from city_data_tests.pipeline.life import CLOSED, DAY, MADRID, MONTH, SOURCES, Life, reader
from city_data_tests.world import World

LATE = CLOSED + 50 * DAY  # after lag, settling time and grace of every source with history
METEO_FRANCE: dict[str, object] = {
    "provider": "meteo_france",
    "settings": {"department": "75", "stations": ["75114001"]},
}
OPENWEATHER: dict[str, object] = {"provider": "openweather"}
OPEN_METEO: dict[str, object] = {"provider": "open_meteo"}


@dataclass
class Refresher:
    """A month's life without Dagster's runs: the same decisions, fetch, build and store, in a tenth of the time.
    Whether runs and events agree is for the stories with a Life."""

    world: World
    dataset: DatasetName
    reader: TestClient
    source: dict[str, object] | None = None

    def __post_init__(self) -> None:
        self.world.write_cities([MADRID | {self.dataset: self.source or SOURCES[self.dataset]}])

    def tick(self, _schedule: str, at: datetime, succeeds: bool = True) -> bool:
        """Ask for the month where it is due; whether it was."""
        self.world.at(at)
        feed, entry = self.world.feed(self.dataset), self.world.entry(self.dataset, str(MONTH))
        if not is_due(feed, MONTH, entry, at):
            return False
        try:
            with RecordedFailures(DatabaseResource(), feed, MONTH, at, "run", failures.MAX_RETRIES):
                self._refresh(feed, entry, at)
        except dg.Failure:
            assert not succeeds
        else:
            assert succeeds
        return True

    def _refresh(self, feed: Feed, entry: MonthEntry | None, at: datetime) -> None:
        database, archive = DatabaseResource(), PollArchive(str(self.world.folder / "raw"))
        try:
            fetch_month(feed, MONTH, at, archive, lambda one: HttpResource().client(one, database),
                        choices_to_ask(feed, entry))  # fmt: skip
        except (NotYetPublished, NotAvailable, NotConfigured) as outcome:
            database.record_state(feed, MONTH, absence(outcome, entry), str(outcome), at, "run")
            return
        built = build_month(feed, MONTH, archive)
        if built.refused:
            raise dg.Failure("; ".join(outcome.description for outcome in built.refused), allow_retries=False)
        database.replace_month(month_load(feed, MONTH, built, entry, "run", 1, at))

    def ledger(self) -> tuple[str, int | None, str | None]:
        entry = self.world.entry(self.dataset, str(MONTH))
        assert entry is not None
        return entry.state, entry.version, entry.recheck

    def api(self) -> tuple[str, int | None, str | None]:
        return Life.api(self)  # type: ignore[arg-type]  it needs the reader and the dataset alone

    def all_say(self, state: str, version: int | None, recheck: str | None = None) -> None:
        assert self.ledger() == self.api() == (state, version, recheck)


@dataclass
class Story:
    """One month from one source of Madrid. `at` is the moment of the last tick."""

    world: World
    life: Life | Refresher
    at: datetime = LATE

    @property
    def entry(self) -> MonthEntry:
        entry = self.world.entry(self.life.dataset, str(MONTH))
        assert entry is not None
        return entry

    @property
    def status(self) -> str:
        text = io.StringIO()
        feeds = [self.world.feed(self.life.dataset)]
        print_months(Console(file=text, width=900), feeds, [MONTH], self.world.window.open, entries_of(feeds))
        return text.getvalue()

    def fails(self, words: str) -> None:
        """The refresh fails with the source's own words in ledger and status; nothing is served."""
        assert self.life.tick("refresh_unsettled", self.at, succeeds=False)
        assert self.entry.state == "failed"
        assert words in str(self.entry.last_error)
        assert words in self.status.replace("\n", " ")
        assert self.life.api()[:2] == ("failed", None)
        assert not self.life.tick("refresh_unsettled", self.at)  # asked within the day

    def is_missing(self, words: str) -> None:
        """The source has no such month, which is its word in ledger and status; nothing is served."""
        assert self.life.tick("refresh_unsettled", self.at)
        assert self.life.ledger()[:2] == ("not_available", None)
        assert words in str(self.entry.provenance["reason"])
        assert words in self.status

    def is_served_by(self, provider: str, words: str) -> None:
        """The fallback serves, with the first source's reason in ledger, status and checks."""
        assert self.life.tick("refresh_unsettled", self.at)
        assert self.entry.source == f"sandbox:{provider}"
        assert words in str(self.entry.fallback_reason)
        assert words in self.status
        assert not isinstance(self.life, Life) or not self.life.check("first_source")

    def heals(self, provider: str) -> None:
        """A day later the fault has passed: the month is the first source's, whole and settled, and not due again."""
        before = self.life.ledger()[1] or 0
        self.world.sandbox.faults.clear()
        self.at += DAY
        assert self.life.tick("refresh_unsettled", self.at)
        self.life.all_say("settled", before + 1)
        entry = self.entry
        assert (entry.source, entry.last_error, entry.fallback_reason) == (f"sandbox:{provider}", None, None)
        assert entry.unavailable_since is None
        assert (entry.coverage or 0) > 0.9
        assert not self.life.tick("refresh_unsettled", self.at + DAY)


@contextmanager
def story(
    world: World, dataset: DatasetName, source: dict[str, object] | None = None, runs: bool = False
) -> Iterator[Story]:
    """With `runs` through Dagster's schedules and runs, which must agree too."""
    with reader(world) as client:
        yield Story(world, (Life if runs else Refresher)(world, dataset, client, source))


def catalogue(world: World, path: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> str:
    """A catalogue's document as it is now, with its resources changed."""
    document = httpx.get(f"{world.sandbox.base_url}{path}", trust_env=False).raise_for_status().json()
    holder = document.get("result", document)
    holder["resources"] = change(holder["resources"])
    return json.dumps(document)
