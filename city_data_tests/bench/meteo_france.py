"""A department's file of more than 100 MB from the source's server to city-hours: memory, and what a month costs more
than reading the file through."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from city_data.sandbox import Sandbox
from city_data_tests.bench.figure import Figure

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
LATEST = "/meteofrance.s3.sbg.io.cloud.ovh.net/data/synchro_ftp/BASE/HOR/H_75_latest-2025-2026.csv.gz"
TIMES = 3
# In a process of its own, so that the peak is its own. It prints seconds of each month and megabytes.
_MONTHS = """
import json, resource, sys, tempfile, time
from datetime import datetime
from pathlib import Path
from city_data.providers.base import Location, Request
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.meteo_france import MeteoFrance, MeteoFranceSettings
from city_data.window import Month
import pandas
source, place = MeteoFrance(), Location("paris", 48.8566, 2.3522, "Europe/Paris")
settings = MeteoFranceSettings(department="75", stations=("75114001",))
http = HttpClient(source.name, source.capabilities, settings=HttpSettings(read_timeout=300))
seconds = []
for month in sys.argv[2:]:
    request = Request(place, Month.parse(month), settings, datetime.fromisoformat(sys.argv[1]))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        frame = source.parse(request, source.fetch(request, http, Path(folder))).frame
    assert len(frame) > 700, frame
    seconds.append(time.perf_counter() - started)
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
# The least that any way of reading the file does: inflate it, and look where its lines end.
_FLOOR = """
import sys, time
from isal import igzip
started, lines = time.perf_counter(), 0
with igzip.open(sys.argv[1], "rb") as file:
    while piece := file.read(1 << 20):
        lines += len(piece.split(b"\\n")) - 1
print(time.perf_counter() - started)
"""


def run(folder: Path) -> list[Figure]:
    sandbox = Sandbox(folder / "sandbox", size="full", as_of=AS_OF)
    sandbox.start()
    try:
        environment = {
            **os.environ,
            "CITY_DATA_ROUTES": json.dumps(sandbox.routes),
            "CITY_DATA_CACHE_DIR": str(folder / "cache"),
        }
        months = ["2026-10", "2026-09", "2026-08", "2026-07"]
        command = [sys.executable, "-c", _MONTHS, AS_OF.isoformat(), *months]
        answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        downloads = sandbox.answered[LATEST, 200]
    finally:
        sandbox.stop()
    seconds, peak = json.loads(answer)
    (file,) = (folder / "sandbox").glob("meteo_france-*.csv.gz")
    with gzip.open(file) as packed:
        size = sum(len(piece) for piece in iter(lambda: packed.read(1 << 20), b"")) / 1e6
    floor = sorted(_floor(file) for _ in range(TIMES))[TIMES // 2]
    name = f"a month of a department file, {size:.0f} MB unpacked"
    return [
        Figure(f"{name}, from the source to city-hours, peak memory", peak, 300, "MB"),
        Figure("downloads of the file for 4 months", downloads, 1, ""),
        Figure("a month of the kept file / inflating it", sorted(seconds[1:])[1], 4, "s", floor),
    ]


def _floor(file: Path) -> float:
    answer = subprocess.run([sys.executable, "-c", _FLOOR, str(file)], check=True, capture_output=True, text=True)
    return float(answer.stdout)
