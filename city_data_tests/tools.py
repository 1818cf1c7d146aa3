"""Tools that are no Python package (promtool, Chromium, nginx): on the PATH, or where `.ci/tools` puts them.

Belongs here: finding them. Does not: any test.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

TOOLS = Path(sys.prefix) / "tools" / "bin"
REQUIRED_VARIABLE = "CITY_DATA_TOOLS_REQUIRED"


def find_tool(name: str) -> str:
    """The tool's path. Skips the test where it is absent, saying how to get it; fails there where CI requires it."""
    return find_program(name) or refuse_or_skip(f"{name} is not installed; `.ci/tools` brings what Debian has")


def find_program(name: str) -> str | None:
    """The tool's path, None where it is absent."""
    return shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")


def refuse_or_skip(message: str) -> NoReturn:
    """The end of a test whose tool is absent."""
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail(message)
    pytest.skip(message)
