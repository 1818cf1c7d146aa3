"""The terminal that a command prints to, and the platform that it works on.

Belongs here: what every command shares. Does not: any command (commands.py), or starting a platform
(local/platform.py).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from city_data import environment
from city_data.local import platform

# A log file has no width; the default of 80 would truncate the tables.
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
HOME = Path(environment.HOME.default or "")


@contextmanager
def joined_platform(home: Path) -> Iterator[None]:
    """The platform of the home, or a deployment's own: its variables are in this process's environment."""
    with platform.joined(home.absolute(), _print_line) as variables:
        os.environ.update(variables)
        yield


def _print_line(text: str) -> None:
    console.print(text, highlight=False, markup=False)
