"""Expiry of months that have left the window: what is there, what is due, and its removal everywhere.

Belongs here: the inventory, the guard, the removal. Does not: which months are kept (window.py), or the job and sensor
that run it (defs/retention.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from city_data.pipeline.feeds import Feed
from city_data.store.raw import RawArchive
from city_data.window import Month, Window

if TYPE_CHECKING:
    from city_data.store.cache import Cache
    from city_data.store.database import Database

FORCED = "forced"


@dataclass(frozen=True)
class Inventory:
    """The months that anything is held for, by where it lies: partitions with rows, the ledger's rows, versions with
    their segments, raw files, cached segments."""

    tables: frozenset[Month]
    ledger: frozenset[Month]
    versions: frozenset[Month]
    raw: frozenset[Month]
    cache: frozenset[Month]

    def expired(self, window: Window) -> list[Month]:
        everything: set[Month] = set().union(*(getattr(self, place.name) for place in fields(self)))
        return sorted(month for month in everything if month < window.first)


@dataclass(frozen=True)
class Expiry:
    """What one month's expiry removed; `error` where it broke off: the rest is found and dropped by the next one."""

    month: Month
    rows: int = 0
    raw_files: int = 0
    cache_keys: int = 0
    error: str | None = None


def take_inventory(database: "Database", archive: RawArchive, cache: "Cache") -> Inventory:
    from city_data.store.partitions import inventory, months_of_ledger, months_of_versions

    return Inventory(
        tables=frozenset(month for months in inventory(database).values() for month in months),
        ledger=frozenset(months_of_ledger(database)),
        versions=frozenset(months_of_versions(database)),
        raw=frozenset(archive.months()),
        cache=frozenset(cache.inventory()),
    )


def missing_replacements(database: "Database", archive: RawArchive, feeds: Iterable[Feed], window: Window) -> list[str]:
    """The feeds whose newest complete month is not there, though something older is: expiring would only lose data.

    Raw months count as something: where the database was lost they are all there is of a feed. A month that is known
    never to come is not waited for.
    """
    from city_data.store.ledger import read_months

    newest = window.complete_months()[-1]
    missing = []
    for feed in feeds:
        entries = read_months(database, city_id=feed.city.city_id, dataset=feed.dataset.name)
        held = {entry.month for entry in entries if entry.has_data}
        final = {entry.month for entry in entries if entry.state == "not_available"}
        if newest not in held | final and (held or archive.months(feed.dataset.name, feed.city.city_id)):
            missing.append(f"{feed.name} {newest}")
    return missing


def expire(month: Month, database: "Database", archive: RawArchive, cache: "Cache", why: str) -> Expiry:
    """Remove a month everywhere, with an audit line for each thing. The tables go last, so that an interrupted expiry
    is found again and resumed.

    Raises LockTimeout while the month is being read or written, OSError where the archive cannot be changed, and
    DatabaseUnavailable.
    """
    from city_data.store.audit import Line, audited
    from city_data.store.partitions import drop_month

    cached = cache.held(month)
    lines = [Line("cache", city_id, dataset, keys) for (dataset, city_id), keys in sorted(cached.items())]
    with audited(database, month, lines, why):
        cache.drop_month(month)
    raw_files = 0
    for held in archive.held(month):
        with audited(database, month, [Line("raw", held.city_id, held.dataset, held.files, held.bytes)], why):
            archive.drop(held.dataset, held.city_id, month)
        raw_files += held.files
    return Expiry(month, drop_month(database, month, why=why), raw_files, sum(cached.values()))


def expire_all(
    months: Iterable[Month], database: "Database", archive: RawArchive, cache: "Cache", why: str
) -> Iterator[Expiry]:
    """Expire month after month; one that breaks off does not keep the others."""
    from city_data.store.database import DatabaseUnavailable
    from city_data.store.partitions import LockTimeout

    for month in months:
        try:
            yield expire(month, database, archive, cache, why)
        except (LockTimeout, DatabaseUnavailable, OSError) as error:
            yield Expiry(month, error=f"{type(error).__name__}: {error}")


def due_for_expiry(
    database: "Database",
    archive: RawArchive,
    cache: "Cache",
    feeds: Iterable[Feed],
    window: Window,
    force: bool = False,
) -> tuple[list[Month], str]:
    """The months to expire now, and in words why those or why none. `force`: also those that are not replaced yet."""
    expired = take_inventory(database, archive, cache).expired(window)
    if not expired:
        return [], f"nothing lies before {window.first}"
    missing = missing_replacements(database, archive, feeds, window)
    if missing and not force:
        kept = ", ".join(map(str, expired))
        return (
            [],
            f"{kept} kept: not replaced yet by {', '.join(missing)}. `city-data expire --force` drops them anyway",
        )
    return expired, FORCED if missing else f"older than {window.first}"
