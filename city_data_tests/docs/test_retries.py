"""AEMET's waits in all three layers, as docs/retries-and-limits.md has them, against a server that is always busy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from city_data import environment
from city_data.cities import load_registry
from city_data.defs.assets.failures import RecordedFailures
from city_data.defs.resources import DatabaseResource
from city_data.pipeline.feeds import enabled_feeds
from city_data.pipeline.settling import ASK_AGAIN_AFTER, due_months, is_due
from city_data.providers.base import TransientError
from city_data.providers.http import HttpClient
from city_data.store.ledger import MonthEntry, read_months
from city_data.window import Month
from city_data_tests.docs import figures
from city_data_tests.docs.pages import page
from city_data_tests.providers.wire import Answer, site
from city_data_tests.sandbox.asking import StillClock
from city_data_tests.world import World

HOST, MONTH = "opendata.aemet.es", Month(2026, 9)
FEED = next(feed for feed in enabled_feeds(load_registry(environ={})) if feed.name == "weather/madrid")


@dataclass
class PassingClock(StillClock):
    """A clock on which every look takes a millisecond, as calls take time."""

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


def busy(
    monkeypatch: pytest.MonkeyPatch, into: Path, headers: dict[str, str]
) -> tuple[TransientError, list[float], int]:
    """What a fetch ends with where every answer is 429; its waits, and how many calls were made."""
    monkeypatch.setenv("AEMET_API_KEY", "good")
    provider, clock = FEED.primary.provider, PassingClock()
    body = json.dumps({"descripcion": "too many", "estado": 429}).encode()
    with site() as made:
        monkeypatch.setattr(made, "reply", lambda call: made.calls.append(call) or Answer(body, 429, headers))
        routes = {HOST: f"{made.url}/{HOST}"}
        http = HttpClient(provider.name, provider.capabilities, clock=clock, routes=routes)
        request = FEED.request(FEED.primary, MONTH, datetime(2026, 11, 24, tzinfo=UTC))
        with pytest.raises(TransientError) as caught:
            provider.fetch(request, http, into)
    return caught.value, clock.slept, len(made.calls)


def fail(database_url: str, error: TransientError) -> None:
    """The step's end, as the raw asset has it."""
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv(environment.DATABASE_URL.name, database_url)
        with RecordedFailures(DatabaseResource(), FEED, MONTH, datetime(2026, 11, 24, tzinfo=UTC), "run"):
            raise error


def test_busy_aemet_is_retried_after_a_minute_twice_and_then_after_a_day(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str
) -> None:
    error, slept, calls = busy(monkeypatch, tmp_path, {})
    assert (slept, calls) == ([60, 60], 3)
    with pytest.raises(dg.RetryRequested) as again:
        fail(database_url, error)
    assert (again.value.seconds_to_wait, again.value.max_retries) == (60, 3)
    shown = page("retries-and-limits.md").text
    for line in ("60 s between attempts; 3 attempts fit", "60 s between tries of the step, 3 times"):
        assert line in shown
    assert figures.PARTS["aemet waits"]() in shown


def test_retry_after_of_aemet_is_obeyed_in_both_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str
) -> None:
    error, slept, _ = busy(monkeypatch, tmp_path, {"Retry-After": "20"})
    assert set(slept) == {20}
    with pytest.raises(dg.RetryRequested) as again:
        fail(database_url, error)
    assert again.value.seconds_to_wait == 20
    error, slept, calls = busy(monkeypatch, tmp_path, {"Retry-After": "3600"})
    assert (slept, calls) == ([], 1)
    with pytest.raises(dg.Failure):
        fail(database_url, error)


def test_a_failed_month_is_requested_again_the_next_day(world: World, no_waiting: None) -> None:
    world.sandbox.faults.order("/diarios/", status=429)
    (done,) = world.load("weather", str(MONTH))
    assert done.error
    (entry,) = read_months(world.database, city_id="madrid", dataset="weather", first=MONTH, last=MONTH)
    assert isinstance(entry, MonthEntry)
    assert entry.state == "failed"
    assert entry.checked_at is not None
    feed = world.feed("weather")
    assert not is_due(feed, MONTH, entry, entry.checked_at)
    tomorrow = entry.checked_at + ASK_AGAIN_AFTER
    assert (feed, MONTH) in due_months([feed], [entry], world.window, tomorrow)
