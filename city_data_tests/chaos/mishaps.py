"""Faults beside signals: a full disk, torn files, another clock, locks that others keep, two of a command at once.

Belongs here: how each is done. Does not: signals (faults.py), or what must hold afterwards (after.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import NamedTuple

import psycopg

from city_data_tests.chaos.machine import Machine, await_true

HOLD_S = 8.0


class Scene(NamedTuple):
    """What a fault may use. `random` is the seed's; `month` is one that is loaded."""

    machine: Machine
    random: Random
    month: str

    @property
    def load(self) -> list[str]:
        """The words of the command that loads the month again."""
        city = self.machine.cities[0]["city_id"]
        return ["backfill", "--city", city, "--dataset", "weather", "--from", self.month, "--to", self.month]


Fault = Callable[[Scene], list[str]]


def disk_full(scene: Scene) -> list[str]:
    """Every byte of the home's file system, while months are loaded; then space again."""
    home = scene.machine.home
    filler = home / "filler"
    loading = scene.machine.begin(*scene.load)
    try:
        fill(filler)
        time.sleep(scene.random.uniform(5, 20))
    finally:
        filler.unlink(missing_ok=True)
    scene.machine.end_of(loading)
    return []


def fill(filler: Path) -> None:
    with filler.open("wb") as out, closing(out):
        for size in (1 << 24, 1 << 16, 1 << 12):
            try:
                while True:
                    os.write(out.fileno(), bytes(size))
            except OSError:
                continue


def torn(pattern: str) -> Fault:
    """A file of the archive cut in half while the platform runs: the next load of its month heals it."""

    def act(scene: Scene) -> list[str]:
        files = sorted(scene.machine.home.glob(pattern.format(month=scene.month)))
        for file in files:
            os.truncate(file, file.stat().st_size // 2)
        code, text = scene.machine.run(*scene.load) if files else (0, "")
        return [] if code == 0 else [f"the load ended with {code}: {text[-300:]}"]

    return act


def torn_while_down(name: str, content: bytes) -> Fault:
    """A file as a crash of the machine may leave it."""

    def act(scene: Scene) -> list[str]:
        scene.machine.kill_all()
        file = scene.machine.home / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        scene.machine.launch()
        scene.machine.await_ready(120)
        return []

    return act


_SHIFTED = """
import sys
from datetime import datetime, timedelta
from city_data import window
from city_data.cli import main
shift = timedelta(hours=float(sys.argv.pop(1)))
class Shifted(datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + shift
window.datetime = Shifted
main()
"""


def clock_set(hours: float) -> Fault:
    """A load in a process whose clock differs from the database's: ahead it is refused, and later loads go on."""

    def act(scene: Scene) -> list[str]:
        line = [sys.executable, "-c", _SHIFTED, str(hours), *scene.load]
        done = subprocess.run(
            line, env=scene.machine.variables, capture_output=True, text=True, check=False, timeout=300
        )
        is_refused = done.returncode == 1 and "clock" in done.stdout
        if is_refused or (hours < 0 and done.returncode == 0):
            return []
        return [f"exit code {done.returncode}: {done.stdout[-300:]}{done.stderr[-300:]}"]

    return act


def locked(statement: str) -> Fault:
    """A session of somebody's that keeps the month's lock for a while."""

    def act(scene: Scene) -> list[str]:
        city = scene.machine.cities[0]["city_id"]
        with psycopg.connect(scene.machine.recorded()["CITY_DATA_DATABASE_URL"]) as connection:
            connection.execute(statement.format(city=city, month=scene.month).encode())
            loading = scene.machine.begin(*scene.load)
            time.sleep(HOLD_S)
        code, text = scene.machine.end_of(loading)
        return [] if code == 0 else [f"the load ended with {code}: {text[-300:]}"]

    return act


def two_loads(scene: Scene) -> list[str]:
    ends = [scene.machine.end_of(each) for each in [scene.machine.begin(*scene.load) for _ in range(2)]]
    return [] if 0 in [code for code, _ in ends] else [f"both failed: {ends[0][1][-200:]} {ends[1][1][-200:]}"]


def two_of_status(scene: Scene) -> list[str]:
    ends = [scene.machine.end_of(each) for each in [scene.machine.begin("status") for _ in range(2)]]
    return [f"exit code {code}: {text[-300:]}" for code, text in ends if code]


def second_start(scene: Scene) -> list[str]:
    """A start while the platform runs, at its ports and at others, is refused in a line."""
    faults = []
    for extra in ({}, {"API_PORT": "0", "UI_PORT": "0"}):
        code, text = scene.machine.run(scene.machine.mode, **_free(extra))
        if code != 2 or "error: " not in text:
            faults.append(f"exit code {code}: {text[-300:]}")
    return faults


def two_starts(scene: Scene) -> list[str]:
    """Two starts at the same moment: one is ready, the other is refused."""
    scene.machine.stop()
    await_true(lambda: not scene.machine.processes(), 20 * scene.machine.patience, "the tree ends")
    scene.machine.launch()
    other = scene.machine.begin(scene.machine.mode, **_free({"API_PORT": "0", "UI_PORT": "0"}))
    first = scene.machine.main
    await_true(lambda: first.poll() is not None or other.poll() is not None, 90 * scene.machine.patience, "one refused")
    if first.poll() is not None:  # the other has the home, at ports that nobody watches
        other.terminate()
        scene.machine.end_of(other)
        scene.machine.launch()
    else:
        scene.machine.end_of(other)
    codes = {first.poll(), other.returncode} - {None}
    scene.machine.await_ready(120)
    return [] if 2 in codes else [f"exit codes {codes}"]


def _free(names: dict[str, str]) -> dict[str, str]:
    from city_data.local.embedded import free_port

    return {name: str(free_port()) for name in names}


_ADVISORY = "SELECT pg_advisory_xact_lock(hashtextextended('{city}/weather/{month}', 0))"
_ROW = "SELECT 1 FROM city_month WHERE city_id = '{city}' AND dataset = 'weather' AND month = '{month}-01' FOR UPDATE"
MISHAPS: dict[str, Fault] = {
    "torn raw file": torn("raw/weather/*/{month}/*.bin"),
    "torn manifest": torn("raw/weather/*/{month}/*.manifest.json"),
    "torn poll record": torn("raw/traffic/*/*/*.poll.json"),
    "torn platform.json": torn_while_down("platform.json", b'{"pid": 1, "mode": "de'),
    "torn dagster.yaml": torn_while_down("dagster/dagster.yaml", b"storage: {"),
    "torn redis dump": torn_while_down("redis/dump.rdb", b"REDIS0009\xfa"),
    "clock ahead": clock_set(48),
    "clock back": clock_set(-48),
    "month locked": locked(_ADVISORY),
    "row locked": locked(_ROW),
    "two backfills": two_loads,
    "two of status": two_of_status,
    "second start": second_start,
    "two starts": two_starts,
}
