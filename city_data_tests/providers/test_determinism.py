"""The same bytes give the same month in every process, whatever order hash maps, threads and group-bys use.

CITY_DATA_TEST_HASH_SEEDS sets the number of processes; it was run with 100.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from city_data.providers import discover
from city_data_tests.oracles.months import madrid_opendata as madrid_months

HASH_SEEDS = int(os.environ.get("CITY_DATA_TEST_HASH_SEEDS", "4"))
# One line a provider: the hash of its fixture's frame, and of all that is told of its rows; Madrid's also of a large
# month whose points stand under two labels, and partly under none.
PROGRAM = """
import hashlib, sys
from dataclasses import replace
from city_data.providers import discover
from city_data.providers.base import Payload
from city_data.window import Month
from city_data_tests.providers.cases import Case
from city_data_tests.providers.wire import FIXTURES
from pathlib import Path

def told(month):
    rows = month.frame.to_csv(index=False, float_format="%r")
    rest = (month.received, month.used, dict(month.rejected), dict(month.nulled), dict(month.provenance))
    return hashlib.sha256(f"{rows} {rest}".encode()).hexdigest()

for name, provider in sorted(discover().items()):
    print(name, told(Case(provider, FIXTURES / name).parse()))
case = Case(discover()["madrid_opendata"], FIXTURES / "madrid_opendata")
file = Path(sys.argv[1])
request = replace(case.request, month=Month(2026, 6))
for _ in range(3):
    print(told(case.provider.parse(request, [Payload(file.name, file, "https://example.org")])))
"""


@pytest.fixture(scope="module")
def mixed_month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = madrid_months.rows(Random(1), 2026, 6, 12)
    for place in range(0, len(rows), 7):
        rows[place][2] = ""
    labelled = [[row[0], row[1], "M30" if row[2] == "URB" else "URB", *row[3:]] for row in rows[::3]]
    path = tmp_path_factory.mktemp("mixed") / "06-2026.zip"
    path.write_bytes(madrid_months.file(rows + labelled, 2026, 6))
    return path


@pytest.mark.timeout(60 + 20 * HASH_SEEDS)
def test_parse_result_does_not_depend_on_the_hash_seed(mixed_month: Path) -> None:
    outputs = []
    for seed in range(HASH_SEEDS):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(mixed_month)],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        )
        outputs.append(run.stdout.splitlines())
    assert outputs[1:] == outputs[:-1]
    assert len(outputs[0]) == len(discover()) + 3
    assert len(set(outputs[0][-3:])) == 1
