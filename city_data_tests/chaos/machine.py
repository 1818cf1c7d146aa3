"""One machine's platform as its operator has it: `city-data demo` in a home of its own, its processes by role.

Belongs here: starting, stopping, running commands beside it, finding its processes. Does not: faults (faults.py), or
what must hold after one (after.py).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import psutil
import yaml

from city_data.local.embedded import free_port

Mode = Literal["demo", "up"]
# By a part of the command line. The supervisor is the command itself.
ROLES = {
    "PostgreSQL": "bin/postgres ",
    "Redis": "redis-server",
    "sandbox": "city_data.sandbox",
    "daemon": "dagster._daemon",
    "webserver": "city_data.local.webserver",
    "code location": "code-server start",
    "reader": "-m api",
    "collector": "city_data.cli collect",
}
_PLACE = {"country": "ES", "radius_km": 30, "timezone": "Europe/Madrid", "enabled": True}
TOWN = {**_PLACE, "city_id": "town", "name": "Town", "latitude": 40.4, "longitude": -3.7}
PORT = {**_PLACE, "city_id": "port", "name": "Port", "latitude": 39.47, "longitude": -0.38}
TOWN_AND_PORT: list[dict[str, Any]] = [
    {**TOWN, "weather": {"provider": "open_meteo"}, "traffic": {"provider": "madrid_opendata"}},
    {**PORT, "weather": {"provider": "open_meteo"}, "traffic": {"provider": "valencia_opendata"}},
]
_READY = re.compile(r"ready.* after (\d+) s")


class NotReady(Exception):
    """The platform ended, or was not ready in time; the text ends with its last lines."""


def await_true(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Raises TimeoutError, which names `what` was awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


@dataclass
class Machine:
    """`patience` multiplies every deadline, for a machine that does other work too. `ready_s`: of the last start."""

    folder: Path
    cities: Sequence[dict[str, Any]] = tuple(TOWN_AND_PORT)
    months: int = 24
    mode: Mode = "demo"
    patience: float = 1.0
    starts: int = 0
    ready_s: float | None = None
    _main: subprocess.Popen[bytes] | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        registry = self.folder / "cities.yaml"
        registry.write_text(yaml.safe_dump({"cities": list(self.cities)}))
        foreign = ("CITY_DATA_", "AEMET", "ENABLED", "DAGSTER", "API_", "AUTH_", "UI_PORT")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        self.variables = {
            **inherited,
            "CITY_DATA_HOME": str(self.home),
            "CITY_DATA_CITIES": str(registry),
            "CITY_DATA_RETENTION_MONTHS": str(self.months),
            "API_PORT": str(free_port()),
            "UI_PORT": str(free_port()),
            "COLUMNS": "160",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.variables['API_PORT']}"

    @property
    def log(self) -> Path:
        return self.folder / f"start-{self.starts}.log"

    @property
    def main(self) -> subprocess.Popen[bytes]:
        assert self._main is not None
        return self._main

    def recorded(self) -> dict[str, str]:
        """The running platform's variables, by which its databases are reached."""
        return dict(json.loads((self.home / "platform.json").read_text())["environment"])

    def launch(self) -> None:
        self.starts, self.ready_s = self.starts + 1, None
        self._main = self.begin(self.mode, log=self.log)

    def await_ready(self, seconds: float) -> float:
        """The seconds that the command itself reports, which `ready_s` keeps. Raises NotReady."""
        deadline = time.monotonic() + seconds * self.patience
        while not (ready := _READY.search(self.log.read_text(errors="replace"))):
            if self.main.poll() is not None or time.monotonic() > deadline:
                end = self.log.read_text(errors="replace").splitlines()[-6:]
                raise NotReady(f"not ready within {seconds * self.patience:.0f} s: {' | '.join(end)}")
            time.sleep(0.1)
        self.ready_s = float(ready[1])
        return self.ready_s

    def stop(self, number: int = signal.SIGTERM, seconds: float = 40) -> int:
        """The command's exit code. Raises TimeoutError where it does not end, after killing it."""
        try:
            self.main.send_signal(number)
            return self.main.wait(seconds * self.patience)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"signal {number}: not ended within {seconds * self.patience:.0f} s") from error

    def kill_all(self) -> None:
        for process in self.processes():
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if self._main is not None:
            self._main.wait(60)

    def begin(
        self, *arguments: str, log: Path | None = None, variables: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.Popen[bytes]:
        """A command of `city-data` in the background, whose output goes to `log`, else to a pipe."""
        # Under `nohup`, whose children ignore SIGHUP as it does, the platform would rightly outlive it.
        line = ["env", "--default-signal=HUP", sys.executable, "-m", "city_data.cli", *arguments]
        out: Any = log.open("wb") if log else subprocess.PIPE
        try:
            return subprocess.Popen(
                line,
                env={**self.variables, **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
            )
        finally:
            if log:
                out.close()

    def run(self, *arguments: str, variables: Mapping[str, str] = MappingProxyType({})) -> tuple[int, str]:
        """A command's exit code and output. Raises TimeoutError, after killing it."""
        return self.end_of(self.begin(*arguments, variables=variables))

    def end_of(self, process: subprocess.Popen[bytes], seconds: float = 90) -> tuple[int, str]:
        try:
            out, _ = process.communicate(timeout=seconds * self.patience)
        except subprocess.TimeoutExpired as error:
            process.kill()
            out, _ = process.communicate()
            text = out.decode(errors="replace").strip().splitlines()[-1:]
            raise TimeoutError(f"{process.args!r} did not end; its last line: {text}") from error
        return process.returncode, out.decode(errors="replace")

    def processes(self) -> list[psutil.Process]:
        """Every process of this home that works: found by its environment, since some command lines name no home."""
        return [process for process in psutil.process_iter() if self._is_own(process)]

    def process(self, role: str) -> psutil.Process | None:
        """The role's process; of several, such as PostgreSQL's, the parent of the others."""
        if role == "supervisor":
            return psutil.Process(self.main.pid)
        own = [p for p in self.processes() if ROLES[role] in f"{' '.join(_command_line(p))} "]
        return min(own, key=psutil.Process.create_time, default=None)

    def _is_own(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            # Redis writes its title over its arguments and its environment.
            named = f"{' '.join(process.cmdline())} {process.cwd()}"
            return str(self.home) in named or process.environ().get("CITY_DATA_HOME") == str(self.home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
