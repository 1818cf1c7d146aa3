"""A deployment's databases: brought to this code's schema, or waited for.

Belongs here: the order of migrations on a cluster, the providers' pools, and when a process may start. Does not: what
a migration changes (store/migrations/, Dagster), or one machine's platform (local/platform.py).

Dagster's storage goes first and the platform's schema last, so that who sees the schema current may open Dagster's
storage too: several processes that create it at once break it (dagster 27390).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from city_data import environment
from city_data.errors import CityDataError, unknown
from city_data.store.database import Database, DatabaseUnavailable, UnusableSchema
from city_data.store.migrate import standing, upgrade

if TYPE_CHECKING:
    import dagster as dg

POLL_S = 2.0
Tell = Callable[[str], None]


class DeployError(CityDataError):
    """The deployment's databases cannot be used; the text says which, and what to do."""


def migrate(tell: Tell, slots: Mapping[str, int]) -> None:
    """Bring Dagster's storage and the platform's schema to this code, and set the pools. Again is no error.

    `slots` is how many runs may call a provider at once, 1 where it is not named.
    Raises DeployError for a pool of no provider, ConfigurationError, DatabaseUnavailable.
    """
    from city_data.pipeline.feeds import record_providers
    from city_data.providers import discover

    for name in slots:
        if name not in discover():
            raise DeployError(f"--pool: {unknown('provider', name, sorted(discover()))}")
    if environment.DAGSTER_HOME.get():
        from city_data.operations.backfill import deployed_instance

        with deployed_instance() as instance:
            instance.upgrade(tell)
            set_pools(instance, slots)
    else:
        tell("DAGSTER_HOME is not set: Dagster's storage is left as it is")
    with _database() as database:
        found = upgrade(database)
        if found != "newer":
            record_providers(database, discover().values())
    tell({"old": "schema upgraded", "current": "schema is up to date", "newer": _NEWER}[found])


_NEWER = "schema is newer than this code, which can work on it: left as it is"


def set_pools(instance: dg.DagsterInstance, slots: Mapping[str, int]) -> None:
    """Each provider's pool by itself: dagster's own default for all pools breaks runs on PostgreSQL (33552)."""
    from city_data.providers import discover

    for name in discover():
        instance.event_log_storage.set_concurrency_slots(name, slots.get(name, 1))


def await_migrated(
    tell: Tell,
    timeout_s: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Return once the schema is this code's or newer. Raises DeployError when that takes longer than `timeout_s`."""
    deadline, said = clock() + timeout_s, ""
    with _database() as database:
        while (why := _not_ready(database)) is not None:
            if clock() >= deadline:
                raise DeployError(f"not migrated after {timeout_s:.0f} s: {why}; look at the migration Job's log")
            if why != said:
                tell(f"waiting: {why}")
                said = why
            sleep(POLL_S)
    tell("the schema is ready")


@contextmanager
def _database() -> Iterator[Database]:
    database = Database(environment.DATABASE_URL.required(), pool_size=1)
    try:
        yield database
    finally:
        database.dispose()


def _not_ready(database: Database) -> str | None:
    try:
        return "the schema is older than this code" if standing(database) == "old" else None
    except (DatabaseUnavailable, UnusableSchema) as error:
        return str(error)
