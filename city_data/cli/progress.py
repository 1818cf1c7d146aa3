"""What the command line shows of work: the progress of a backfill, expired months, the platform's addresses.

Belongs here: text and progress bars for people. Does not: any decision.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from city_data import environment
from city_data.errors import CityDataError
from city_data.interruption import Stop, on_signals
from city_data.local import platform
from city_data.local.home import sizes
from city_data.local.ports import Ports
from city_data.pipeline.feeds import Feed
from city_data.pipeline.settling import NO_SPACE
from city_data.store.connections import shared_cache, shared_database
from city_data.window import Month, Window, as_of

if TYPE_CHECKING:
    from city_data.local.worker import Worker
    from city_data.operations.backfill import Done, Task
    from city_data.store.ledger import MonthEntry

LINE_EVERY_S = 5.0


class DiskFull(CityDataError):
    """A month failed for want of space, and so would every other; the text names the month and the cause."""


def run_backfill(
    console: Console,
    feeds: Sequence[Feed],
    months: Sequence[Month],
    only_due: bool = False,
    early: Sequence[Worker] = (),
) -> list[str]:
    """Materialize months on this machine, newest first, and show the progress; returns one line per failure.

    `only_due` skips months that are settled or were requested within a day, so that a second start is quick.
    `early` workers are used first. A signal stops it after the running months: raises typer.Exit with the signal's exit
    code. Raises DiskFull.
    """
    from city_data.operations import backfill

    tasks = backfill.newest_first(todo(feeds, months, only_due))
    failed: list[str] = []
    full: DiskFull | None = None
    rows, done_months, started = 0, 0, time.monotonic()
    with on_signals() as stop, Steps(console, "months", len(tasks)) as steps:
        for done in _results(tasks, stop, early):
            rows += done.rows
            done_months += 1
            if done.error and NO_SPACE in done.error:
                full = DiskFull(f"{done.feed.name} {done.month}: {' '.join(done.error.split())}")
                break
            if done.error:
                failed.append(f"{done.feed.name} {done.month}: {done.error}")
            steps.advance(f"{done.feed.name} {done.month}", rows)
    if full is not None:
        raise full
    seconds = time.monotonic() - started
    console.print(f"{done_months - len(failed)} of {len(tasks)} months done, {rows:,} rows in {seconds:.1f} s")
    print_failures(console, failed)
    if stop.number is not None:
        name = signal.Signals(stop.number).name
        console.print(
            f"stopped by {name}; the same command goes on, and `city-data backfill --due` skips loaded months"
        )
        raise typer.Exit(stop.exit_code)
    return failed


def _results(todo: Sequence[Task], stop: Stop, early: Sequence[Worker]) -> Iterator[Done]:
    """In worker processes, or in this one where that is faster."""
    from city_data.definitions import month_job
    from city_data.local.worker import worker_count
    from city_data.local.workers import materialize_in_workers
    from city_data.operations.backfill import materialize
    from city_data.operations.instance import warm_instance

    if (count := worker_count(todo)) > 1:
        yield from materialize_in_workers(todo, count, stop, early)
        return
    with warm_instance() as instance:
        yield from materialize(month_job, instance, todo, stop=stop)


def print_sizes(console: Console, folder: Path) -> None:
    """What the home holds on the disk, by part."""
    parts = (f"{name} {decimal(size)}" for name, size in sizes(folder).items())
    console.print(str(folder), highlight=False, markup=False, soft_wrap=True)
    console.print(f"  {', '.join(parts)}", highlight=False, markup=False)


def print_addresses(console: Console, ports: Ports) -> None:
    api = f"http://127.0.0.1:{ports.api}"
    console.print(f"  Dagster  http://127.0.0.1:{ports.ui}")
    console.print(f"  cities   {api}/")
    if os.environ.get("AUTH_MODE") != "jwt":
        console.print(f"  API      {api}/docs")


def print_ready(console: Console, ports: Ports, mode: str, feed: Feed, month: Month, seconds: float) -> None:
    """Print the addresses, and an example request for `feed`'s `month`."""
    api = f"http://127.0.0.1:{ports.api}"
    console.print(f"[bold green]ready[/] after {seconds:.0f} s")
    print_addresses(console, ports)
    locked = os.environ.get("AUTH_MODE") == "jwt"
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


def todo(feeds: Sequence[Feed], months: Sequence[Month], only_due: bool) -> list[tuple[Feed, Month]]:
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
        console.print(f"[bold red]failed[/] {line}", highlight=False, soft_wrap=True)


class Steps:
    """Progress of a known number of steps: a bar on a terminal, elsewhere a line every few seconds."""

    def __init__(self, console: Console, name: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._name, self._total, self._done = console, name, total, 0
        self._bar = progress(console) if console.is_terminal else None
        self._clock = clock
        self._started = self._printed = clock()

    def __enter__(self) -> Steps:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total, rows=0, rate=0.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, description: str, rows: int = 0) -> None:
        self._done += 1
        now = self._clock()
        if self._bar:
            rate = rows / max(now - self._started, 0.001)
            self._bar.update(self._task, advance=1, rows=rows, rate=rate, description=description)
        elif now - self._printed >= LINE_EVERY_S or self._done == 1:
            self._printed = now
            rate = self._done / max(now - self._started, 0.001)
            left = (self._total - self._done) / rate
            text = f"{self._done} of {self._total} {self._name}, {rate:.1f} a second, {left:.0f} s left: {description}"
            self._console.print(text, highlight=False, markup=False)


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
