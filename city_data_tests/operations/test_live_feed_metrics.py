"""Polls of a live feed as metrics and on the status line: what is missed cannot be fetched later."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console

from city_data.cli.status import print_polls
from city_data.operations.collector import Collector
from city_data.operations.live_feed_metrics import REUSED_FOR_S, LiveFeedCollector
from city_data.store.polls import PollArchive
from city_data_tests.sandbox.asking import StillClock
from city_data_tests.world import AS_OF, World

RENAMED = '{"error": {"code": 400, "message": "Failed to execute query.", "details": ["unknown field: ih"]}}'
VALENCIA = {"city": "valencia", "dataset": "traffic"}


@pytest.fixture
def valencia(world: World) -> World:
    world.enable("madrid", "valencia")
    return world


def archive(world: World) -> PollArchive:
    return PollArchive(str(world.folder / "raw"))


def poll(world: World, *moments: datetime) -> list[str]:
    collector = Collector([world.feed("traffic", "valencia")], archive(world), clock=StillClock())
    outcomes = []
    for moment in moments:
        world.at(moment)
        made, _ = collector.poll(collector.feeds[0])
        outcomes.append(made.outcome)
    return outcomes


def status_line(world: World, moment: datetime) -> str:
    console = Console(record=True, width=300)
    print_polls(console, world.feeds, moment)
    return console.export_text()


def test_renamed_field_shows_in_metrics_and_status_and_heals(valencia: World) -> None:
    clock, moment = StillClock(), AS_OF
    collector = LiveFeedCollector(archive(valencia), valencia.feeds, lambda: moment, clock.monotonic)
    registry = CollectorRegistry()
    registry.register(collector)

    def figure(name: str, **labels: str) -> float | None:
        clock.sleep(REUSED_FOR_S)
        return registry.get_sample_value(name, {**VALENCIA, **labels})

    assert figure("external_live_feed_last_stored_timestamp") == 0
    assert figure("external_live_feed_polls", outcome="stored") == 0
    assert "no poll with data yet" in status_line(valencia, moment)

    assert poll(valencia, AS_OF) == ["stored"]
    valencia.sandbox.faults.order("/MapServer/208/query", body=RENAMED)
    outcomes = poll(valencia, *(AS_OF + n * timedelta(hours=1) for n in range(1, 5)))
    (outcome,) = set(outcomes)
    assert outcome not in ("stored", "frozen")
    moment = AS_OF + timedelta(hours=4)
    assert figure("external_live_feed_last_stored_timestamp") == AS_OF.timestamp()
    assert figure("external_live_feed_polls", outcome=outcome) == 4
    assert figure("external_live_feed_polls_without_value") == 4
    line = f"last poll with data 4.0 h ago; polls of the open month: 0 frozen, 4 {outcome}, 1 stored"
    assert line in status_line(valencia, moment)

    valencia.sandbox.faults.clear()
    moment = AS_OF + timedelta(hours=5)
    assert poll(valencia, moment) == ["stored"]
    assert figure("external_live_feed_last_stored_timestamp") == moment.timestamp()
    assert figure("external_live_feed_polls", outcome="stored") == 2


def test_listings_are_reused_between_scrapes(valencia: World) -> None:
    clock = StillClock()
    collector = LiveFeedCollector(archive(valencia), valencia.feeds, lambda: AS_OF, clock.monotonic)
    registry = CollectorRegistry()
    registry.register(collector)
    assert registry.get_sample_value("external_live_feed_last_stored_timestamp", VALENCIA) == 0
    assert poll(valencia, AS_OF) == ["stored"]
    assert registry.get_sample_value("external_live_feed_last_stored_timestamp", VALENCIA) == 0
    clock.sleep(REUSED_FOR_S)
    assert registry.get_sample_value("external_live_feed_last_stored_timestamp", VALENCIA) == AS_OF.timestamp()


def test_archive_that_cannot_be_read_is_a_figure(valencia: World, tmp_path: Path) -> None:
    poll(valencia, AS_OF)
    (record,) = (valencia.folder / "raw").rglob("*.poll.json")
    record.unlink()
    record.mkdir()
    registry = CollectorRegistry()
    registry.register(LiveFeedCollector(archive(valencia), valencia.feeds, lambda: AS_OF))
    assert registry.get_sample_value("external_polls_up") == 0
    assert registry.get_sample_value("external_live_feed_last_stored_timestamp", VALENCIA) is None
