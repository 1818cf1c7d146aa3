"""A city with a live feed only, end to end: polls over HTTP, archive, Dagster runs, ledger, reader, status, expiry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from rich.console import Console
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cli.progress import entries_of
from city_data.cli.status import print_months
from city_data.definitions import defs
from city_data.operations.collector import Collector
from city_data.pipeline.retention import expire, missing_replacements
from city_data.pipeline.settling import is_due
from city_data.store.ledger import MonthEntry
from city_data.store.polls import PollArchive
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.sandbox.asking import StillClock
from city_data_tests.world import AS_OF, World

FEED = "/MapServer/208/query"
BEAT = timedelta(minutes=10)


@dataclass
class Collecting:
    """A world whose collector polls Valencia at given moments."""

    world: World

    @property
    def archive(self) -> PollArchive:
        return PollArchive(str(self.world.folder / "raw"))

    def poll(self, *moments: datetime) -> list[str]:
        """Poll once at each moment with one collector; returns the outcomes."""
        outcomes = []
        collector = Collector([self.world.feed("traffic", "valencia")], self.archive, clock=StillClock())
        for moment in moments:
            self.world.at(moment)
            poll, _ = collector.poll(collector.feeds[0])
            outcomes.append(poll.outcome)
        return outcomes

    def over(self, start: datetime, hours: float) -> list[str]:
        """Poll at the interval for some hours."""
        return self.poll(*(start + n * BEAT for n in range(int(hours * timedelta(hours=1) / BEAT))))

    def month(self, month: str) -> MonthEntry:
        (done,) = self.world.load("traffic", month, city_id="valencia")
        assert done.error is None
        entry = self.world.entry("traffic", month, "valencia")
        assert entry is not None
        return entry


@pytest.fixture
def collecting(world: World) -> Iterator[Collecting]:
    world.enable("madrid", "valencia")
    return Collecting(world)


def test_first_partial_month_is_provisional_with_partial_coverage(collecting: Collecting) -> None:
    start = datetime(2026, 11, 24, 6, tzinfo=UTC)
    outcomes = collecting.over(start, hours=3.5)
    assert set(outcomes) == {"stored"}
    entry = collecting.month("2026-11")
    assert (entry.state, entry.version, entry.expected_rows) == ("provisional", 1, 720)
    assert entry.coverage == pytest.approx(3 / 720)
    assert entry.source == "sandbox:valencia_opendata"
    assert entry.provenance["polls"] == {"stored": 21}
    assert entry.rejected["unmoved_stamp"] > 0
    assert len(entry.raw_files) == 1  # an index: the ledger does not list thousands of snapshots
    frame = read_series(collecting.world.database, "traffic", "valencia", start, start + timedelta(hours=3))
    assert frame["traffic_volume"].between(50, 2_000).all()
    assert frame["congestion_level"].isna().all()
    assert frame["average_speed"].isna().all()
    assert [detail["method_version"] for detail in frame["raw_data"]] == [1, 1, 1]
    assert min(detail["coverage"] for detail in frame["raw_data"]) >= 0.9


def test_months_before_the_first_snapshot_are_not_available(collecting: Collecting) -> None:
    world = collecting.world
    collecting.over(AS_OF, hours=1)
    for month in ("2026-09", "2026-10"):
        entry = collecting.month(month)
        assert (entry.state, entry.version, entry.rows, entry.last_error) == ("not_available", None, 0, None)
        assert "no poll was made in it" in str(entry.provenance["reason"])
        assert not is_due(world.feed("traffic", "valencia"), Month.parse(month), entry, AS_OF + timedelta(days=400))
    assert collecting.month("2026-11").state == "provisional"

    with TestClient(create_app(Settings.model_validate({"database_url": world.database_url}))) as client:
        document = client.get("/api/v1/cities/valencia/data-availability").json()
    states = {month["month"]: month["state"] for month in document["months"]["traffic"]}
    assert states == {"2026-09": "not_available", "2026-10": "not_available", "2026-11": "provisional"}

    console = Console(record=True, width=200)
    feeds = [world.feed("traffic", "valencia")]
    print_months(console, feeds, world.window.months(), world.window.open, entries_of(feeds))
    lines = console.export_text().splitlines()
    assert sum("not_available" in line for line in lines) == 2
    assert "0 of 24 complete months stored, 0 settled, 2 not available" in lines
    (summary_line,) = [line for line in lines if line.startswith("valencia_opendata: ")]
    assert "traffic_volume; hourly, observed, lag 1 h; forward-only" in summary_line

    raw = dg.AssetKey(["valencia", "traffic_raw"])
    observed = world.instance.fetch_observations(dg.AssetRecordsFilter(raw, asset_partitions=["2026-09"]), limit=5)
    (record,) = observed.records
    assert record.asset_observation is not None
    assert record.asset_observation.metadata["state"].value == "not_available"
    assert world.instance.get_materialized_partitions(dg.AssetKey(["valencia", "traffic_monthly"])) == {"2026-11"}


def test_open_month_without_a_snapshot_is_not_yet_published(collecting: Collecting) -> None:
    entry = collecting.month("2026-11")
    assert (entry.state, entry.version) == ("not_yet_published", None)
    assert "city-data collect" in str(entry.provenance["reason"])
    assert collecting.poll(AS_OF) == ["stored"]
    first = collecting.month("2026-11")  # one snapshot makes no hour, and a month without one value is none
    assert (first.state, first.coverage, first.version) == ("not_yet_published", None, None)
    assert "1 stored polls make no value (1 stored)" in str(first.provenance["reason"])


def test_partial_month_settles_once_it_has_ended(collecting: Collecting) -> None:
    collecting.over(datetime(2026, 10, 31, 20, tzinfo=UTC), hours=5)
    collecting.world.at(datetime(2026, 11, 1, 2, tzinfo=UTC))
    entry = collecting.month("2026-10")
    assert (entry.state, entry.rows, entry.expected_rows) == ("settled", 745, 745)
    assert entry.coverage == pytest.approx(3 / 745)
    collecting.world.at(AS_OF)
    again = collecting.month("2026-10")
    assert (again.version, again.content_sha256) == (entry.version, entry.content_sha256)


def test_frozen_feed_stores_one_snapshot_and_its_later_months_are_not_available(collecting: Collecting) -> None:
    start, world = datetime(2026, 9, 30, 20, tzinfo=UTC), collecting.world
    world.sandbox.faults.order(FEED, frozen_at=start)
    assert collecting.over(start, hours=1) == ["stored"] + ["frozen"] * 5
    assert collecting.poll(start + timedelta(hours=1)) == ["frozen"]  # after a restart too
    assert len(list((world.folder / "raw/traffic/valencia/2026-09").glob("*.bin"))) == 1
    assert collecting.poll(*(datetime(2026, 10, day, 12, tzinfo=UTC) for day in (1, 9, 31))) == ["frozen"] * 3
    world.at(AS_OF)
    september, october = collecting.month("2026-09"), collecting.month("2026-10")
    assert (september.state, september.version) == ("not_available", None)
    assert "1 stored polls make no value (6 frozen, 1 stored)" in str(september.provenance["reason"])
    assert (october.state, october.version) == ("not_available", None)
    assert "none of 3 polls brought data (3 frozen)" in str(october.provenance["reason"])
    world.sandbox.faults.clear()
    assert collecting.poll(AS_OF) == ["stored"]


HEADER_ONLY = '{"displayFieldName":"","fieldAliases":{"idpm":"idpm"},"fields":[],"features":[]}'


def test_answers_without_data_are_counted_and_the_others_fill_the_hours(collecting: Collecting) -> None:
    start = datetime(2026, 11, 24, 6, tzinfo=UTC)
    bad = {"header_only": HEADER_ONLY, "empty": "\n", "html": "<html>Mantenimiento</html>"}
    outcomes = collecting.over(start, hours=1)
    for word, body in bad.items():
        collecting.world.sandbox.faults.order(FEED, body=body, times=1)
        outcomes += collecting.poll(start + timedelta(hours=1, minutes=len(outcomes) - 6))
        assert outcomes[-1] == word
    outcomes += collecting.over(start + timedelta(hours=1, minutes=10), hours=1)
    entry = collecting.month("2026-11")
    assert entry.provenance["polls"] == {"stored": 12, **dict.fromkeys(bad, 1)}
    assert entry.coverage == pytest.approx(2 / 720)


def test_expiry_of_a_month_deletes_its_snapshots(collecting: Collecting) -> None:
    world = collecting.world
    collecting.poll(datetime(2024, 11, 5, 12, tzinfo=UTC))
    expired = Month(2024, 11)
    folder = world.folder / "raw/traffic/valencia/2024-11"
    assert {path.suffix for path in folder.iterdir()} == {".bin", ".json"}
    expire(expired, world.database, world.archive, world.cache, "it is old")
    assert not folder.exists()


def test_month_that_is_not_available_does_not_block_expiry(collecting: Collecting) -> None:
    world, feeds = collecting.world, [collecting.world.feed("traffic", "valencia")]
    collecting.over(datetime(2026, 9, 30, 20, tzinfo=UTC), hours=1)
    world.at(AS_OF)
    collecting.month("2026-09")
    assert missing_replacements(world.database, world.archive, feeds, world.window) == ["traffic/valencia 2026-10"]
    assert collecting.month("2026-10").state == "not_available"
    assert missing_replacements(world.database, world.archive, feeds, world.window) == []


def test_collect_once_polls_and_logs_one_line_of_json(collecting: Collecting) -> None:
    """In a separate process, as the platform starts it."""
    line = [sys.executable, "-m", "city_data.cli", "collect", "--once"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["event"], document["feed"], document["outcome"]) == ("poll", "traffic/valencia", "stored")
    assert collecting.archive.polls("traffic", "valencia", Month(2026, 11)) == {"stored": 1}
    collecting.world.enable("madrid")
    idle = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)
    assert (idle.returncode, idle.stdout.strip()) == (0, "nothing to collect: no enabled city has a live feed")


def test_definitions_include_the_live_feeds_provider(collecting: Collecting) -> None:
    spec = defs().resolve_asset_graph().get(dg.AssetKey(["provider", "valencia_opendata"]))
    assert "forward-only" in str(spec.description)
