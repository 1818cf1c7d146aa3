"""Migration of a deployment's databases, and waiting for it.

Belongs here: the order of migrations, the providers' pools, and the wait of a starting process. Does not: the
migrations themselves (store/migrations/, Dagster), or one machine's platform (local/platform.py).

Dagster's storage is migrated first and the platform's schema last, so that a process that finds the schema current may
open Dagster's storage too: several processes that create it at once break it (dagster 27390).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from city_data import environment
from city_data.errors import CityDataError, unknown
from city_data.store.database import Database, DatabaseUnavailable, UnusableSchema
from city_data.store.migrate import standing, upgrade
from city_data.store.roles import grant_reader

if TYPE_CHECKING:
    import dagster as dg

POLL_S = 2.0
CONNECT_TIMEOUT_S = 5.0
Report = Callable[[str], None]


class DeployError(CityDataError):
    """The deployment's databases cannot be used; the text says which, and how to fix it."""


def migrate(report: Report, slots: Mapping[str, int]) -> None:
    """Migrate Dagster's storage and the platform's schema, and set the pools. Repeating it changes nothing.

    `slots` limits the concurrent runs that call a provider; the default is 1.
    Raises DeployError for an unknown provider, ConfigurationError, DatabaseUnavailable.
    """
    from city_data.pipeline.feeds import record_providers
    from city_data.providers import discover

    for name in slots:
        if name not in discover():
            raise DeployError(f"--pool: {unknown('provider', name, sorted(discover()))}")
    if environment.DAGSTER_HOME.get():
        from city_data.operations.former_keys import rename_assets
        from city_data.operations.instance import deployed_instance

        with deployed_instance() as instance:
            prepare_dagster(instance, slots, report)
            rename_assets(instance, report)
        _let_reader_read_dagster()
    else:
        report("DAGSTER_HOME is not set: Dagster's storage is not migrated")
    with _database() as database:
        standing_before = upgrade(database)
        if standing_before != "newer":
            record_providers(database, discover().values())
    report({"old": "schema upgraded", "current": "schema is up to date", "newer": _NEWER}[standing_before])


def _let_reader_read_dagster() -> None:
    """Heartbeats and backfills are metrics: the exporter reads them with a login that may write nothing."""
    if url := environment.DAGSTER_URL.get():
        database = Database(url, pool_size=1)
        try:
            with database.write() as connection:
                grant_reader(connection)
        finally:
            database.dispose()


_NEWER = "schema is newer than this code and compatible with it: left unchanged"


def prepare_dagster(instance: dg.DagsterInstance, slots: Mapping[str, int], report: Report) -> None:
    """Migrate Dagster's storage to the installed Dagster, and set the pools."""
    instance.upgrade(report)
    set_pools(instance, slots)


def set_pools(instance: dg.DagsterInstance, slots: Mapping[str, int]) -> None:
    """Set each provider's pool separately: Dagster's default for all pools breaks runs on PostgreSQL (33552)."""
    from city_data.providers import discover

    for name in discover():
        instance.event_log_storage.set_concurrency_slots(name, slots.get(name, 1))


def await_migrated(
    report: Report,
    timeout_s: float,
    addresses: Sequence[tuple[str, int]] = (),
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until the schema is current or newer, then until `addresses` accept connections: a Service does so once a
    pod behind it is ready. Raises DeployError after `timeout_s`."""
    deadline, reported = clock() + timeout_s, ""
    with _database() as database:
        while (why := _not_ready(database) or _not_reached(addresses)) is not None:
            if clock() >= deadline:
                raise DeployError(f"not ready after {timeout_s:.0f} s: {why}")
            if why != reported:
                report(f"waiting: {why}")
                reported = why
            sleep(POLL_S)
    report("the schema is ready")


@contextmanager
def _database() -> Iterator[Database]:
    database = Database(environment.DATABASE_URL.required(), pool_size=1)
    try:
        yield database
    finally:
        database.dispose()


def _not_ready(database: Database) -> str | None:
    try:
        old = standing(database) == "old"
        return "the schema is older than this code; see the migration Job's log" if old else None
    except (DatabaseUnavailable, UnusableSchema) as error:
        return str(error)


def _not_reached(addresses: Sequence[tuple[str, int]]) -> str | None:
    for address in addresses:
        try:
            socket.create_connection(address, CONNECT_TIMEOUT_S).close()
        except OSError as error:
            return f"{address[0]} port {address[1]} does not accept connections: {error.strerror or error}"
    return None
