"""The faults that one machine's platform must survive, each by a name.

Belongs here: how each is done. Does not: which comes when (running.py), or what must hold afterwards (after.py).
A fault gives back what went wrong while it lasted, in words; most find nothing then.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

from city_data_tests.chaos.machine import ROLES, await_true
from city_data_tests.chaos.mishaps import MISHAPS, disk_full
from city_data_tests.chaos.pairs import PAIRS
from city_data_tests.chaos.scene import Fault, Scene

HEAL_S = 60.0  # a silence of 30 s, and a start


def signalled(role: str, number: int) -> Fault:
    def act(scene: Scene) -> list[str]:
        if (process := scene.machine.process(role)) is None:
            return [f"no process is the {role}"]
        process.send_signal(number)
        if role == "supervisor":
            await_true(lambda: not scene.machine.processes(), HEAL_S * scene.machine.patience, "the tree ends with it")
            return _started_anew(scene)
        return _healed(scene, role, process)

    return act


def killed_at_once(*roles: str) -> Fault:
    """Several at the same moment, as the kernel does where memory is short."""

    def act(scene: Scene) -> list[str]:
        processes = {role: scene.machine.process(role) for role in roles}
        for process in processes.values():
            if process is not None:
                process.kill()
        missing = [f"no process is the {role}" for role, process in processes.items() if process is None]
        healed = (_healed(scene, role, process) for role, process in processes.items() if process is not None)
        return [*missing, *(fault for faults in healed for fault in faults)]

    return act


def stopped(role: str) -> Fault:
    """SIGSTOP: the process is there and answers nothing. Another has to take its place, except of the supervisor's."""

    def act(scene: Scene) -> list[str]:
        if (process := scene.machine.process(role)) is None:
            return [f"no process is the {role}"]
        process.suspend()
        try:
            if role == "supervisor":
                time.sleep(scene.random.uniform(2, 8))
                return []
            return _healed(scene, role, process)
        finally:
            if process.is_running():
                process.resume()

    return act


def tree(number: int) -> Fault:
    """A signal to every process at once, as a machine that goes down, or a shell that closes."""

    def act(scene: Scene) -> list[str]:
        for process in scene.machine.processes():
            _send(process, number)
        if number == signal.SIGSTOP:
            time.sleep(scene.random.uniform(2, 8))
            for process in scene.machine.processes():
                _send(process, signal.SIGCONT)
            return []
        await_true(lambda: not scene.machine.processes(), HEAL_S * scene.machine.patience, "the tree ends")
        return _started_anew(scene)

    return act


def _send(process: psutil.Process, number: int) -> None:
    try:
        os.kill(process.pid, number)
    except ProcessLookupError:
        return


def _healed(scene: Scene, role: str, before: psutil.Process) -> list[str]:
    """Another process has the role, by the supervisor's doing."""

    def is_healed() -> bool:
        now = scene.machine.process(role)
        return now is not None and (now.pid, now.create_time()) != (before.pid, before.create_time())

    await_true(is_healed, HEAL_S * scene.machine.patience, f"another {role}")
    return []


def _started_anew(scene: Scene) -> list[str]:
    scene.machine.main.wait(10)
    scene.machine.launch()
    scene.machine.await_ready(120)
    return []


FAULTS: dict[str, Fault] = {
    **{f"kill {role}": signalled(role, signal.SIGKILL) for role in (*ROLES, "supervisor")},
    **{f"terminate {role}": signalled(role, signal.SIGTERM) for role in (*ROLES, "supervisor")},
    **{f"stop {role}": stopped(role) for role in (*ROLES, "supervisor")},
    "kill reader and databases": killed_at_once("PostgreSQL", "Redis", "reader"),
    "kill all of Dagster": killed_at_once("daemon", "webserver", "code location"),
    "kill the tree": tree(signal.SIGKILL),
    "terminate the tree": tree(signal.SIGTERM),
    "stop the tree": tree(signal.SIGSTOP),
    **MISHAPS,
    **PAIRS,
}
# Only where the home is a file system of its own.
DISK_FULL = "disk full"
FAULTS[DISK_FULL] = disk_full
