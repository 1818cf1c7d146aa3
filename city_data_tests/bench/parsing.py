"""A parser's time and memory, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from city_data.window import Month

TIMES = 3
# A process's own peak; it prints seconds and megabytes. `path` is the file, and sys.argv[2] its month.
SHELL = """
import resource, sys, time
from pathlib import Path
path = Path(sys.argv[1])
{prepare}
started = time.perf_counter()
{work}
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measured(program: str, path: Path, month: Month) -> tuple[float, float]:
    """The seconds and the megabytes that a program of SHELL prints."""
    command = [sys.executable, "-c", program, str(path), str(month)]
    seconds, peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(peak)
