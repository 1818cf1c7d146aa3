"""Provider slots: advisory locks in PostgreSQL that limit how many runs call a provider at the same time.

Belongs here: taking and releasing a slot. Does not: the limits, which are Dagster's pools (operations/migrate.py).

Dagster's own pools hold a run in its queue until its provider is free. They see neither a run that a terminal executes
itself nor the fallback that a run turns to. A session's advisory lock covers both, and PostgreSQL frees it when the
process that took it dies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import sqlalchemy as sa

from city_data.interruption import pause
from city_data.store.database import Database, availability

POLL_S = 0.5


class ProviderSlots:
    """At most one slot at a time, from `take` until the next `take` or the end of the context.

    `limits` are the slots by provider; a provider without a limit needs none. Not for several threads.
    """

    def __init__(self, database: Database, limits: Mapping[str, int], sleep: Callable[[float], None] = pause) -> None:
        self._database, self._limits, self._sleep = database, limits, sleep
        self._connection: sa.Connection | None = None
        self._provider: str | None = None

    def __enter__(self) -> ProviderSlots:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def take(self, provider: str) -> None:
        """Wait for a slot of the provider, after releasing the last one. Raises DatabaseUnavailable.

        Released first: two runs that each wait for the other's provider would wait for ever.
        """
        if provider == self._provider:
            return
        self.release()
        if provider not in self._limits:
            return
        with availability():
            connection = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection, self._provider = connection, provider
            while not any(_lock(connection, provider, slot) for slot in range(self._limits[provider])):
                self._sleep(POLL_S)

    def release(self) -> None:
        """Give the slot back. The session goes back to the pool; after a failure it is closed, which unlocks too."""
        connection, self._connection, self._provider = self._connection, None, None
        if connection is None:
            return
        try:
            connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
        except sa.exc.SQLAlchemyError:
            connection.invalidate()
        connection.close()


def _lock(connection: sa.Connection, provider: str, slot: int) -> bool:
    name = sa.func.hashtextextended(f"provider slot {provider}/{slot}", 0)
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_lock(name))).scalar_one())
