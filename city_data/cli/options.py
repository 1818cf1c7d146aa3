"""Options shared by the commands, and the feeds, months and pools that their values select.

Belongs here: declarations and validation, without a database. Does not: any command (commands.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from city_data import environment
from city_data.cities import City, Registry, RegistryError, load_registry
from city_data.datasets import DATASETS
from city_data.errors import CityDataError, UsageError, unknown
from city_data.window import InvalidMonth, Month, Window, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.pipeline.feeds import Feed


_KNOWN = " or ".join(DATASETS)


def _city_ids(incomplete: str) -> list[str]:
    try:
        cities = load_registry().enabled()
    except CityDataError:
        return []  # completion cannot show an error; the command itself reports it
    return [city.city_id for city in cities if city.city_id.startswith(incomplete.casefold())]


def _dataset_names(incomplete: str) -> list[str]:
    return [name for name in DATASETS if name.startswith(incomplete.casefold())]


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"city-data {version('city-data')}")
        raise typer.Exit


CityOption = Annotated[
    list[str] | None,
    typer.Option("--city", help="Only this city, by id or name; repeatable.", autocompletion=_city_ids, metavar="NAME"),
]
FromOption = Annotated[str | None, typer.Option("--from", help="First month, such as 2024-11.", metavar="YYYY-MM")]
ToOption = Annotated[str | None, typer.Option("--to", help="Last month, included.", metavar="YYYY-MM")]
DatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help=f"Only {_KNOWN}.", autocompletion=_dataset_names, metavar="NAME"),
]
CityArgument = Annotated[
    str, typer.Argument(help="A city, by id or name.", autocompletion=_city_ids, metavar="CITY", show_default=False)
]
DatasetArgument = Annotated[
    str,
    typer.Argument(help=f"{_KNOWN}.", autocompletion=_dataset_names, metavar="DATASET", show_default=False),
]
FirstOption = Annotated[
    str | None,
    typer.Option("--from", help="First day, month or time: 2026-09-01, 2026-09.", metavar="WHEN"),
]
LastOption = Annotated[str | None, typer.Option("--to", help="Last day, month or time, included.", metavar="WHEN")]
FormatOption = Annotated[str, typer.Option("--format", help="csv, json, ndjson, parquet or arrow.", metavar="FORMAT")]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="The file to write; without it standard output.", metavar="FILE")
]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar=environment.HOME.name, help="State folder of the platform on this machine.")
]
SecondsOption = Annotated[
    float | None,
    typer.Option(min=0, callback=_finite, help="Change nothing; wait up to this many seconds for the migration."),
]
StartedWithinOption = Annotated[
    float | None,
    typer.Option(
        min=1,
        callback=_finite,
        help="With --cluster: wait up to this many seconds for the webserver, and for each backfill's first run.",
    ),
]
ReachOption = Annotated[
    list[str] | None, typer.Option("--reach", help="With --wait: HOST:PORT that must accept connections too.")
]
IntervalOption = Annotated[
    float,
    typer.Option(envvar=environment.COLLECT_EVERY.name, min=60, callback=_finite, help="Seconds between polls."),
]
HoursOption = Annotated[float, typer.Option(min=0.01, max=24 * 366, callback=_finite, help="Hours of validity.")]
VersionOption = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]


def select_feeds(cities: Sequence[str] | None = None, dataset: str | None = None) -> tuple[Window, list[Feed]]:
    """The window, and the enabled feeds of these cities and this dataset (default: all).

    Raises UsageError naming the option and the known values, ConfigurationError, RegistryError.
    """
    from city_data.pipeline.feeds import enabled_feeds

    window, registry = rolling_window(as_of()), load_registry()
    named = [enabled_city(registry, name).city_id for name in cities or []]
    if dataset is not None and dataset.casefold() not in DATASETS:
        raise UsageError(f"--dataset: {unknown('dataset', dataset, DATASETS)}")
    of_cities = [feed for feed in enabled_feeds(registry) if not named or feed.city.city_id in named]
    feeds = [feed for feed in of_cities if dataset is None or feed.dataset.name == dataset.casefold()]
    if not of_cities:
        lacking = f"no source of {', '.join(named)}" if named else "no city that has a source"
        raise RegistryError(f"{lacking} is enabled; see ENABLED_CITIES and CITY_DATA_CITIES")
    if not feeds:
        has = ", ".join(feed.name for feed in of_cities)
        raise UsageError(f"--dataset: {', '.join(named) or 'no enabled city'} has no {dataset}; enabled: {has}")
    return window, feeds


def enabled_city(registry: Registry, name: str, option: str = "--city") -> City:
    """The city of an id or name. Raises UsageError naming the option."""
    try:
        city = registry.get(name)
    except RegistryError as error:
        raise UsageError(f"{option}: {error}") from None
    if not city.enabled:
        enabled = ", ".join(city.city_id for city in registry.enabled()) or "none"
        raise UsageError(f"{option}: {city.city_id} is not enabled (ENABLED_CITIES); enabled: {enabled}")
    return city


def select_months(
    window: Window, feeds: Sequence[Feed], first: str | None = None, last: str | None = None, count: int | None = None
) -> list[Month]:
    """The months from `first` to `last`, by default all that the feeds reach; `count` counts back from the open month.

    Raises UsageError naming the option.
    """
    from city_data.pipeline.feeds import months_of

    reached = months_of(feeds, window)
    if first is not None and count is not None:
        raise UsageError("--from and --last exclude each other: both name the first month")
    start = _month("--from", first, window, reached[-1]) if first is not None else window.first
    if count is not None and count < len(window.complete_months()):
        start = window.open - count
    end = _month("--to", last, window, reached[-1]) if last is not None else reached[-1]
    if start > end:
        named = "--from" if count is None else f"--last {count}, from"
        raise UsageError(f"{named} {start} is later than --to {end}: the range is reversed")
    return list(start.until(end + 1))


def _month(option: str, text: str, window: Window, newest: Month) -> Month:
    try:
        month = Month.parse(text)
    except InvalidMonth as error:
        raise UsageError(f"{option}: {error}") from None
    if month > newest:
        last = "the open month, the last of the window," if newest == window.open else "the last month ahead"
        raise UsageError(f"{option} {month} lies ahead; {last} is {newest}")
    if month < window.first:
        raise UsageError(f"{option} {month} lies before the window, which is {window.first} to {newest}")
    return month


def addresses(reach: list[str] | None) -> list[tuple[str, int]]:
    """HOST:PORT as host and port. Raises UsageError."""
    pairs = []
    for text in reach or []:
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f"--reach {text}: write HOST:PORT")
        pairs.append((host, int(port)))
    return pairs


def pool_slots(texts: Sequence[str] | None) -> dict[str, int]:
    """`aemet=2` by name. Raises UsageError."""
    slots = {}
    for text in texts or []:
        name, _, count = text.partition("=")
        if not name or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--pool {text!r}: write NAME=N with N of at least 1, such as aemet=2")
        slots[name] = int(count)
    return slots
