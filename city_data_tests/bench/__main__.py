"""`make bench`: every promised figure, beside its limit. A name as argument runs only that one."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from city_data_tests.bench import imports, ingest, meteo_france, platform, replace, serve
from city_data_tests.bench.figure import Figure

BENCHES: dict[str, Callable[[Path], Iterable[Figure]]] = {
    "imports": imports.run,
    "replace": replace.run,
    "ingest": ingest.run,
    "meteo_france": meteo_france.run,
    "platform": platform.run,
    "serve": serve.run,
}


def main() -> int:
    console = Console()
    wanted = sys.argv[1:] or list(BENCHES)
    figures: list[Figure] = []
    for name in wanted:
        console.print(f"measuring {name} ...")
        with tempfile.TemporaryDirectory(prefix="city_data-bench-", ignore_cleanup_errors=True) as folder:
            for figure in BENCHES[name](Path(folder)):
                console.print(f"  {figure.name}: {figure.shown()} {_holds(figure)}", highlight=False)
                figures.append(figure)
    table = Table("figure", "measured", "floor", "limit", "holds")
    for figure in figures:
        table.add_row(figure.name, figure.shown(), figure.floor_shown(), figure.limit_shown(), _holds(figure))
    console.print(table)
    return 0 if all(figure.holds for figure in figures) else 1


def _holds(figure: Figure) -> str:
    return "" if figure.why_skipped is not None else str(figure.holds)


if __name__ == "__main__":
    sys.exit(main())
