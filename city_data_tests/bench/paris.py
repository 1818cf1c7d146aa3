"""A full-size month of Paris's counts from the export to city-hours, beside a plain scan of the same bytes, and its
memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from city_data.window import Month
from city_data_tests.bench.figure import Figure
from city_data_tests.bench.parsing import SHELL, TIMES, measured

MONTH = Month(2026, 9)
# Not in this process, whose memory a measured one would begin its peak with.
_WRITE = """
import sys
from pathlib import Path
from city_data.sandbox.paris_counts import SIZES, export_csv, month_rows
from city_data.window import Month
Path(sys.argv[1]).write_bytes(export_csv(month_rows(Month.parse(sys.argv[2]), SIZES["full"])))
"""
_PARSE = SHELL.format(
    prepare="""
from datetime import UTC, datetime
from city_data.providers.base import Payload, Location, Request, Settings
from city_data.providers.paris_opendata import ParisOpenData
from city_data.window import Month
place = Location("paris", 48.8566, 2.3522, "Europe/Paris")
request = Request(place, Month.parse(sys.argv[2]), Settings(), datetime(2026, 11, 24, tzinfo=UTC))
import city_data.providers.paris_opendata.hours, pandas, polars
""",
    work="frame = ParisOpenData().parse(request, [Payload(path.name, path, 'https://example.org')]).frame",
)
# The month's typed columns, the stamps among them.
_FLOOR = SHELL.format(
    prepare="import polars as pl",
    work="pl.scan_csv(path, separator=';', try_parse_dates=True).collect()",
)


def run(folder: Path) -> list[Figure]:
    path = folder / f"{MONTH}.csv"
    subprocess.run([sys.executable, "-c", _WRITE, str(path), str(MONTH)], check=True)
    pairs = [
        (measured(_PARSE, path, MONTH), measured(_FLOOR, path, MONTH)) for _ in range(TIMES)
    ]  # in turn, as the machine varies
    parses, floors = ([pair[n] for pair in pairs] for n in (0, 1))
    seconds, floor = (sorted(one[0] for one in runs)[TIMES // 2] for runs in (parses, floors))
    return [
        Figure("a Paris month to city-hours / a plain scan", seconds, 2, "s", floor),
        Figure("a Paris month to city-hours, peak memory", max(one[1] for one in parses), 400, "MB"),
    ]
