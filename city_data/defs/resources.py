"""Dagster resources: database, cache, raw archive and HTTP client, configured by environment variables.

Belongs here: access for runs. Does not: its use. Connections open on first use, so that definitions load without
secrets and a missing variable fails only the runs that need it. No resource has a configuration: a run's configuration
is written by anyone who may launch a run, and must not choose an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from city_data import environment
from city_data.pipeline.feeds import Feed, record_providers
from city_data.providers.base import Provider
from city_data.providers.http import HttpClient
from city_data.store.connections import shared_cache, shared_database
from city_data.store.polls import PollArchive
from city_data.window import Month

if TYPE_CHECKING:
    from city_data.store.cache import Cache
    from city_data.store.database import Database
    from city_data.store.ledger import MonthEntry, Recheck, State
    from city_data.store.months import MonthLoad, Published
    from city_data.store.skill import LeftOut, Skill


class DatabaseResource(dg.ConfigurableResource["DatabaseResource"]):
    """The PostgreSQL database of published months."""

    def open(self) -> Database:
        return shared_database(environment.DATABASE_URL.required())

    def entry(self, feed: Feed, month: Month) -> MonthEntry | None:
        """The ledger's row of a month, or None without one."""
        return self.entries(feed, month, month).get(month)

    def entries(self, feed: Feed, first: Month, last: Month) -> dict[Month, MonthEntry]:
        """The ledger's rows of these months."""
        from city_data.store.ledger import read_months

        rows = read_months(self.open(), city_id=feed.city.city_id, dataset=feed.dataset.name, first=first, last=last)
        return {entry.month: entry for entry in rows}

    def record_state(self, feed: Feed, month: Month, state: State, message: str, moment: datetime, run_id: str) -> None:
        """Record in the ledger that a month has no new data, and why; the served version stays."""
        from city_data.store.ledger import record_state

        record_state(
            self.open(),
            feed.city.city_id,
            feed.dataset.name,
            month,
            state,
            at=moment,
            run_id=run_id,
            message=message,
            expected_rows=feed.dataset.expected_rows(month, feed.city.timezone, feed.resolution),
        )

    def record_providers(self, feed: Feed) -> None:
        """Store the feed's provider facts and licences, which the reader serves."""
        record_providers(self.open(), (choice.provider for choice in feed.choices))

    def record_recheck(self, feed: Feed, month: Month, result: Recheck, moment: datetime) -> None:
        from city_data.store.ledger import record_recheck

        record_recheck(self.open(), feed.city.city_id, feed.dataset.name, month, result, at=moment)

    def skill(self, feed: Feed, month: Month) -> tuple[list[Skill], list[LeftOut]]:
        """The errors of a month's forecasts."""
        from city_data.store.skill import read_skill

        return read_skill(self.open(), feed.city, feed.dataset, month)

    def replace_month(self, load: MonthLoad) -> Published:
        """Publish a month. Raises ClockAhead, unless `CITY_DATA_AS_OF` sets the clock, and all that publishing does."""
        from city_data.store.database import refuse_clock_ahead
        from city_data.store.months import replace_month

        if environment.AS_OF.get() is None:
            refuse_clock_ahead(self.open(), load.at)
        return replace_month(self.open(), load)


class CacheResource(dg.ConfigurableResource["CacheResource"]):
    """The optional Redis cache."""

    def open(self) -> Cache:
        return shared_cache(environment.REDIS_URL.get())


class ArchiveResource(dg.ConfigurableResource["ArchiveResource"]):
    """The raw archive."""

    def open(self) -> PollArchive:
        return PollArchive(environment.RAW_URL.required())


class HttpResource(dg.ConfigurableResource["HttpResource"]):
    """The HTTP client for providers, within budgets that all runs share through the database."""

    def client(self, provider: Provider, database: DatabaseResource) -> HttpClient:
        from city_data.store.budget import PostgresBudget

        budget = PostgresBudget(database.open())
        return HttpClient(provider.name, provider.capabilities, budget, rate_limit=provider.rate_limit())

    @contextmanager
    def clients(
        self, database: DatabaseResource, instance: dg.DagsterInstance
    ) -> Iterator[Callable[[Provider], HttpClient]]:
        """Clients by provider. Each waits for a slot of its provider's pool and keeps it until the next one, or the
        end of the context."""
        from city_data.store.slots import ProviderSlots

        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
        with ProviderSlots(database.open(), limits) as slots:

            def client(provider: Provider) -> HttpClient:
                slots.take(provider.name)
                return self.client(provider, database)

            yield client


def resources() -> dict[str, object]:
    """The resources of a deployment."""
    return {
        "database": DatabaseResource(),
        "cache": CacheResource(),
        "archive": ArchiveResource(),
        "http": HttpResource(),
    }
