"""Faults beside signals: a full disk, torn files, another clock, locks that others keep.

Belongs here: how each is done. Does not: signals (faults.py), two of a command at once (pairs.py), or what must hold
afterwards (after.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg

from city_data_tests.chaos.scene import Fault, Scene

HOLD_S = 8.0


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
        if not tear(scene, pattern):
            return [f"no file is {pattern}"]
        code, text = scene.machine.run(*scene.load)
        return [] if code == 0 else [f"the load ended with {code}: {text[-300:]}"]

    return act


def torn_polls(scene: Scene) -> list[str]:
    """Every poll so far. None can be made again: the open month is built from the next ones, or says why it is not."""
    if not tear(scene, "raw/traffic/*/*/*.poll.json"):
        return ["no poll was stored"]
    code, text = scene.machine.run("collect", "--once")
    if code:
        return [f"a poll ended with {code}: {text[-300:]}"]
    code, text = scene.machine.run("backfill", "--city", "port", "--dataset", "traffic", "--last", "1")
    return [] if code == 0 or "is damaged" in text else [f"the load ended with {code}: {text[-300:]}"]


def tear(scene: Scene, pattern: str) -> int:
    """The number of files cut in half."""
    files = sorted(scene.machine.home.glob(pattern.format(month=scene.month)))
    for file in files:
        os.truncate(file, file.stat().st_size // 2)
    return len(files)


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


_ADVISORY = "SELECT pg_advisory_xact_lock(hashtextextended('{city}/weather/{month}', 0))"
_ROW = "SELECT 1 FROM city_month WHERE city_id = '{city}' AND dataset = 'weather' AND month = '{month}-01' FOR UPDATE"
MISHAPS: dict[str, Fault] = {
    "torn raw file": torn("raw/weather/*/{month}/*.bin"),
    "torn manifest": torn("raw/weather/*/{month}/*.manifest.json"),
    "torn poll records": torn_polls,
    "torn platform.json": torn_while_down("platform.json", b'{"pid": 1, "mode": "de'),
    "torn dagster.yaml": torn_while_down("dagster/dagster.yaml", b"storage: {"),
    "torn redis dump": torn_while_down("redis/dump.rdb", b"REDIS0009\xfa"),
    "clock ahead": clock_set(48),
    "clock back": clock_set(-48),
    "month locked": locked(_ADVISORY),
    "row locked": locked(_ROW),
}
