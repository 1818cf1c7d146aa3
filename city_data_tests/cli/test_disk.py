"""A disk that fills up during a demo's first backfill: one line, reads go on; with space the backfill goes on too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from city_data_tests.chaos.machine import TOWN, Machine, await_true
from city_data_tests.chaos.mishaps import fill
from city_data_tests.chaos.running import own_disk
from city_data_tests.chaos.watcher import TENANT


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with own_disk(tmp_path / "home") as is_own:
        if not is_own:
            pytest.skip("only root can give the home a file system of its own")
        made = Machine(tmp_path, [{**TOWN, "weather": {"provider": "open_meteo"}}], months=12, patience=4)
        try:
            yield made
        finally:
            made.kill_all()


# About 40 s; `make chaos` fills the disk too, after the first backfill.
@pytest.mark.skipif(not os.environ.get("CITY_DATA_TEST_DISK"), reason="CITY_DATA_TEST_DISK is not set")
@pytest.mark.timeout(600)
def test_full_disk_ends_the_first_backfill_in_a_line_and_space_lets_it_go_on(machine: Machine) -> None:
    machine.launch()
    await_true(lambda: "1 of 13 months" in machine.log.read_text(), 120, "the first month")
    filler = machine.home / "filler"
    try:
        fill(filler)
        await_true(lambda: "it goes on when it can" in machine.log.read_text(), 120, "the backfill's end")
        assert machine.log.read_text().count("failed ") == 1
        query = {"latitude": "40.4", "longitude": "-3.7", "start_date": "2026-01-01", "end_date": "2026-01-31"}
        url = f"{machine.api}/api/v1/tenants/{TENANT}/external/historical-weather"
        assert httpx.get(f"{machine.api}/health/live", timeout=30).status_code == 200
        assert httpx.get(url, params=query, timeout=30).status_code in (200, 503)
    finally:
        filler.unlink()
    await_true(lambda: "the backfill goes on" in machine.log.read_text(), 240, "the backfill")
    await_true(lambda: "months done" in machine.log.read_text().rpartition("goes on")[2], 240, "its end")
    assert machine.main.poll() is None
    code, text = machine.run("status", "--city", "town")
    assert code == 0, text
    assert "12 of 12 complete months stored" in text
    assert machine.stop(signal.SIGINT) == 0
