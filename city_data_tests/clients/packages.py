"""Where npm's packages of the tests and of the TypeScript client are, and programs of theirs.

Belongs here: finding and running them. Does not: any test.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from city_data_tests.tools import refuse_or_skip

ROOT = Path(__file__).parents[2]
TYPESCRIPT = ROOT / "api" / "clients" / "typescript"
TEST_TOOLS = ROOT / "city_data_tests" / "node_modules"


def run_tool(tool: str, *arguments: str | Path, cwd: Path = TYPESCRIPT) -> subprocess.CompletedProcess[str]:
    """A program that npm brings. Skips the test where it is absent; fails there where CI requires it."""
    for folder in (TYPESCRIPT / "node_modules", TEST_TOOLS):
        installed = folder / ".bin" / tool
        if installed.exists():
            return subprocess.run([installed, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    return refuse_or_skip(f"{tool} is not installed; `make clients` brings it where npm is")
