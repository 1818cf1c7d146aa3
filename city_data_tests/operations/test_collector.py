"""The collector: it polls on after any answer, keeps its interval, and leaves no partial snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from city_data.cities import load_registry
from city_data.operations.collector import LONGEST_WAIT_S, Collector, Spaced
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.providers.base import Provider, RateLimit
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.valencia_opendata import HOST, LOOPS, ValenciaOpenData
from city_data.store.polls import Poll, PollArchive
from city_data.window import Month
from city_data_tests.providers.wire import Answer, Site, site
from city_data_tests.sandbox.asking import StillClock

NOON = datetime(2026, 9, 1, 10, tzinfo=UTC)
PATH = LOOPS.replace("https:/", "")
SEPTEMBER = ("traffic", "valencia", Month(2026, 9))


def loops(stamp: datetime, note: str = "") -> Answer:
    row = {"idpm": 1, "ih": 100, "fecha_actualizacion": int(stamp.timestamp() * 1000)}
    return Answer(json.dumps({"features": [{"attributes": row}], "note": note}).encode())


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as server:
        yield server


@pytest.fixture
def feed() -> Feed:
    feeds = enabled_feeds(load_registry(environ={"ENABLED_CITIES": "valencia"}))
    return next(feed for feed in feeds if feed.dataset.name == "traffic")


@dataclass
class Bench:
    """A collector against a site of scripted answers, sharing one clock."""

    web: Site
    feed: Feed
    folder: Path
    clock: StillClock = field(default_factory=StillClock)

    @property
    def archive(self) -> PollArchive:
        return PollArchive(str(self.folder / "raw"))

    def client(self, provider: Provider) -> HttpClient:
        settings = HttpSettings(attempts=1)
        routes = {HOST: f"{self.web.url}/{HOST}"}
        return HttpClient(provider.name, provider.capabilities, settings=settings, clock=self.clock, routes=routes)

    def collector(self) -> Collector:
        now = lambda: NOON + timedelta(seconds=self.clock.now)  # noqa: E731
        return Collector([self.feed], self.archive, self.client, interval=600, now=now, clock=self.clock)

    def steps(self, collector: Collector, count: int) -> list[float]:
        """Run for some polls; returns the waits between them."""
        waits = []
        for _ in range(count):
            waits.append(collector.step())
            self.clock.sleep(waits[-1])
        return waits


@pytest.fixture
def bench(web: Site, feed: Feed, tmp_path: Path) -> Bench:
    return Bench(web, feed, tmp_path)


def test_snapshots_are_stored_with_their_url_and_moment(bench: Bench) -> None:
    stamps = [NOON + timedelta(minutes=10 * n) for n in range(3)]
    bench.web.on(PATH, *map(loops, stamps))
    assert bench.steps(bench.collector(), 3) == [600, 600, 600]
    manifest = bench.archive.gather(*SEPTEMBER, "valencia_opendata", NOON + timedelta(days=1))
    assert manifest is not None
    assert manifest.polls == {"stored": 3}
    assert bench.archive.latest(*SEPTEMBER) == manifest
    payloads = bench.archive.payloads(manifest, bench.folder)
    assert [payload.name for payload in payloads] == [f"20260901T10{n}000Z.json" for n in range(3)]
    assert [payload.path.read_bytes() for payload in payloads] == [loops(stamp).body for stamp in stamps]
    last = bench.archive.last_stored("traffic", "valencia", "valencia_opendata")
    assert last is not None
    assert last.file is not None
    assert (last.at, last.newest, last.file.url, last.file.bytes) == (
        stamps[2],
        stamps[2],
        LOOPS,
        len(loops(NOON).body),
    )
    assert len(last.file.sha256) == 64


def test_snapshot_belongs_to_the_month_of_the_citys_timezone(bench: Bench) -> None:
    bench.clock.now = 29.5 * 86_400  # 22:00 UTC on the 30th: October has begun in Valencia
    bench.web.on(PATH, loops(NOON + timedelta(days=29.5)))
    bench.collector().step()
    assert bench.archive.months() == [Month(2026, 10)]


def test_frozen_feed_is_stored_once_even_where_its_bytes_differ(bench: Bench) -> None:
    bench.web.on(PATH, loops(NOON), loops(NOON), loops(NOON, note="other bytes, same stamps"))
    bench.steps(bench.collector(), 3)
    bench.collector().step()  # a new process reads the last stored mark
    assert bench.archive.polls(*SEPTEMBER) == {"frozen": 3, "stored": 1}
    assert len(list(bench.folder.rglob("*.bin"))) == 1


def test_each_poll_is_one_complete_log_line(bench: Bench) -> None:
    bench.web.on(PATH, loops(NOON), Answer(b"<html></html>"), loops(NOON))
    with capture_logs() as lines:
        bench.steps(bench.collector(), 3)
    polls = [line for line in lines if line["event"] == "poll"]
    assert [(line["outcome"], line["log_level"]) for line in polls] == [
        ("stored", "info"), ("html", "warning"), ("frozen", "info")
    ]  # fmt: skip
    assert polls[2]["counts"] == {"stored": 1, "html": 1, "frozen": 1}
    assert polls[0]["feed"] == "traffic/valencia"
    assert polls[0]["bytes"] == len(loops(NOON).body)
    assert "the answer is an HTML page" in polls[1]["why"]


def test_answers_without_data_keep_the_interval_and_errors_double_it_up_to_an_hour(bench: Bench) -> None:
    bench.web.on(PATH, Answer(b""))
    assert bench.steps(bench.collector(), 4) == [600] * 4
    bench.web.on(PATH, Answer(b"", status=500))
    collector = bench.collector()
    assert bench.steps(collector, 6) == [600, 1200, 2400, LONGEST_WAIT_S, LONGEST_WAIT_S, LONGEST_WAIT_S]
    bench.web.on(PATH, loops(NOON))
    assert bench.steps(collector, 1) == [600]
    bench.web.on(PATH, Answer(b"", status=429, headers={"Retry-After": "1500"}))
    assert bench.steps(collector, 1) == [1800]  # a multiple of the interval, and not before Retry-After
    bench.web.on(PATH, Answer(b'{"features":[{"attributes":{"id":1}}]}'))
    bench.steps(collector, 1)
    assert bench.archive.polls(*SEPTEMBER) == {"empty": 4, "permanent_error": 1, "stored": 1, "transient_error": 7}


def test_unusable_answers_of_any_kind_are_counted_and_collection_continues(bench: Bench) -> None:
    answers = [
        b'{"features":[{"attributes":[1,2]}]}',
        b'{"features":[{"attributes":{"idpm":"\\ud800","ih":1}}]}',
        b'{"features":' * 50_000,
        b'{"error":"\\ud800\\u0000"}',
        loops(NOON).body.decode().encode("utf-16"),
        loops(NOON).body * 2,
    ]
    bench.web.on(PATH, *map(Answer, answers), loops(NOON))
    bench.steps(bench.collector(), 12)
    assert bench.archive.polls(*SEPTEMBER) == {
        "frozen": 5, "not_json": 3, "permanent_error": 2, "service_error": 1, "stored": 1
    }  # fmt: skip
    manifest = bench.archive.gather(*SEPTEMBER, "valencia_opendata", NOON)
    assert manifest is not None
    (payload,) = bench.archive.payloads(manifest, bench.folder)
    assert payload.path.read_bytes() == loops(NOON).body


def test_slow_answers_do_not_shift_later_polls(bench: Bench) -> None:
    def slow(seconds: float) -> Answer:
        return Answer(loops(NOON).body, before=lambda: bench.clock.sleep(seconds))

    bench.web.on(PATH, slow(7), slow(45), slow(601), slow(0))
    collector = bench.collector()
    starts = []
    for _ in range(4):
        starts.append(bench.clock.now)
        bench.clock.sleep(collector.step())
    assert starts == [0, 600, 1200, 2400]


def test_unexpected_exception_in_a_poll_is_counted_and_collection_continues(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.web.on(PATH, loops(NOON))
    collector, poll = bench.collector(), ValenciaOpenData.poll

    def unforeseen(*_: object) -> None:
        raise TypeError("list indices must be integers")

    monkeypatch.setattr(ValenciaOpenData, "poll", unforeseen)
    with capture_logs() as lines:
        bench.steps(collector, 1)
    assert lines[-1]["outcome"] == "permanent_error"
    for word in ("valencia_opendata: valencia 2026-09", "TypeError: list indices must be integers"):
        assert word in lines[-1]["why"]
    monkeypatch.setattr(ValenciaOpenData, "poll", poll)
    bench.steps(collector, 1)
    assert bench.archive.polls(*SEPTEMBER) == {"permanent_error": 1, "stored": 1}


def test_full_disk_loses_one_poll_and_leaves_no_partial_snapshot(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.web.on(PATH, loops(NOON), loops(NOON + timedelta(minutes=10)))
    collector = bench.collector()
    write = PollArchive._write

    def full(archive: PollArchive, path: str, body: bytes) -> None:
        Path(f"{path}.part").write_bytes(body[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PollArchive, "_write", full)
    with capture_logs() as lines:
        bench.steps(collector, 1)
    assert lines[-1]["outcome"] == "not_archived"
    assert "No space left" in lines[-1]["why"]
    assert bench.archive.polls(*SEPTEMBER) == {}
    assert bench.archive.gather(*SEPTEMBER, "valencia_opendata", NOON) is None
    monkeypatch.setattr(PollArchive, "_write", write)
    bench.steps(collector, 1)
    assert bench.archive.polls(*SEPTEMBER) == {"stored": 1}


def test_second_poll_at_the_same_moment_replaces_nothing(bench: Bench) -> None:
    """Where `CITY_DATA_AS_OF` fixes the clock, every poll has the same moment."""
    bench.web.on(PATH, loops(NOON))
    collector = Collector([bench.feed], bench.archive, bench.client, now=lambda: NOON, clock=bench.clock)
    bench.steps(collector, 2)
    manifest = bench.archive.gather(*SEPTEMBER, "valencia_opendata", NOON)
    assert manifest is not None
    assert manifest.polls == {"frozen": 1, "stored": 1}
    assert len(bench.archive.payloads(manifest, bench.folder)) == 1


def test_snapshots_of_another_provider_are_ignored(bench: Bench) -> None:
    bench.web.on(PATH, loops(NOON))
    bench.steps(bench.collector(), 1)
    assert bench.archive.gather(*SEPTEMBER, "another", NOON) is None
    assert bench.archive.last_stored("traffic", "valencia", "another") is None


def test_collector_works_on_a_remote_archive(bench: Bench, tmp_path: Path) -> None:
    archive = PollArchive(f"memory://{tmp_path.name}")
    bench.web.on(PATH, loops(NOON), loops(NOON + timedelta(minutes=10)), Answer(b""))
    collector = bench.collector()
    collector.archive = archive
    bench.steps(collector, 3)
    manifest = archive.gather(*SEPTEMBER, "valencia_opendata", NOON)
    assert manifest is not None
    assert manifest.polls == {"empty": 1, "stored": 2}
    first, _ = archive.payloads(manifest, tmp_path)
    assert first.path.read_bytes() == loops(NOON).body
    archive.drop(*SEPTEMBER)
    assert archive.last_stored("traffic", "valencia", "valencia_opendata") is None


def test_calls_keep_the_sources_spacing() -> None:
    clock = StillClock()
    spaced, limit = Spaced(clock), RateLimit(30, 60, spacing=2)
    assert [spaced.reserve(name, limit, 60) for name in "aab"] == [0, 2, 0]
    clock.sleep(3)
    assert spaced.reserve("a", limit, 0.5) == 1  # longer than the patience: nothing is reserved
    assert spaced.reserve("a", limit, 60) == 1
    clock.sleep(60)
    assert spaced.reserve("a", limit, 60) == 0


def test_poll_outcome_must_be_one_word() -> None:
    with pytest.raises(ValueError, match="outcome"):
        Poll(at=NOON, provider="p", outcome="not a word/..")
