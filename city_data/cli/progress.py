"""What the command line shows of work: the progress of a backfill, expired months, the platform's addresses.

Belongs here: text and progress bars for people. Does not: any decision.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from city_data import environment
from city_data.local import platform
from city_data.local.ports import Ports
from city_data.pipeline.feeds import Feed
from city_data.store.connections import shared_cache, shared_database
from city_data.window import Month, Window, as_of

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry

POLL_S = 2.0


def run_backfill(console: Console, feeds: Sequence[Feed], months: Sequence[Month], only_due: bool = False) -> list[str]:
    """Materialize months in this process with a progress bar; returns one line per failure.

    `only_due` skips months that are settled or were requested within a day, so that a second start is quick.
    """
    from city_data.definitions import defs
    from city_data.operations import backfill

    todo = _todo(feeds, months, only_due)
    failed: list[str] = []
    rows, started = 0, time.monotonic()
    with backfill.warm_instance() as instance, progress(console) as shown:
        bar = shown.add_task("months", total=len(todo), rows=0, rate=0.0)
        for done in backfill.materialize(defs(), instance, todo):
            rows += done.rows
            if done.error:
                failed.append(f"{done.feed.name} {done.month}: {done.error}")
            rate = rows / (time.monotonic() - started)
            shown.update(bar, advance=1, rows=rows, rate=rate, description=f"{done.feed.name} {done.month}")
    seconds = time.monotonic() - started
    console.print(f"{len(todo) - len(failed)} of {len(todo)} months done, {rows:,} rows in {seconds:.1f} s")
    print_failures(console, failed)
    return failed


def run_cluster_backfill(
    console: Console,
    webserver: str,
    feeds: Sequence[Feed],
    months: Sequence[Month],
    wait: bool,
    only_due: bool = False,
) -> list[str]:
    """Launch asset backfills on a running Dagster, and follow them; returns one line per failure.

    `only_due` skips months that are settled or were requested within a day, and launches nothing while a backfill of
    this command is active, so that each upgrade can run it again.
    """
    from city_data.operations import backfill

    launched = backfill.active_backfills(webserver) if only_due else []
    for backfill_id in launched:
        console.print(f"backfill {backfill_id} is already running at {webserver}: nothing else is launched")
    if not launched:
        for wanted, group in backfill.groups(_todo(feeds, months, only_due)):
            launched.append(backfill.launch(webserver, group, wanted))
            names = ", ".join(feed.name for feed in group)
            console.print(f"backfill {launched[-1]} launched at {webserver}: {len(wanted)} months of {names}")
    if not launched:
        console.print("nothing to backfill: every month is settled or was requested within a day")
    return [
        line for backfill_id in launched if wait for line in _follow(console, webserver, backfill_id, feeds, months)
    ]


def _follow(
    console: Console, webserver: str, backfill_id: str, feeds: Sequence[Feed], months: Sequence[Month]
) -> list[str]:
    from city_data.operations import backfill

    with progress(console) as shown:
        bar = shown.add_task("partitions", total=None, rows=0, rate=0.0)

        def show_counts(done: int, of: int) -> None:
            shown.update(bar, completed=done, total=of or None)

        status, count = backfill.follow(webserver, backfill_id, lambda: time.sleep(POLL_S), show_counts)
    console.print(f"backfill {backfill_id}: {status}")
    if status.startswith("COMPLETED_SUCCESS") and not count:
        return []
    requested = set(months)
    failed = [
        f"{feed.name} {entry.month}: {entry.last_error}"
        for feed in feeds
        for entry in entries_of([feed]).values()
        if entry.month in requested and entry.last_error
    ]
    print_failures(console, failed or [f"{count} partitions; see the backfill in Dagster"])
    return failed or [status]


def print_ready(console: Console, ports: Ports, mode: str, feed: Feed, month: Month, seconds: float) -> None:
    """Print the addresses, and an example request for `feed`'s `month`."""
    api = f"http://127.0.0.1:{ports.api}"
    console.print(f"[bold green]ready[/] after {seconds:.0f} s")
    console.print(f"  Dagster  http://127.0.0.1:{ports.ui}")
    console.print(f"  cities   {api}/")
    locked = os.environ.get("AUTH_MODE") == "jwt"
    if not locked:
        console.print(f"  API      {api}/docs")
    coordinates = f"latitude={feed.city.latitude:.2f}&longitude={feed.city.longitude:.2f}"
    query = f"{coordinates}&start_date={month.first_day}&end_date={month.last_day}"
    route = f"/api/v1/tenants/{platform.DEMO_TENANT}/external/historical-{feed.dataset.name}"
    token = '-H "Authorization: Bearer $(city-data token)" ' if locked else ""
    console.print(f"  try      curl {token}'{api}{route}?{query}'", soft_wrap=True)
    if mode == "demo":
        console.print("All data here is invented by the sandbox and marked so in `source`. Ctrl-C stops everything.")
    elif not environment.AEMET_API_KEY.get():
        console.print("AEMET_API_KEY is not set: weather comes from the fallback, Open-Meteo, as `source` shows.")


def run_expire(console: Console, feeds: Sequence[Feed], window: Window, force: bool) -> list[str]:
    """Expire the months that have left the window; returns one line per failure."""
    from city_data.pipeline.retention import due_for_expiry, expire_all
    from city_data.store.raw import RawArchive

    stores = (
        shared_database(environment.DATABASE_URL.required()),
        RawArchive(environment.RAW_URL.required()),
        shared_cache(environment.REDIS_URL.get()),
    )
    months, why = due_for_expiry(*stores, feeds, window, force)
    console.print(f"expiring {', '.join(map(str, months)) or 'nothing'}: {why}")
    failed = []
    for done in expire_all(months, *stores, why):
        if done.error:
            failed.append(f"{done.month}: {done.error}; run it again to resume there")
        else:
            counts = f"{done.rows:,} rows, {done.raw_files} raw files, {done.cache_keys} cache keys"
            console.print(f"{done.month}: {counts}")
    print_failures(console, failed)
    return failed


def _todo(feeds: Sequence[Feed], months: Sequence[Month], only_due: bool) -> list[tuple[Feed, Month]]:
    from city_data.operations.backfill import tasks
    from city_data.pipeline.settling import is_due

    entries = entries_of(feeds) if only_due else {}
    return [
        (feed, month)
        for feed, month in tasks(feeds, months)
        if not only_due or is_due(feed, month, entries.get(_key(feed, month)), as_of())
    ]


def entries_of(feeds: Sequence[Feed]) -> dict[tuple[str, str, Month], MonthEntry]:
    """The feeds' ledger rows by city, dataset and month."""
    from city_data.store.ledger import read_months

    database = shared_database(environment.DATABASE_URL.required())
    return {
        (entry.city_id, entry.dataset, entry.month): entry
        for feed in feeds
        for entry in read_months(database, city_id=feed.city.city_id, dataset=feed.dataset.name)
    }


def _key(feed: Feed, month: Month) -> tuple[str, str, Month]:
    return (feed.city.city_id, feed.dataset.name, month)


def print_failures(console: Console, failed: Sequence[str]) -> None:
    for line in failed:
        console.print(f"[bold red]failed[/] {line}", highlight=False)


def progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rows]:,} rows {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )
