"""`city-data doctor`: checks of a deployment's settings, stores and providers, with a remedy for each failure.

Belongs here: read-only checks. Does not: any repair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date

from rich.console import Console

from city_data import environment
from city_data.cities import City
from city_data.errors import CityDataError
from city_data.pipeline.feeds import Feed
from city_data.providers.base import NotConfigured, Provider, ProviderError
from city_data.providers.http import HttpClient, HttpSettings
from city_data.store.connections import shared_cache, shared_database
from city_data.store.raw import RawArchive

# Someone is waiting at the terminal: one attempt with short timeouts.
_QUICK = HttpSettings(read_timeout=10, deadline=15, attempts=1)

Finding = tuple[str, bool, str]


def examine(console: Console, feeds: Sequence[Feed], today: date) -> bool:
    """Print one line per check; True if every required one passed."""
    findings = list(_findings(feeds, today))
    for name, good, text in findings:
        console.print(f"{'[green]ok[/]  ' if good else '[bold red]bad[/] '} {name}: {text}", highlight=False)
    return all(good for _, good, _ in findings)


def _findings(feeds: Sequence[Feed], today: date) -> Iterator[Finding]:
    yield _tried("database", _database)
    yield _tried("cache", lambda: shared_cache(environment.REDIS_URL.get()).status())
    yield _tried("raw archive", _archive)
    yield "local holidays", True, unentered({feed.city.city_id: feed.city for feed in feeds}.values(), today.year)
    first_choices = {feed.primary.provider.name for feed in feeds}
    providers = {choice.provider.name: choice.provider for feed in feeds for choice in feed.choices}
    for provider in providers.values():
        yield _provider(provider, needed=provider.name in first_choices, feeds=feeds)


def unentered(cities: Iterable[City], year: int) -> str:
    """The cities whose `local_holidays` lack this year or the next, which training frames mark as not known."""
    lists = [(city.city_id, city.local_holidays) for city in cities]
    lacking = {
        each: [city_id for city_id, feasts in lists if feasts is None or feasts.of_year(each) is None]
        for each in (year, year + 1)
    }
    texts = [f"not known for {each}: {', '.join(names)}" for each, names in lacking.items() if names]
    remedy = "; add them to `local_holidays` in the registry once they are published" if texts else ""
    return ("; ".join(texts) or f"entered to {year + 1}") + remedy


def _database() -> str:
    from city_data.store.migrate import is_current

    current = is_current(shared_database(environment.DATABASE_URL.required()))
    return "answers, schema up to date" if current else "answers, but its schema is old: run `city-data migrate`"


def _archive() -> str:
    months = RawArchive(environment.RAW_URL.required()).months()
    return f"{len(months)} months at {environment.RAW_URL.required()}"


def _tried(name: str, examine_it: Callable[[], str]) -> Finding:
    try:
        return name, True, examine_it()
    except (CityDataError, OSError) as error:
        return name, False, str(error)


def _provider(provider: Provider, needed: bool, feeds: Sequence[Feed]) -> Finding:
    spare = all(feed.fallback for feed in feeds if feed.primary.provider is provider)
    try:
        line = provider.check_connection(HttpClient(provider.name, provider.capabilities, settings=_QUICK))
    except NotConfigured as error:
        return provider.name, not needed or spare, f"{error}" + (" (the fallback serves instead)" if spare else "")
    except ProviderError as error:
        return provider.name, False, str(error)
    return provider.name, True, line
