"""Random outcomes of a first source and its fallback over months of simulated days, on the real ledger and archive.

Whatever happens, a month that the first source comes to have is the first source's in the end, no source is called
twice within the day, and the first source's last reason is in the ledger as long as it does not have the month.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_data.cities import load_registry
from city_data.pipeline.build import build_month, month_load
from city_data.pipeline.feeds import Feed, ProviderBinding, enabled_feeds
from city_data.pipeline.fetch import absence, fetch_month
from city_data.pipeline.settling import LONGEST_INTERVAL, choices_to_ask, is_due
from city_data.providers.base import (
    Capabilities,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    ProviderError,
    Request,
    Settings,
    TransientError,
)
from city_data.providers.http import HttpClient
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, State, read_months, record_state
from city_data.store.months import replace_month
from city_data.store.partitions import drop_month
from city_data.store.polls import PollArchive
from city_data.window import Month, day_bounds

MONTH = Month(2026, 9)
FEED = next(feed for feed in enabled_feeds(load_registry(environ={})) if feed.name == "weather/madrid")
CLOSED = MONTH.bounds(FEED.city.timezone)[1] + timedelta(hours=5)
DAY = timedelta(days=1)
FAULTS: dict[str, type[ProviderError]] = {
    "not available": NotAvailable,
    "not yet published": NotYetPublished,
    "not configured": NotConfigured,
    "transient": TransientError,
    "permanent": PermanentError,
}
OUTCOMES = st.sampled_from(["data", "other data", *FAULTS])
DAYS = st.lists(st.tuples(OUTCOMES, OUTCOMES), min_size=1, max_size=45)


class Scripted(Provider):
    """A source that answers as it is set to."""

    capabilities: ClassVar[Capabilities] = replace(FEED.primary.provider.capabilities, columns=("temperature",))
    outcome = "data"
    calls_made = 0

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        self.calls_made += 1
        if self.outcome in FAULTS:
            raise FAULTS[self.outcome](f"{self.name} {self.outcome} on call {self.calls_made}")
        path = into / "month.json"
        path.write_text(json.dumps({"temperature": 21.5 if self.outcome == "data" else 22.5}))
        return [Payload(path.name, path, "https://example.org/month.json")]

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        (payload,) = payloads
        dates = pd.to_datetime(
            [day_bounds(day, request.location.timezone)[0] for day in request.month.days()], utc=True
        )
        temperature = json.loads(payload.path.read_bytes())["temperature"]
        frame = pd.DataFrame({"date": dates, "temperature": temperature, "source": self.name})
        return ParsedMonth(frame, received=len(frame), used=len(frame), fields=["temperature"])

    def check_connection(self, http: HttpClient) -> str:
        return "answers"


class First(Scripted):
    name = "first"


class Second(Scripted):
    name = "second"


@dataclass
class Platform:
    """A feed of two scripted sources, and the daily refresh of one month as the raw and monthly assets do it."""

    database: Database
    archive: PollArchive
    first: First = field(default_factory=First)
    second: Second = field(default_factory=Second)

    @property
    def feed(self) -> Feed:
        bindings = [ProviderBinding(one, Settings()) for one in (self.first, self.second)]
        return replace(FEED, primary=bindings[0], fallback=bindings[1])

    def entry(self) -> MonthEntry | None:
        entries = read_months(self.database, city_id="madrid", dataset="weather", first=MONTH, last=MONTH)
        return entries[0] if entries else None

    def refresh(self, moment: datetime) -> None:
        held, feed = self.entry(), self.feed
        if not is_due(feed, MONTH, held, moment):
            return
        try:
            fetch_month(feed, MONTH, moment, self.archive, _client, choices_to_ask(feed, held))
        except ProviderError as error:
            self._record(error, held, moment)
            return
        built = build_month(feed, MONTH, self.archive)
        assert not built.refused
        replace_month(self.database, month_load(feed, MONTH, built, held, "run", 1, moment))

    def _record(self, error: ProviderError, held: MonthEntry | None, moment: datetime) -> None:
        state: State = "failed"
        if isinstance(error, NotYetPublished | NotAvailable | NotConfigured):
            with suppress(NotConfigured):
                state = absence(error, held)
        record_state(self.database, "madrid", "weather", MONTH, state, at=moment, run_id="run", message=str(error))


def _client(provider: Provider) -> HttpClient:
    return HttpClient(provider.name, provider.capabilities)


def reasons(entry: MonthEntry) -> str:
    known: list[Any] = [entry.last_error, entry.fallback_reason, entry.provenance.get("reason")]
    return " ".join(str(one) for one in known if one)


@given(DAYS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_month_of_a_first_source_that_recovers_is_the_first_source_s_in_the_end(
    database: Database, days: list[tuple[str, str]]
) -> None:
    drop_month(database, MONTH)
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(database, PollArchive(folder))
        moment = CLOSED
        for platform.first.outcome, platform.second.outcome in days:
            before = platform.first.calls_made, platform.second.calls_made
            platform.refresh(moment)
            platform.refresh(moment + timedelta(hours=6))
            made = platform.first.calls_made - before[0], platform.second.calls_made - before[1]
            assert max(made) <= 1
            entry = platform.entry()
            assert entry is not None
            if entry.source == "second":
                assert entry.fallback_reason is not None
                assert entry.fallback_reason.startswith("first ")
            if entry.source != "first":
                assert f"first {platform.first.outcome}" in reasons(entry) or made[0] == 0
            moment += DAY
        platform.first.outcome = "data"
        recovered = moment
        while moment <= recovered + LONGEST_INTERVAL + 3 * DAY:
            platform.refresh(moment)
            moment += DAY
        entry = platform.entry()
        assert entry is not None
        assert (entry.source, entry.fallback_reason, entry.last_error) == ("first", None, None)
        assert entry.unavailable_since is None


@given(st.integers(1, 400))
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_month_that_nobody_has_is_asked_for_ever_more_seldom(database: Database, days: int) -> None:
    drop_month(database, MONTH)
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(database, PollArchive(folder))
        platform.first.outcome = platform.second.outcome = "not available"
        for day in range(days):
            platform.refresh(CLOSED + day * DAY)
        assert 1 <= platform.first.calls_made <= 7 + days / LONGEST_INTERVAL.days
        assert platform.second.calls_made == platform.first.calls_made
