"""What the command line shows of work: the progress of a backfill, what was expired, where the platform is.

Belongs here: words, tables and bars for people. Does not: deciding anything.
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
    """Materialize months in this process with a progress bar; returns what failed, one line each.

    `only_due` leaves out what is settled or was asked for within the day, so that a second start is quick.
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
    """Launch asset backfills at a running Dagster, and follow them; returns what failed.

    `only_due` leaves out what is settled or was asked for within the day, and launches nothing beside a backfill that
    is still under way: so it can be asked again at each upgrade.
    """
    from city_data.operations import backfill

    launched = backfill.under_way(webserver) if only_due else []
    for backfill_id in launched:
        console.print(f"backfill {backfill_id} is under way at {webserver}: nothing is launched beside it")
    if not launched:
        for wanted, group in backfill.groups(_todo(feeds, months, only_due)):
            launched.append(backfill.launch(webserver, group, wanted))
            names = ", ".join(feed.name for feed in group)
            console.print(f"backfill {launched[-1]} launched at {webserver}: {len(wanted)} months of {names}")
    if not launched:
        console.print("every month is settled, or was asked for within the day: nothing to backfill")
    return [
        line for backfill_id in launched if wait for line in _follow(console, webserver, backfill_id, feeds, months)
    ]


def _follow(
    console: Console, webserver: str, backfill_id: str, feeds: Sequence[Feed], months: Sequence[Month]
) -> list[str]:
    from city_data.operations import backfill

    with progress(console) as shown:
        bar = shown.add_task("partitions", total=None, rows=0, rate=0.0)

        def told(done: int, of: int) -> None:
            shown.update(bar, completed=done, total=of or None)

        status, count = backfill.follow(webserver, backfill_id, lambda: time.sleep(POLL_S), told)
    console.print(f"backfill {backfill_id}: {status}")
    if status.startswith("COMPLETED_SUCCESS") and not count:
        return []
    asked = set(months)
    failed = [
        f"{feed.name} {entry.month}: {entry.last_error}"
        for feed in feeds
        for entry in entries_of([feed]).values()
        if entry.month in asked and entry.last_error
    ]
    print_failures(console, failed or [f"{count} partitions; see the backfill in Dagster"])
    return failed or [status]


def print_ready(console: Console, ports: Ports, mode: str, feed: Feed, month: Month, seconds: float) -> None:
    """Where everything is, with a read of `feed`'s `month` to try."""
    api = f"http://127.0.0.1:{ports.api}"
    console.print(f"[bold green]ready[/] after {seconds:.0f} s")
    console.print(f"  Dagster  http://127.0.0.1:{ports.ui}")
    console.print(f"  cities   {api}/")
    locked = os.environ.get("AUTH_MODE") == "jwt"
    if not locked:
        console.print(f"  API      {api}/docs")
    place = f"latitude={feed.city.latitude:.2f}&longitude={feed.city.longitude:.2f}"
    query = f"{place}&start_date={month.first_day}&end_date={month.last_day}"
    route = f"/api/v1/tenants/{platform.DEMO_TENANT}/external/historical-{feed.dataset.name}"
    token = '-H "Authorization: Bearer $(city-data token)" ' if locked else ""
    console.print(f"  try      curl {token}'{api}{route}?{query}'", soft_wrap=True)
    if mode == "demo":
        console.print("All data here is made up by the sandbox, and says so in `source`. Ctrl-C stops everything.")
    elif not environment.AEMET_API_KEY.get():
        console.print("AEMET_API_KEY is not set: weather comes from the fallback, Open-Meteo, and says so in `source`.")


def run_expire(console: Console, feeds: Sequence[Feed], window: Window, force: bool) -> list[str]:
    """Expire what has left the window; returns what broke off, one line each."""
    from city_data.pipeline.retention import due_for_expiry, expire_all
    from city_data.store.raw import RawArchive

    places = (
        shared_database(environment.DATABASE_URL.required()),
        RawArchive(environment.RAW_URL.required()),
        shared_cache(environment.REDIS_URL.get()),
    )
    months, why = due_for_expiry(*places, feeds, window, force)
    console.print(f"expiring {', '.join(map(str, months)) or 'nothing'}: {why}")
    failed = []
    for done in expire_all(months, *places, why):
        if done.error:
            failed.append(f"{done.month}: {done.error}; run it again, and it goes on from there")
        else:
            counts = f"{done.rows:,} rows, {done.raw_files} raw files, {done.cache_keys} cache keys"
            console.print(f"{done.month}: {counts}")
    print_failures(console, failed)
    return failed


def _todo(feeds: Sequence[Feed], months: Sequence[Month], only_due: bool) -> list[tuple[Feed, Month]]:
    from city_data.operations.backfill import tasks
    from city_data.pipeline.settling import is_due

    held = entries_of(feeds) if only_due else {}
    return [
        (feed, month)
        for feed, month in tasks(feeds, months)
        if not only_due or is_due(feed, month, held.get(_key(feed, month)), as_of())
    ]


def entries_of(feeds: Sequence[Feed]) -> dict[tuple[str, str, Month], MonthEntry]:
    """The ledger's rows of the feeds, by city, dataset and month."""
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
