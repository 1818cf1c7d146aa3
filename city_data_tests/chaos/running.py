"""A run of chaos: a platform, its watcher, faults in the order of a seed, and what was found after each.

Belongs here: the loop and its setting up. Does not: arguments and the table (__main__.py), faults (faults.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from city_data.sandbox import running as sandbox_running
from city_data.window import Month, as_of, rolling_window
from city_data_tests.chaos import truth
from city_data_tests.chaos.after import Assertion, Reads, noted
from city_data_tests.chaos.faults import FAULTS
from city_data_tests.chaos.machine import Machine
from city_data_tests.chaos.scene import Scene
from city_data_tests.chaos.watcher import Series, Truth, write_plan

FIRST_START_S = 600.0
# Of a second start on an idle machine with two cores. A slower one is given longer for everything else too.
IDLE_START_S = 10.0
# By the command itself, and by Dagster's queue, daemon and code location.
LOADS = ("nothing", "backfill", "backfill", "launched backfill")
_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Outcome:
    """One fault: what was loaded meanwhile, the seconds it took with its checks, and what did not hold.

    `reads` counts the watcher's verdicts meanwhile. `ready_s` are the seconds of the second start afterwards, None
    without one.
    """

    name: str
    load: str
    seconds: float
    failures: Sequence[str]
    reads: Mapping[str, int]
    ready_s: float | None


def order(seed: int, names: Sequence[str]) -> Iterator[str]:
    """Every fault once in the seed's order, then every one again in another."""
    random = Random(f"order:{seed}")
    while True:
        yield from random.sample(list(names), len(names))


def run(
    machine: Machine,
    seed: int,
    names: Iterable[str],
    is_over: Callable[[int, float], bool],
    prepared: Path | None = None,
    restarts: bool = True,
) -> Iterator[Outcome]:
    """Faults by name, until `is_over` of their count and the seconds since the first; then the platform is stopped.

    `restarts`: with a second start after each, as against only those that a fault itself makes.
    """
    series = _series(machine)
    months = rolling_window(as_of(), machine.months).complete_months()
    usual = _set_up(machine, prepared) if restarts else _first_start(machine)
    with _watching(machine, series) as reads:
        assertion = Assertion(machine, reads, list(series), usual)
        assertion.remember()
        started = time.monotonic()
        for number, name in enumerate(names):
            if is_over(number, time.monotonic() - started):
                break
            random = Random(f"{seed}:{number}")
            month, stop_by = random.choice(months[:-1]), random.choice(_STOPS)
            yield _one(Scene(machine, random, str(month)), assertion, name, month, stop_by if restarts else None)
    with noted([]):
        machine.stop(signal.SIGINT)
    machine.kill_all()


def _one(scene: Scene, assertion: Assertion, name: str, month: Month, stop_by: int | None) -> Outcome:
    started, machine, failures = time.monotonic(), scene.machine, list[str]()
    load = scene.random.choice(LOADS)
    loading = _begin(scene, load) if load != "nothing" else None
    if loading is not None:
        time.sleep(scene.random.uniform(0, 4))  # any moment of its start, its run and its end
    with noted(failures):
        failures += FAULTS[name](scene)
    if loading is not None:
        with noted(failures):
            machine.end_of(loading)  # whatever its code: it ends
    failures += assertion.check(month, stop_by)
    seconds, reads = time.monotonic() - started, Counter[str](verdict.kind for verdict in assertion.judged)
    return Outcome(name, load, seconds, failures, reads, assertion.ready_s)


def _begin(scene: Scene, load: str) -> subprocess.Popen[bytes]:
    webserver = f"http://127.0.0.1:{scene.machine.variables['UI_PORT']}"
    where = ["--cluster", webserver] if load == "launched backfill" else []
    return scene.machine.begin(*scene.load, *where)


def _series(machine: Machine) -> dict[Series, Truth]:
    """The series of every city, with the truth of those that have one."""
    months = rolling_window(as_of(), machine.months).complete_months()
    found: dict[Series, Truth] = {}
    with sandbox_running() as sandbox:
        for city in machine.cities:
            for dataset in ("weather", "traffic"):
                if dataset not in city:
                    continue
                place = (city["latitude"], city["longitude"], city["timezone"])
                one = Series(city["city_id"], dataset, *place)
                known = city[dataset]["provider"] == "open_meteo"
                found[one] = truth.weather(sandbox, one, months) if known else {}
    return found


@contextmanager
def own_disk(home: Path, size: str = "700m") -> Iterator[bool]:
    """A small file system at the home, which may be filled; False where only root could make one."""
    home.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(home)]
    is_own = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield is_own
    finally:
        if is_own:
            subprocess.run(["umount", "-l", str(home)], check=False)


def _set_up(machine: Machine, prepared: Path | None) -> float:
    """Start once with the first backfill, unless a prepared home has one; returns the seconds of a second start.

    They say how busy or slow this machine is, and lengthen every deadline.
    """
    if prepared is not None and prepared.exists():
        subprocess.run(["cp", "-a", f"{prepared}/.", str(machine.home)], check=True)
    else:
        _first_start(machine)
        machine.stop(signal.SIGINT)
        if prepared is not None:
            shutil.rmtree(prepared, ignore_errors=True)
            subprocess.run(["cp", "-a", str(machine.home), str(prepared)], check=True)
    usual = _first_start(machine)
    machine.patience = max(machine.patience, usual / IDLE_START_S)
    return usual


def _first_start(machine: Machine) -> float:
    machine.launch()
    return machine.await_ready(FIRST_START_S)


@contextmanager
def _watching(machine: Machine, series: dict[Series, Truth]) -> Iterator[Reads]:
    plan, lines = machine.folder / "plan.json", machine.folder / "reads.jsonl"
    write_plan(plan, machine.api, rolling_window(as_of(), machine.months).complete_months(), series)
    command = [sys.executable, "-m", "city_data_tests.chaos.watcher", str(plan)]
    with lines.open("wb") as out:
        watcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out)
    try:
        yield Reads(lines)
    finally:
        watcher.terminate()
        watcher.wait()
