"""The demo's first backfill on a disk of its own that fills up: the raw archive's. Commands beside it: test_disk.py."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from city_data.cities import load_registry
from city_data.cli import stay_up
from city_data.cli.stay_up import FirstBackfill
from city_data.local import platform
from city_data.local import supervisor as supervision
from city_data.local.home import LEAST_FREE, write_private
from city_data.local.supervisor import NotHealed, Supervisor
from city_data.pipeline.feeds import enabled_feeds
from city_data.window import Month, Window
from city_data_tests.chaos.mishaps import fill
from city_data_tests.chaos.running import own_disk
from city_data_tests.world import World

MONTHS = Window(Month(2026, 9), Month(2026, 10))


@pytest.fixture
def disk(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DAGSTER_HOME", world.dagster_home)
    monkeypatch.setattr(stay_up, "GO_ON_AFTER_S", 0.0)
    with own_disk(world.folder / "raw", size=str(LEAST_FREE + (1 << 24))) as is_own:
        if not is_own:
            pytest.skip("only root can give the archive a file system of its own")
        yield world.folder / "raw"


@pytest.mark.parametrize(
    ("mode", "is_new", "is_expected"), [("demo", True, True), ("demo", False, False), ("live", True, False)]
)
def test_only_a_demo_in_a_new_home_expects_its_months(
    tmp_path: Path, mode: platform.Mode, is_new: bool, is_expected: bool
) -> None:
    if not is_new:
        write_private(tmp_path / "mode", mode)
    feeds = enabled_feeds(load_registry())
    months = sum(2 + feed.dataset.months_ahead for feed in feeds)
    assert len(stay_up._expected(tmp_path, mode, feeds, MONTHS)) == (months if is_expected else 0)


def test_process_that_cannot_be_healed_ends_the_command_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "MOST_RESTARTS", 0)
    monkeypatch.setattr(stay_up, "LOOK_EVERY_S", 0.01)
    first = FirstBackfill(Console(file=io.StringIO()), [], MONTHS, tmp_path)
    with Supervisor(print) as supervisor:
        supervisor.watch("api", lambda: "ended with code 2: no such setting", lambda: None, essential=True)
        with pytest.raises(NotHealed, match="api ended with code 2: no such setting; it did not stay up"):
            stay_up._wait(supervisor, first)


def test_full_disk_ends_the_backfill_in_one_line_and_space_lets_it_go_on(world: World, disk: Path) -> None:
    text = io.StringIO()
    first = FirstBackfill(Console(file=text, width=400), [world.feed("weather")], MONTHS, disk)
    fill(disk / "filler")
    first.run()
    (line,) = first.failed
    assert "weather/madrid 2026-10" in line
    assert "No space left on device" in line
    assert line.endswith("; it goes on when it can, or with the next start")
    assert text.getvalue().count("\n") == 1
    first.go_on()
    assert "goes on\n" not in text.getvalue()

    (disk / "filler").unlink()
    first.go_on()
    assert first.failed == []
    assert "the backfill goes on\n" in text.getvalue()
    for month in MONTHS.months():
        entry = world.entry("weather", str(month))
        assert entry is not None
        assert entry.rows == len(month.days())
    shown = text.getvalue()
    first.go_on()
    assert text.getvalue() == shown
