"""What the command line shows of backfills on a running Dagster: their launch, progress and end.

Belongs here: text for people. Does not: requests to Dagster (operations/cluster_backfill.py), or backfills on this
machine (progress.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from city_data.cli.progress import entries_of, print_failures, progress, todo
from city_data.operations import cluster_backfill
from city_data.pipeline.feeds import Feed
from city_data.window import Month

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry


POLL_S = 2.0


def run_cluster_backfill(
    console: Console,
    webserver: str,
    feeds: Sequence[Feed],
    months: Sequence[Month],
    wait: bool,
    only_due: bool = False,
    started_within: float | None = None,
) -> list[str]:
    """Launch asset backfills on a running Dagster, and follow them; returns one line per failure.

    `only_due` skips months that are settled or were requested within a day, and launches nothing while a backfill of
    this command is active, so that each upgrade can run it again. `started_within` waits so many seconds for the
    webserver and for each backfill's first run. Raises BackfillError.
    """
    deadline = None if started_within is None else cluster_backfill.Deadline(started_within)
    if deadline:
        cluster_backfill.await_webserver(webserver, deadline)
    launched = cluster_backfill.active_backfills(webserver) if only_due else []
    for backfill_id in launched:
        console.print(f"backfill {backfill_id} is already running at {webserver}: nothing else is launched")
    if not launched:
        for wanted, group in cluster_backfill.groups(todo(feeds, months, only_due)):
            launched.append(cluster_backfill.launch(webserver, group, wanted))
            names = ", ".join(feed.name for feed in group)
            console.print(f"backfill {launched[-1]} launched at {webserver}: {len(wanted)} months of {names}")
    if not launched:
        console.print("nothing to backfill: every month is settled or was requested within a day")
    for backfill_id in launched:
        if deadline:
            cluster_backfill.await_first_run(webserver, backfill_id, deadline)
            console.print(f"backfill {backfill_id} has requested its first run")
    return _outcome(console, webserver, launched, feeds, months) if wait else []


def _outcome(
    console: Console, webserver: str, backfill_ids: Sequence[str], feeds: Sequence[Feed], months: Sequence[Month]
) -> list[str]:
    """Follow the backfills to their end; returns one line per failure. Months without data are named, not failed."""
    unsuccessful = [
        f"backfill {backfill_id}: {status}; see it in Dagster"
        for backfill_id in backfill_ids
        if (status := _follow(console, webserver, backfill_id)) != "COMPLETED_SUCCESS"
    ]
    requested = set(months)
    entries = [entry for entry in entries_of(feeds).values() if entry.month in requested]
    for line in without_data(entries):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if not unsuccessful:
        return []
    failed = [
        f"{entry.dataset}/{entry.city_id} {entry.month}: {entry.last_error}" for entry in entries if entry.last_error
    ]
    print_failures(console, failed or unsuccessful)
    return failed or unsuccessful


def _follow(console: Console, webserver: str, backfill_id: str) -> str:
    """Show the progress of a backfill until it ends; returns its status, with Dagster's reason."""
    with progress(console) as shown:
        bar = shown.add_task("partitions", total=None, rows=0, rate=0.0)

        def show_counts(done: int, of: int) -> None:
            shown.update(bar, completed=done, total=of or None)

        status, _ = cluster_backfill.follow(webserver, backfill_id, lambda: time.sleep(POLL_S), show_counts)
    console.print(f"backfill {backfill_id}: {status}")
    return status


def without_data(entries: Sequence[MonthEntry]) -> list[str]:
    """One line for the months of a feed that its source does not have, or has not published, with the last reason."""
    absent: dict[tuple[str, str, str], list[MonthEntry]] = {}
    for entry in entries:
        if not entry.has_data and entry.state in ("not_available", "not_yet_published"):
            absent.setdefault((entry.dataset, entry.city_id, entry.state), []).append(entry)
    return [
        f"{state.replace('_', ' ')}: {dataset}/{city} {_span(of_feed)}: {of_feed[-1].provenance.get('reason', '')}"
        for (dataset, city, state), of_feed in absent.items()
    ]


def _span(entries: Sequence[MonthEntry]) -> str:
    months = sorted(entry.month for entry in entries)
    return str(months[0]) if len(months) == 1 else f"{months[0]} to {months[-1]}, {len(months)} months"
