"""Load from a process of its own: wrk with one thread. Belongs here: running it and reading its answer."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
# Each connection asks for the next of the paths; the order is the same in every run.
_SCRIPT = """
local paths, at = {PATHS}, 0
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
"""


@dataclass(frozen=True)
class Measured:
    """Requests a second, and latencies in ms."""

    per_second: float
    median_ms: float
    p99_ms: float


class NotAnswered(RuntimeError):
    """The server at `base` did not answer every request with 200 and in time."""

    def __init__(self, base: str, why: str) -> None:
        super().__init__(f"{base}: {why}")
        self.base = base


def measure(
    wrk: str,
    base: str,
    paths: Sequence[str],
    headers: dict[str, str],
    folder: Path,
    *,
    seconds: int = 2,
    connections: int = CONNECTIONS,
) -> Measured:
    """Raises NotAnswered where any answer was not 200 or did not come whole."""
    script = folder / "load.lua"
    script.write_text(_SCRIPT.replace("PATHS", ", ".join(map(json.dumps, paths))))
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", str(script)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    told = subprocess.run([*command, base], check=True, capture_output=True, text=True, timeout=seconds + 60).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise NotAnswered(base, told)
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if found is None:
        raise RuntimeError(told)
    return Measured(float(found[1]), _percentile(told, 50), _percentile(told, 99))


def _percentile(told: str, percent: int) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", told, re.MULTILINE)
    if found is None:
        raise RuntimeError(told)
    return float(found[1]) * _UNITS[found[2]]
