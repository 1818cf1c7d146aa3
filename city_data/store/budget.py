"""Call budgets shared by every run of a deployment, kept where every run can reach them: in PostgreSQL.

Belongs here: reserving calls. Does not: each provider's limit (its Capabilities).
"""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from city_data.store.database import Database

# The generic cell rate algorithm: `next_at` runs ahead of the clock by one interval a call, and a call must wait once
# it is ahead by more than the burst. The database's clock is everybody's, and one statement is one reservation.
_RESERVE = sa.text(
    """
    INSERT INTO provider_budget AS held (name, next_at, last_at)
    VALUES (:name, clock_timestamp() + :interval * interval '1 second', clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
      next_at = greatest(held.next_at, clock_timestamp()) + :interval * interval '1 second',
      last_at = greatest(
        clock_timestamp(),
        held.last_at + :spacing * interval '1 second',
        greatest(held.next_at, clock_timestamp()) - :burst * interval '1 second'
      )
    RETURNING extract(epoch FROM last_at - clock_timestamp())
    """
)


class Limit(Protocol):
    """At most `calls` in `seconds`, and never closer together than `spacing` seconds."""

    @property
    def calls(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def spacing(self) -> float: ...


class PostgresBudget:
    """Reserves calls in table `provider_budget`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, name: str, limit: Limit) -> float:
        """Reserve one call; returns the seconds (0 or more) to wait before making it. Raises DatabaseUnavailable."""
        interval = limit.seconds / limit.calls
        values = {"name": name, "interval": interval, "spacing": limit.spacing, "burst": limit.seconds - interval}
        with self._database.write() as connection:
            return max(0.0, float(connection.execute(_RESERVE, values).scalar_one()))
