"""Terminal output of `city-data replay`: progress, the changes to each month, and the published versions.

Belongs here: text, tables and bars. Does not: rebuilding (pipeline/replay.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from city_data import environment
from city_data.cli.progress import Steps, print_failures
from city_data.interruption import on_signals
from city_data.pipeline.feeds import Feed
from city_data.pipeline.replay import REBUILT_STEPS, Rebuilt, rebuild
from city_data.store.connections import shared_database
from city_data.store.raw import RawArchive
from city_data.window import Month

COLOURS = {
    "unchanged": "green",
    "changed": "yellow",
    "not_archived": "dim",
    "refused": "bold red",
    "broken": "bold red",
}


def run_replay(console: Console, feeds: Sequence[Feed], months: Sequence[Month], apply: bool) -> list[str]:
    """Rebuild the months, print their differences from the served ones, and with `apply` publish those that changed.

    Returns one line per month that could not be rebuilt or published.
    """
    from city_data.operations.backfill import tasks

    database, archive = shared_database(environment.DATABASE_URL.required()), RawArchive(environment.RAW_URL.required())
    todo, rebuilt = tasks(feeds, months), []
    with Steps(console, "months rebuilt", len(todo)) as shown:
        for feed, month in todo:
            rebuilt.append(rebuild(feed, month, archive, database))
            shown.advance(f"{feed.name} {month}")
    _print_changes(console, rebuilt)
    failed = [
        f"{r.feed.name} {r.month}: {r.outcome}: {r.detail}" for r in rebuilt if r.outcome in ("refused", "broken")
    ]
    changed = [r for r in rebuilt if r.outcome == "changed"]
    if not changed:
        console.print("nothing to publish: the served months equal the rebuilt ones")
    elif apply:
        failed += _publish(console, changed)
    else:
        console.print(f"nothing was published; `city-data replay --apply` publishes {len(changed)} new versions")
    print_failures(console, failed)
    return failed


def _publish(console: Console, changed: Sequence[Rebuilt]) -> list[str]:
    from city_data.definitions import month_job
    from city_data.operations.backfill import materialize
    from city_data.operations.instance import warm_instance

    failed = []
    published = 0
    with on_signals() as stop, warm_instance() as instance, Steps(console, "new versions", len(changed)) as shown:
        for done in materialize(month_job, instance, [(r.feed, r.month) for r in changed], REBUILT_STEPS, stop):
            if done.error:
                failed.append(f"{done.feed.name} {done.month}: {done.error}")
            published += done.error is None
            shown.advance(f"{done.feed.name} {done.month}")
    console.print(f"{published} new versions published")
    if stop.number is not None:
        raise typer.Exit(stop.exit_code)
    return failed


def _print_changes(console: Console, rebuilt: Sequence[Rebuilt]) -> None:
    columns = ("month", "outcome", "rows", "column", "cells changed", "mean before", "mean after", "largest difference")
    for name in dict.fromkeys(r.feed.name for r in rebuilt):
        table = Table(*columns, title=f"{name}: served and rebuilt", title_justify="left")
        for one in rebuilt:
            if one.feed.name == name:
                for line in _lines(one):
                    table.add_row(*line)
        console.print(table)
    counts = {word: sum(r.outcome == word for r in rebuilt) for word in COLOURS}
    console.print(", ".join(f"{count} {word.replace('_', ' ')}" for word, count in counts.items() if count))


def _lines(one: Rebuilt) -> list[list[str]]:
    rows = f"{one.rows_before} to {one.rows_after}" if one.outcome == "changed" else str(one.rows_after or "")
    head = [str(one.month), f"[{COLOURS[one.outcome]}]{one.outcome.replace('_', ' ')}[/]", rows]
    if not one.columns:
        return [[*head, *[""] * 5]]
    lines = []
    for name, change in one.columns.items():
        numbers = [change.mean_before, change.mean_after, change.largest]
        lines.append([*head, name, str(change.cells), *("" if n is None else f"{n:.3f}" for n in numbers)])
        head = ["", "", ""]
    return lines
