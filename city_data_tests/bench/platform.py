"""The demo as a user meets it: the first backfill, a 24-month read, a backfill launched from the UI."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from city_data.cities import load_registry
from city_data.local.embedded import free_port
from city_data.operations.cluster_backfill import follow, launch
from city_data.pipeline.feeds import enabled_feeds
from city_data.window import as_of, rolling_window
from city_data_tests.bench.figure import Figure

TENANT = "00000000-0000-4000-8000-000000000001"
READS = 101
READY_WITHIN_S = 600.0
STOPPED_WITHIN_S = 60.0


def run(folder: Path) -> Iterator[Figure]:
    yield from _madrid(folder / "madrid")
    yield _everywhere(folder / "everywhere")


def _madrid(folder: Path) -> Iterator[Figure]:
    api, ui = free_port(), free_port()
    with _demo(folder, api, ui, ENABLED_CITIES="madrid") as (ready, said):
        backfill = float(re.findall(r"rows in ([\d.]+) s", said)[-1])
        yield Figure("demo: first backfill, 24 months of Madrid", backfill, 60, "s")
        yield Figure("demo: ready with Madrid, packages installed", ready, 190, "s")
        yield Figure("HTTP: 24 months of hourly traffic, median", _read_ms(api), 50, "ms")
        yield Figure("backfill launched from the UI, 24 months", _ui_backfill(ui), 200, "s")


def _everywhere(folder: Path) -> Figure:
    with _demo(folder, free_port(), free_port()) as (ready, _):
        cities = len(load_registry().enabled())
        return Figure(f"demo: ready with {cities} cities, packages installed", ready, 360, "s")


@contextmanager
def _demo(folder: Path, api: int, ui: int, **variables: str) -> Iterator[tuple[float, str]]:
    """A demo that is ready: after how many seconds, and what it said until then."""
    folder.mkdir()
    own = {"CITY_DATA_HOME": str(folder / "home"), "API_PORT": str(api), "UI_PORT": str(ui), "PYTHONUNBUFFERED": "1"}
    log = folder / "demo.log"
    command = [sys.executable, "-m", "city_data.cli", "demo"]
    with log.open("wb") as out:
        demo = subprocess.Popen(command, env={**os.environ, **own, **variables}, stdout=out, stderr=out)
    try:
        ready = _await_ready(demo, log)
        yield ready, log.read_text()
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait(STOPPED_WITHIN_S)


def _await_ready(demo: subprocess.Popen[bytes], log: Path) -> float:
    started = time.monotonic()
    while not (found := re.search(r"ready after (\d+) s", log.read_text(errors="replace"))):
        if demo.poll() is not None or time.monotonic() - started > READY_WITHIN_S:
            raise RuntimeError(f"the demo did not become ready:\n{log.read_text(errors='replace')}")
        time.sleep(0.5)
    return float(found[1])


def _read_ms(api: int) -> float:
    window = rolling_window(as_of())
    months = window.complete_months()
    query = {"latitude": "40.42", "longitude": "-3.70"}
    query |= {"start_date": str(months[0].first_day), "end_date": str(months[-1].last_day)}
    url = f"http://127.0.0.1:{api}/api/v1/tenants/{TENANT}/external/operations/historical-traffic-optimized"
    expected = sum(len(month.hours("Europe/Madrid")) for month in months)
    taken = []
    with httpx.Client() as client:
        for _ in range(READS):
            started = time.perf_counter()
            response = client.get(url, params=query)
            taken.append((time.perf_counter() - started) * 1000)
            response.raise_for_status()
    if len(response.json()) != expected:
        raise RuntimeError(f"{len(response.json())} records, not {expected}")
    return statistics.median(taken)


def _ui_backfill(ui: int) -> float:
    """The same request that the page's button sends, from launch to the daemon's word that it is complete."""
    feeds = enabled_feeds(load_registry(environ={"ENABLED_CITIES": "madrid"}))
    months = rolling_window(as_of()).complete_months()
    started = time.monotonic()
    webserver = f"http://127.0.0.1:{ui}"
    status, failed = follow(webserver, launch(webserver, feeds, months), lambda: time.sleep(1), lambda *_: None)
    if failed or status != "COMPLETED_SUCCESS":
        raise RuntimeError(f"the backfill ended {status}, {failed} partitions failed")
    return time.monotonic() - started
