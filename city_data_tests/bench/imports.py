"""What loading the code location costs, beside `import dagster` alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from city_data_tests.bench.figure import Figure, alternating


def run(folder: Path) -> list[Figure]:
    def load(module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=folder)

    load("city_data.definitions")
    measured, floor = alternating(lambda: load("city_data.definitions"), lambda: load("dagster"), 9)
    return [Figure("import city_data.definitions / import dagster", measured, 1.5, "s", floor)]
