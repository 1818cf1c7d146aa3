"""`city-data`: the platform from a terminal.

Belongs here: commands, their options, what they print and their exit codes. Does not: the work itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from uuid import UUID

import typer
from rich.console import Console

from city_data.defs.resources import DATABASE_VARIABLE, RAW_VARIABLE
from city_data.local import platform, tokens
from city_data.window import Month, Window, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.pipeline.feeds import Feed

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Shared weather and traffic history of cities.")
# A log file has no width of its own; 80 would cut the tables.
console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160)
INTERVAL_VARIABLE = "CITY_DATA_COLLECT_EVERY"

CityOption = Annotated[list[str] | None, typer.Option("--city", help="Only this city; may be repeated.")]
FromOption = Annotated[str | None, typer.Option("--from", help="First month, such as 2024-11.")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last month, included.")]
DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Only weather or traffic.")]


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the report instead of staying up.")] = False,
    home: Annotated[Path | None, typer.Option(help="State folder (CITY_DATA_HOME).")] = None,
) -> None:
    """Everything on this machine with a stand-in for the providers: backfill 24 months, then serve them."""
    _stay_up("demo", home, once)


@app.command()
def up(home: Annotated[Path | None, typer.Option(help="State folder (CITY_DATA_HOME).")] = None) -> None:
    """The platform on this machine with the live providers. Backfill with `city-data backfill`."""
    _stay_up("live", home, once=False)


@app.command()
def backfill(
    city: CityOption = None,
    dataset: DatasetOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    cluster: Annotated[
        str | None, typer.Option(envvar="CITY_DATA_WEBSERVER_URL", help="A Dagster webserver that runs it instead.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="The last N complete months, and the open one.")] = None,
    due: Annotated[
        bool, typer.Option("--due", help="Leave out what is settled or was asked for within the day; so it resumes.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="On a cluster: wait until it ends.")] = True,
) -> None:
    """Fetch and publish months. Exit code 1, naming the partitions, when any failed."""
    from city_data.cli.progress import run_backfill, run_cluster_backfill

    with _platform():
        window, feeds = _selection(city, dataset)
        months = _months(window, from_ or (str(max(window.first, window.open - last)) if last else None), to)
        if cluster:
            failed = run_cluster_backfill(console, cluster, feeds, months, wait, due)
        else:
            failed = run_backfill(console, feeds, months, due)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(
    city: CityOption = None,
    dataset: DatasetOption = None,
    days: Annotated[bool, typer.Option("--days", help="Each column's values, month by month and day by day.")] = False,
    from_: FromOption = None,
    to: ToOption = None,
) -> None:
    """What is held: every feed in one line; with --city, --dataset or months, every month in a table."""
    from city_data.cli.days import print_days
    from city_data.cli.progress import entries_of
    from city_data.cli.status import print_months, print_summary

    with _platform():
        window, feeds = _selection(city, dataset)
        months, held = _months(window, from_, to), entries_of(feeds)
        if days:
            print_days(console, feeds, months, held)
        elif city or dataset or from_ or to:
            print_months(console, feeds, months, window.open, held)
        else:
            print_summary(console, feeds, window, held)
            console.print(f"every month: city-data status --city {feeds[0].city.city_id}", highlight=False)


@app.command()
def replay(
    city: CityOption = None,
    dataset: DatasetOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Publish the months that changed.")] = False,
) -> None:
    """Rebuild months from the raw archive, without network, and say which would change and by how much.

    Exit code 1 where a month cannot be rebuilt, or not be published.
    """
    from city_data.cli.replay import run_replay

    with _platform():
        window, feeds = _selection(city, dataset)
        failed = run_replay(console, feeds, _months(window, from_, to), apply)
    raise typer.Exit(1 if failed else 0)


@app.command()
def doctor() -> None:
    """Check what the platform needs: settings, database, cache, archive, and each provider's answer and key."""
    from city_data.operations.doctor import examine

    with _platform():
        _, feeds = _selection(None, None)
        healthy = examine(console, feeds)
    raise typer.Exit(0 if healthy else 1)


@app.command()
def exporter(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="EXPORTER_PORT", help="Port of /metrics.")] = 9101,
) -> None:
    """Serve what the ledger knows as Prometheus metrics, until it is stopped."""
    from city_data.operations.exporter import serve

    with _platform():
        serve(host, port)


@app.command()
def collect(
    once: Annotated[bool, typer.Option("--once", help="Poll once and stop.")] = False,
    every: Annotated[float, typer.Option(envvar=INTERVAL_VARIABLE, min=60, help="Seconds from poll to poll.")] = 600,
    alive: Annotated[Path | None, typer.Option(help="As a service: touch this file each round, stay if idle.")] = None,
) -> None:
    """Poll the live feeds that have no history, and keep their snapshots. `up` and `demo` do this by themselves."""
    from city_data.cli.stay_up import stop_in_order_on_signals
    from city_data.operations.collector import Collector, log_as_json
    from city_data.store.polls import SnapshotArchive

    stop_in_order_on_signals()
    with _platform():
        feeds = [feed for feed in _selection(None, None)[1] if feed.live]
        if not feeds:
            console.print("nothing to collect: no enabled city has a live feed")
        if feeds or (alive and not once):
            log_as_json()
            collector = Collector(feeds, SnapshotArchive(os.environ[RAW_VARIABLE]), interval=every)
            collector.step() if once else collector.run(alive)


@app.command()
def expire(
    force: Annotated[bool, typer.Option(help="Also where the months that replace them are not there yet.")] = False,
) -> None:
    """Drop the months that have left the window, as the retention sensor does."""
    from city_data.cli.progress import run_expire

    with _platform():
        window, feeds = _selection(None, None)
        failed = run_expire(console, feeds, window, force)
    raise typer.Exit(1 if failed else 0)


@app.command()
def migrate(
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="NAME=N: runs that may call a provider at once.")
    ] = None,
    wait: Annotated[float | None, typer.Option(help="Change nothing; wait at most so many seconds for it.")] = None,
) -> None:
    """Bring the databases of CITY_DATA_DATABASE_URL and DAGSTER_HOME to this code, and set the providers' pools."""
    from city_data.operations import migrate

    if not os.environ.get(DATABASE_VARIABLE):
        raise ValueError(f"{DATABASE_VARIABLE} is not set; `city-data up` and `demo` migrate their own databases")
    if wait is not None:
        migrate.await_migrated(console.print, wait)
    else:
        migrate.migrate(console.print, dict(_slots(text) for text in pool or []))


@app.command()
def token(
    tenant: Annotated[str, typer.Option(help="The tenant's UUID, the token's claim tenant_id.")] = platform.DEMO_TENANT,
    subject: Annotated[str, typer.Option(help="Who asks: the claim sub.")] = "local",
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 366, help="How long it is good.")] = 24,
    home: Annotated[Path | None, typer.Option(help="State folder (CITY_DATA_HOME).")] = None,
) -> None:
    """A token for the reader of this machine, when it was started with AUTH_MODE=jwt. Its key lies in the home."""
    typer.echo(tokens.issue((home or platform.home()).absolute(), UUID(tenant), subject, timedelta(hours=hours)))


def main() -> NoReturn:
    """The entry point: expected errors are one line and exit code 2, never a stack."""
    from city_data.cities import RegistryError
    from city_data.local.embedded import EmbeddedError
    from city_data.operations.backfill import BackfillError
    from city_data.operations.migrate import DeployError
    from city_data.providers.base import ProviderError
    from city_data.store.database import DatabaseUnavailable

    try:
        app()
    except (
        platform.LocalError,
        RegistryError,
        BackfillError,
        EmbeddedError,
        ProviderError,
        DeployError,
        DatabaseUnavailable,
        ValueError,
    ) as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False)
        sys.exit(2)
    sys.exit(0)


def _stay_up(mode: platform.Mode, home: Path | None, once: bool) -> None:
    from city_data.cli.stay_up import stay_up

    failed = stay_up(console, mode, home, once, lambda: _selection(None, None))
    raise typer.Exit(1 if failed else 0)


@contextmanager
def _platform() -> Iterator[None]:
    with platform.environment(platform.home()) as variables:
        os.environ.update(variables)
        yield


def _selection(cities: list[str] | None, dataset: str | None) -> tuple[Window, list[Feed]]:
    from city_data.cities import load_registry
    from city_data.pipeline.feeds import enabled_feeds

    registry = load_registry()
    for city in cities or []:
        registry.get(city)
    feeds = [
        feed
        for feed in enabled_feeds(registry)
        if (not cities or feed.city.city_id in cities) and dataset in (None, feed.dataset.name)
    ]
    if not feeds:
        raise ValueError("nothing is enabled that has such a city and dataset; see city_data/cities.yaml")
    return rolling_window(as_of()), feeds


def _months(window: Window, first: str | None, last: str | None) -> list[Month]:
    start = Month.parse(first) if first else window.first
    end = Month.parse(last) if last else window.open
    wanted = list(start.until(end + 1))
    outside = [str(month) for month in wanted if month not in window]
    if outside or not wanted:
        raise ValueError(f"{', '.join(outside) or 'no month'} asked; the window is {window.first} to {window.open}")
    return wanted


def _slots(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdigit() or int(count) < 1:
        raise ValueError(f"--pool {text}: write NAME=N with N of at least 1, such as aemet=2")
    return name, int(count)
