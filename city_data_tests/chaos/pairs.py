"""Two of a command at the same moment: each works, or is refused in one line.

Belongs here: every command of `city-data` that a running platform's operator may start twice. Does not: other faults
(mishaps.py, faults.py), or what must hold afterwards (after.py).
"""

from __future__ import annotations

import re
import signal
import subprocess

import httpx

from city_data import environment
from city_data.local.embedded import free_port
from city_data_tests.chaos.machine import Machine, await_true
from city_data_tests.chaos.scene import Fault, Scene

_REFUSED = re.compile(r"^error: a (demo|live) platform runs in .* already, as process \d+$", re.MULTILINE)


def two_of(*words: str) -> Fault:
    """Both end with 0."""

    def act(scene: Scene) -> list[str]:
        return _faults_of([scene.machine.begin(*words, variables=_databases(scene, words)) for _ in range(2)], scene)

    return act


def _databases(scene: Scene, words: tuple[str, ...]) -> dict[str, str]:
    """`migrate` is for databases that a deployment names."""
    return scene.machine.recorded() if words[0] == "migrate" else {}


def _faults_of(started: list[subprocess.Popen[bytes]], scene: Scene) -> list[str]:
    ends = [scene.machine.end_of(each) for each in started]
    return [f"exit code {code}: {text[-300:]}" for code, text in ends if code]


def two_replays(scene: Scene) -> list[str]:
    words = ["replay", "--apply", *scene.load[1:]]
    return _faults_of([scene.machine.begin(*words) for _ in range(2)], scene)


def two_loads(scene: Scene) -> list[str]:
    """One may be refused by the other's lock."""
    ends = [scene.machine.end_of(each) for each in [scene.machine.begin(*scene.load) for _ in range(2)]]
    return [] if 0 in [code for code, _ in ends] else [f"both failed: {ends[0][1][-200:]} {ends[1][1][-200:]}"]


def two_exporters(scene: Scene) -> list[str]:
    """At one port: one answers, the other says why it cannot."""
    port = free_port()
    both = [scene.machine.begin("exporter", "--port", str(port)) for _ in range(2)]
    await_true(lambda: _ended(both), 60 * scene.machine.patience, "one exporter refused")
    loser, winner = sorted(both, key=lambda each: each.poll() is None)
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=20)
    winner.terminate()
    scene.machine.end_of(winner)
    code, text = scene.machine.end_of(loser)
    faults = [] if answer.is_success and "city_data_" in answer.text else [f"metrics: status {answer.status_code}"]
    return faults if code == 2 and "cannot listen on" in text else [*faults, f"exit code {code}: {text[-300:]}"]


def second_start(scene: Scene) -> list[str]:
    """A start while the platform runs, at its ports and at others, is refused in a line."""
    faults = []
    for ports in ({}, _free_ports()):
        code, text = scene.machine.run(scene.machine.mode, variables=ports)
        if code != 2 or "error: " not in text:
            faults.append(f"exit code {code}: {text[-300:]}")
    return faults


def two_demos(scene: Scene) -> list[str]:
    """One is ready, the other is refused."""
    machine = scene.machine
    machine.stop()
    await_true(lambda: not machine.processes(), 20 * machine.patience, "the tree ends")
    faults = _two_starts(machine)
    machine.await_ready(120)
    return faults


def two_ups(scene: Scene) -> list[str]:
    """The same of live platforms, in a home of their own beside the running demo. They call the demo's sandbox."""
    machine = Machine(scene.machine.folder / "live", scene.machine.cities, mode="up", patience=scene.machine.patience)
    machine.variables[environment.ROUTES.name] = scene.machine.recorded()[environment.ROUTES.name]
    try:
        faults = _two_starts(machine)
        machine.await_ready(120)
        code = machine.stop(signal.SIGINT)
        await_true(lambda: not machine.processes(), 10 * machine.patience, "no process left after the stop")
    finally:
        machine.kill_all()
    return faults if code == 0 else [*faults, f"stopped with exit code {code}"]


def _two_starts(machine: Machine) -> list[str]:
    """Two starts at the same moment, at ports of their own; the one at the machine's ports goes on."""
    machine.launch()
    first, other = machine.main, machine.begin(machine.mode, variables=_free_ports())
    await_true(lambda: _ended([first, other]), 90 * machine.patience, "one of two starts refused")
    if other.poll() is None:  # it has the home, at ports that nobody watches
        code, text = first.wait(), machine.log.read_text(errors="replace")
        other.terminate()
        machine.end_of(other)
        machine.launch()
    else:
        code, text = machine.end_of(other)
    return [] if code == 2 and _REFUSED.search(text) else [f"exit code {code}: {text[-300:]}"]


def _ended(processes: list[subprocess.Popen[bytes]]) -> bool:
    return any(process.poll() is not None for process in processes)


def _free_ports() -> dict[str, str]:
    return {name: str(free_port()) for name in ("API_PORT", "UI_PORT")}


PAIRS: dict[str, Fault] = {
    **{
        f"two of {words[0]}": two_of(*words)
        for words in (
            ("status",),
            ("get", "town", "weather", "--from", "2026-09", "--to", "2026-09"),
            ("doctor",),
            ("collect", "--once"),
            ("expire",),
            ("migrate",),
            ("token",),
        )
    },
    "two of backfill": two_loads,
    "two of replay": two_replays,
    "two of exporter": two_exporters,
    "two of demo": two_demos,
    "two of up": two_ups,
    "second start": second_start,
}
