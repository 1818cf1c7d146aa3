"""The commands of `city-data`.

Belongs here: each command with its options and exit code. Does not: the work itself.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import UUID

import typer

from city_data import environment
from city_data.cli import errors
from city_data.cli.get import get
from city_data.cli.options import (
    CityOption,
    DatasetOption,
    FromOption,
    HomeOption,
    HoursOption,
    IntervalOption,
    ReachOption,
    SecondsOption,
    StartedWithinOption,
    ToOption,
    VersionOption,
    addresses,
    pool_slots,
    select_feeds,
    select_months,
)
from city_data.cli.terminal import HOME, console, joined_platform
from city_data.errors import ConfigurationError, UsageError
from city_data.extras import needs
from city_data.local import platform, tokens

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
app.command()(get)
DEMO_TENANT = UUID(platform.DEMO_TENANT)


@app.callback()
def options(version: VersionOption = False) -> None:
    """Shared weather and traffic history of cities."""


@app.command()
@needs("local")
def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop after the report instead of staying up.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Run the whole platform on this machine against a sandbox: backfill 24 months, then serve them."""
    _stay_up("demo", home, once)


@app.command()
@needs("local")
def up(home: HomeOption = HOME) -> None:
    """Run the platform on this machine against the live providers. Load months with `city-data backfill`."""
    _stay_up("live", home, once=False)


@app.command()
@needs("platform")
def backfill(
    city: CityOption = None,
    dataset: DatasetOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    cluster: Annotated[
        str | None,
        typer.Option(envvar=environment.WEBSERVER_URL.name, help="Launch on this Dagster webserver instead."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="The last N complete months, and the open one.")] = None,
    due: Annotated[
        bool,
        typer.Option("--due", help="Skip months that are settled or were requested within a day, so that it resumes."),
    ] = False,
    wait: Annotated[bool, typer.Option(help="With --cluster: wait until it ends.")] = True,
    started_within: StartedWithinOption = None,
    home: HomeOption = HOME,
) -> None:
    """Fetch and publish months. Exit code 1 if any failed; each failed partition is listed."""
    from city_data.cli.cluster_backfill import run_cluster_backfill
    from city_data.cli.progress import run_backfill

    window, feeds = select_feeds(city, dataset)
    months = select_months(window, feeds, from_, to, last)
    with joined_platform(home):
        if cluster:
            failed = run_cluster_backfill(console, cluster, feeds, months, wait, due, started_within)
        else:
            failed = run_backfill(console, feeds, months, due)
    raise typer.Exit(1 if failed else 0)


@app.command()
@needs("platform")
def status(
    city: CityOption = None,
    dataset: DatasetOption = None,
    days: Annotated[bool, typer.Option("--days", help="Values of each column by month and by day.")] = False,
    from_: FromOption = None,
    to: ToOption = None,
    home: HomeOption = HOME,
) -> None:
    """Show stored months: two lines per feed; with --city, --dataset or months, one row per month."""
    from city_data.cli.days import print_days
    from city_data.cli.progress import entries_of, print_sizes
    from city_data.cli.status import print_months, print_polls, print_summary
    from city_data.window import as_of

    window, feeds = select_feeds(city, dataset)
    months = select_months(window, feeds, from_, to)
    with joined_platform(home):
        entries = entries_of(feeds)
        if days:
            print_days(console, feeds, months, entries)
        elif city or dataset or from_ or to:
            print_months(console, feeds, months, window.open, entries)
        else:
            print_summary(console, feeds, window, entries)
        print_polls(console, feeds, as_of())
        if not (days or city or dataset or from_ or to):
            console.print(f"every month: city-data status --city {feeds[0].city.city_id}", highlight=False)
            if (folder := home.absolute()).exists():
                print_sizes(console, folder)


@app.command()
@needs("platform")
def replay(
    city: CityOption = None,
    dataset: DatasetOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Publish the months that changed.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Rebuild months from the raw archive, without network, and list the changes to each.

    Exit code 1 if a month cannot be rebuilt or published.
    """
    from city_data.cli.replay import run_replay

    window, feeds = select_feeds(city, dataset)
    months = select_months(window, feeds, from_, to)
    with joined_platform(home):
        failed = run_replay(console, feeds, months, apply)
    raise typer.Exit(1 if failed else 0)


@app.command()
@needs("platform")
def doctor(
    live: Annotated[bool, typer.Option("--live", help="Ask each source one small real question.")] = False,
    city: CityOption = None,
    record: Annotated[Path | None, typer.Option(help="Folder for the answers, as fixtures; with --live.")] = None,
    home: HomeOption = HOME,
) -> None:
    """Check settings, database, cache, raw archive, and each provider's connection and key; with --live its answers."""
    from city_data.operations.doctor import examine
    from city_data.operations.live_examination import examine_live
    from city_data.window import as_of

    if record is not None and not live:
        raise UsageError("--record needs --live")
    _, feeds = select_feeds(city)
    with joined_platform(home):
        healthy = examine_live(console, feeds, as_of(), record) if live else examine(console, feeds, as_of().date())
    raise typer.Exit(0 if healthy else 1)


@app.command()
@needs("platform")
def exporter(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar=environment.EXPORTER_PORT.name, min=1, max=65535, help="Port of /metrics.")
    ] = 9101,
    home: HomeOption = HOME,
) -> None:
    """Serve Prometheus metrics of the ledger until stopped."""
    from city_data.operations.exporter import serve

    select_feeds()
    with joined_platform(home):
        serve(host, port)


@app.command()
@needs("platform")
def collect(
    once: Annotated[bool, typer.Option("--once", help="Poll once and stop.")] = False,
    every: IntervalOption = 600,
    alive: Annotated[
        Path | None, typer.Option(help="As a service: touch this file each round; keep running without feeds.")
    ] = None,
    home: HomeOption = HOME,
) -> None:
    """Poll the live feeds that have no history and store their snapshots. `up` and `demo` already do this."""
    from city_data.cli.stay_up import stop_in_order_on_signals
    from city_data.operations.collector import Collector, log_as_json
    from city_data.store.polls import PollArchive

    stop_in_order_on_signals()
    feeds = [feed for feed in select_feeds()[1] if feed.live]
    with joined_platform(home):
        if not feeds:
            console.print("nothing to collect: no enabled city has a live feed")
        if feeds or (alive and not once):
            log_as_json()
            collector = Collector(feeds, PollArchive(environment.RAW_URL.required()), interval=every)
            collector.step() if once else collector.run(alive)


@app.command()
@needs("platform")
def expire(
    force: Annotated[bool, typer.Option(help="Even if the months that replace them are not loaded yet.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Delete the months that have left the window, as the retention sensor does."""
    from city_data.cli.progress import run_expire

    window, feeds = select_feeds()
    with joined_platform(home):
        failed = run_expire(console, feeds, window, force)
    raise typer.Exit(1 if failed else 0)


@app.command()
@needs("platform")
def migrate(
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="NAME=N: concurrent runs allowed to call a provider.")
    ] = None,
    wait: SecondsOption = None,
    reach: ReachOption = None,
) -> None:
    """Migrate the databases of CITY_DATA_DATABASE_URL and DAGSTER_HOME, and set the providers' pools."""
    from city_data.operations import migrate

    slots, awaited = pool_slots(pool), addresses(reach)
    if not environment.DATABASE_URL.get():
        raise ConfigurationError(
            f"{environment.DATABASE_URL} is not set; `city-data up` and `demo` migrate their own databases"
        )
    if wait is not None:
        migrate.await_migrated(console.print, wait, awaited)
    else:
        migrate.migrate(console.print, slots)


@app.command()
@needs("reader")
def token(
    tenant: Annotated[UUID, typer.Option(help="The tenant's UUID, the token's claim tenant_id.")] = DEMO_TENANT,
    subject: Annotated[str, typer.Option(help="The caller: the claim sub.")] = "local",
    hours: HoursOption = 24,
    home: HomeOption = HOME,
) -> None:
    """Print a token for this machine's reader, when it runs with AUTH_MODE=jwt. Its key is in the home."""
    folder = home.absolute()
    with platform.usable(folder):
        issued = tokens.issue(folder, tenant, subject, timedelta(hours=hours))
    typer.echo(issued)


def main() -> NoReturn:
    """The entry point: an expected error is one line on stderr and exit code 2; any other keeps its traceback."""
    sys.exit(errors.run(app, sys.argv[1:], "city-data"))


def _stay_up(mode: platform.Mode, home: Path, once: bool) -> None:
    from city_data.cli.stay_up import stay_up

    window, feeds = select_feeds()
    failed = stay_up(console, mode, home.absolute(), once, window, feeds)
    raise typer.Exit(1 if failed else 0)
