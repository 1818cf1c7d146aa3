"""`make bench`: every promised figure, beside its limit. A name as argument runs only that one.

A part that fails costs its remaining figures only: the others are measured, and the exit code is 1.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.table import Table

from city_data.errors import one_line
from city_data_tests.bench import frames, imports, ingest, meteo_france, paris, platform, replace, serve
from city_data_tests.bench.figure import Figure

BENCHES: dict[str, Callable[[Path], Iterable[Figure]]] = {
    "imports": imports.run,
    "replace": replace.run,
    "ingest": ingest.run,
    "meteo_france": meteo_france.run,
    "paris": paris.run,
    "platform": platform.run,
    "serve": serve.run,
    "frames": frames.run,
}


class Part:
    """The context of one part: its failure is printed and kept, and the next part goes on. Ctrl-C ends them all."""

    def __init__(self, name: str, console: Console, failed: list[str]) -> None:
        self._name, self._console, self._failed = name, console, failed

    def __enter__(self) -> None:
        self._console.print(f"measuring {self._name} ...")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        self._failed.append(f"{self._name}: {type(error).__name__}: {one_line(error)}")
        self._console.print("".join(traceback.format_exception(error)), highlight=False, markup=False)
        return True


def main(arguments: Sequence[str]) -> int:
    console = Console()
    figures: list[Figure] = []
    failed: list[str] = []
    for name in arguments or BENCHES:
        with (
            Part(name, console, failed),
            tempfile.TemporaryDirectory(prefix="city_data-bench-", ignore_cleanup_errors=True) as folder,
        ):
            for figure in BENCHES[name](Path(folder)):
                console.print(f"  {figure.name}: {figure.shown()} {_holds(figure)}", highlight=False)
                figures.append(figure)
    _print_report(console, figures, failed)
    return 0 if all(figure.holds for figure in figures) and not failed else 1


def _print_report(console: Console, figures: Sequence[Figure], failed: Sequence[str]) -> None:
    table = Table("figure", "measured", "floor", "limit", "holds")
    for figure in figures:
        table.add_row(figure.name, figure.shown(), figure.floor_shown(), figure.limit_shown(), _holds(figure))
    console.print(table)
    for line in failed:
        console.print(f"failed {line}", highlight=False, markup=False, soft_wrap=True)


def _holds(figure: Figure) -> str:
    return "" if figure.why_skipped is not None else str(figure.holds)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
