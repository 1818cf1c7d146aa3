"""Tools that are no Python package (promtool, Chromium, nginx): on the PATH, or where `.ci/tools` puts them.

Belongs here: finding them. Does not: any test.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

TOOLS = Path(sys.prefix) / "tools" / "bin"
REQUIRED_VARIABLE = "CITY_DATA_TOOLS_REQUIRED"


def find_tool(name: str) -> str:
    """The tool's path. Skips the test where it is absent, saying how to get it; fails there where CI requires it."""
    found = shutil.which(name, path=f"{TOOLS}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        message = f"{name} is not installed; `.ci/tools` brings it on Debian"
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(message)
        pytest.skip(message)
    return found
