"""Call budgets in PostgreSQL, shared by every run of a deployment.

Belongs here: reserving calls. Does not: each provider's limit (its Capabilities).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa

from city_data.store.database import Database

# The generic cell rate algorithm: `next_at` runs ahead of the clock by one interval a call, and a call must wait once
# it is ahead by more than the burst. The database's clock is everybody's, and one statement is one reservation.
_RESERVE = sa.text(
    """
    INSERT INTO provider_budget AS stored (name, next_at, last_at)
    VALUES (:name, clock_timestamp() + :interval * interval '1 second', clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET
      next_at = greatest(stored.next_at, clock_timestamp()) + :interval * interval '1 second',
      last_at = greatest(
        clock_timestamp(),
        stored.last_at + :spacing * interval '1 second',
        greatest(stored.next_at, clock_timestamp()) - :burst * interval '1 second'
      )
    RETURNING extract(epoch FROM last_at - clock_timestamp())
    """
)


# Sources count hours and days by the clock. `next_at` runs ahead from the beginning of the present one by its share a
# call; where it has come to the end, the call belongs to the next hour or day.
_RESERVE_OF_QUOTA = sa.text(
    """
    INSERT INTO provider_budget AS stored (name, next_at, last_at)
    SELECT :name, begin + :interval * interval '1 second', clock_timestamp()
    FROM date_bin(:seconds * interval '1 second', clock_timestamp(), 'epoch'::timestamptz) AS begin
    ON CONFLICT (name) DO UPDATE SET
      next_at = greatest(stored.next_at + :interval * interval '1 second', excluded.next_at),
      last_at = greatest(
        clock_timestamp(),
        date_bin(:seconds * interval '1 second', greatest(stored.next_at, clock_timestamp()), 'epoch'::timestamptz)
      )
    RETURNING extract(epoch FROM last_at - clock_timestamp())
    """
)


_BLOCK = sa.text(
    """
    INSERT INTO provider_budget AS stored (name, next_at, last_at)
    VALUES (:name, clock_timestamp() + :seconds * interval '1 second', clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET next_at = greatest(stored.next_at, excluded.next_at), last_at = excluded.last_at
    """
)
_BLOCKED = sa.text(
    "SELECT extract(epoch FROM next_at - clock_timestamp()) FROM provider_budget WHERE name = :name"
    " AND next_at > clock_timestamp()"
)


class Quota(Protocol):
    """At most `calls` in each `seconds`, counted from 1970."""

    @property
    def calls(self) -> int: ...
    @property
    def seconds(self) -> int: ...


class Limit(Protocol):
    """At most `calls` in `seconds`, and never closer together than `spacing` seconds; a call counts as `weight`."""

    @property
    def calls(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def spacing(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def quotas(self) -> Sequence[Quota]: ...


class PostgresBudget:
    """Reserves calls in table `provider_budget`: a row a provider, and one a quota."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def block(self, name: str, seconds: float) -> None:
        """Let no run call for so long, as the source has said. Raises DatabaseUnavailable."""
        with self._database.write() as connection:
            connection.execute(_BLOCK, {"name": f"{name}/blocked", "seconds": seconds})

    def reserve(self, name: str, limit: Limit, patience: float) -> float:
        """The seconds (0 or more) to wait before a call, which is reserved only where they are at most `patience`.

        A call that is not made costs nothing of a day's budget. Raises DatabaseUnavailable.
        """
        interval = limit.seconds / limit.calls * limit.weight
        rate = {"name": name, "interval": interval, "spacing": limit.spacing, "burst": limit.seconds - interval}
        with self._database.write() as connection:
            blocked = connection.execute(_BLOCKED, {"name": f"{name}/blocked"}).scalar_one_or_none()
            if blocked is not None and blocked > patience:
                return float(blocked)
            waits = [connection.execute(_RESERVE, rate).scalar_one()]
            for quota in limit.quotas:
                share = quota.seconds / quota.calls * limit.weight
                values = {"name": f"{name}/{quota.seconds}", "interval": share, "seconds": quota.seconds}
                waits.append(connection.execute(_RESERVE_OF_QUOTA, values).scalar_one())
            wait = max(0.0, float(blocked or 0.0), *map(float, waits))
            if wait > patience:
                connection.rollback()
        return wait
