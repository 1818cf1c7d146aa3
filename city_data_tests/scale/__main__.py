"""`python -m city_data_tests.scale [--old TREE] [PART ...]`: the cost of hundreds of cities, old and new.

Belongs here: the parts `load`, `rotation` and `pages`, and their limits. Does not: how each is measured.
`--old` names a checkout of the earlier release with its environment in `.venv`; without it the ratios are skipped.
`CITY_DATA_CITIES_A_RUN` makes the sample of a rotation smaller.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from city_data.window import Month
from city_data_tests.bench.figure import Figure
from city_data_tests.scale import loading, pages, registry
from city_data_tests.scale.deployment import deployed, interpreter
from city_data_tests.scale.rotation import Rotation, rotate, stop_sensor

HERE = Path(__file__).parents[2]
LOADED, CITIES, A_RUN, WINDOW = (6, 100, 500), 500, 50, 24
MOST_LOAD_S, MOST_PAGE_S, MOST_OF_OLD = 1.3, 2.0, 0.2
STEPS = ("raw", "monthly", "cache")
PARTS = ("load", "rotation", "pages")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m city_data_tests.scale", description=__doc__)
    parser.add_argument("--old", type=Path, help="checkout of the earlier release")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all where none is named")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="city_data-scale-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
        holds = [_report(figure) for part in options.parts or PARTS for figure in _figures(part, folder, options.old)]
    return 0 if all(holds) else 1


def _figures(part: str, folder: Path, old: Path | None) -> Iterator[Figure]:
    if part == "load":
        yield from _load(folder, old)
    elif part == "rotation":
        yield from _rotation(folder, old)
    else:
        yield from _pages(folder)


def _load(folder: Path, old: Path | None) -> Iterator[Figure]:
    for count in LOADED:
        file = registry.write(folder / f"cities-{count}.yaml", count)
        own = [[f"city_{n:04d}", f"weather_{step}"] for n in range(min(count, A_RUN)) for step in STEPS]
        yield Figure(f"{count} cities: CPU to load a run", _loaded(HERE, file, own), MOST_LOAD_S, "s")
        if old is not None:
            seconds = _loaded(old, file, [[step, "weather", "city_0000"] for step in STEPS])
            _say(f"{count} cities, earlier release: CPU to load a run {seconds:.2f} s")


def _loaded(tree: Path, cities: Path, keys: list[list[str]]) -> float:
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONWARNINGS": "ignore", "CITY_DATA_CITIES": str(cities)}
    command = [interpreter(tree), "-P", str(loading.__file__), json.dumps(keys)]
    return float(subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _rotation(folder: Path, old: Path | None) -> Iterator[Figure]:
    before = _rotated(folder / "old", old) if old is not None else None
    now = _rotated(folder / "now", HERE)
    for name, unit, factor in (("cpu", "s", 1.0), ("wall", "s", 1.0), ("growth", "MB", 1e-6)):
        title = f"a month of {CITIES} cities x 2: {name}"
        if before is None:
            yield Figure.skipped(title, "--old names no earlier release")
        else:
            measured, floor = (factor * one.of_all(getattr(one, name)) for one in (now, before))
            yield Figure(title, measured, MOST_OF_OLD, unit, floor)


def _rotated(folder: Path, tree: Path) -> Rotation:
    """The second of two months: the first one also stores what later months find."""
    file = registry.write(folder.with_suffix(".yaml"), CITIES)
    now = datetime.now(UTC)
    with deployed(tree, folder, file, now) as deployment:
        stop_sensor(deployment, "overdue_months")  # it would record each load: no month before was ever loaded
        for back in (2, 1):
            rotation = rotate(deployment, Month.at(now, "UTC") - back)
            _say(f"{tree.name}: {rotation}")
    return rotation


def _pages(folder: Path) -> Iterator[Figure]:
    file = registry.write(folder / "pages.yaml", CITIES)
    now = datetime.now(UTC)
    closed = Month.at(now, "UTC") - 1
    with deployed(HERE, folder / "pages", file, now, cities_a_run=1) as deployment:
        _say(f"for a history: {rotate(deployment, closed)}")
        cities = [f"city_{number:04d}" for number in range(1, CITIES)]
        pages.add_history(
            deployment, cities, [str(closed - back) for back in range(WINDOW)], ("city_0000", str(closed))
        )
        for answer in pages.dagster_pages(deployment):
            title = f"{CITIES} cities, Dagster's {answer.page}: slowest of {answer.requests} requests, {answer.request}"
            yield Figure(title, answer.seconds, MOST_PAGE_S, "s")
        for path, seconds in pages.reader_answers(deployment):
            yield Figure(f"{CITIES} cities, the reader's {path}", seconds, MOST_PAGE_S, "s")


def _report(figure: Figure) -> bool:
    _say(f"{figure.name}: {figure.shown()}; limit {figure.limit_shown()}, holds: {figure.holds}")
    return figure.holds


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
