"""What loading the code location costs, beside `import dagster` alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from city_data_tests.bench.figure import Figure, median_seconds


def run(folder: Path) -> list[Figure]:
    def load(module: str) -> None:
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=folder)

    load("city_data.definitions")
    floor = median_seconds(lambda: load("dagster"), 7)
    measured = median_seconds(lambda: load("city_data.definitions"), 7)
    return [Figure("import city_data.definitions / import dagster", measured, 1.5, "s", floor)]
