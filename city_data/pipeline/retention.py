"""Expiry of months that have left the window: inventory, guard and removal.

Belongs here: the inventory, the guard, the removal. Does not: the window of months (window.py), or the job and sensor
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
    """The months that have anything stored, by storage: partitions with rows, the ledger's rows, versions with their
    segments, raw files, cached segments."""

    tables: frozenset[Month]
    ledger: frozenset[Month]
    versions: frozenset[Month]
    raw: frozenset[Month]
    cache: frozenset[Month]

    def expired(self, window: Window) -> list[Month]:
        everything: set[Month] = set().union(*(getattr(self, storage.name) for storage in fields(self)))
        return sorted(month for month in everything if month < window.first)


@dataclass(frozen=True)
class Expiry:
    """The result of one month's expiry; `error` where it was interrupted: the next expiry removes the rest."""

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
    """The feeds that lack their newest complete month but have an older one: expiring would only lose data.

    Raw months count: after a lost database they are all that a feed has. A month that will never be available is not
    waited for.
    """
    from city_data.store.ledger import read_months

    newest = window.complete_months()[-1]
    missing = []
    for feed in feeds:
        entries = read_months(database, city_id=feed.city.city_id, dataset=feed.dataset.name)
        with_data = {entry.month for entry in entries if entry.has_data}
        final = {entry.month for entry in entries if entry.state == "not_available"}
        if newest not in with_data | final and (with_data or archive.months(feed.dataset.name, feed.city.city_id)):
            missing.append(f"{feed.name} {newest}")
    return missing


def expire(month: Month, database: "Database", archive: RawArchive, cache: "Cache", why: str) -> Expiry:
    """Remove a month everywhere, with an audit line for each thing. The tables go last, so that an interrupted expiry
    is detected and resumed.

    Raises LockTimeout while the month is being read or written, OSError where the archive cannot be changed, and
    DatabaseUnavailable.
    """
    from city_data.store.audit import Line, audited
    from city_data.store.partitions import drop_month

    cached = cache.count_keys(month)
    lines = [Line("cache", city_id, dataset, keys) for (dataset, city_id), keys in sorted(cached.items())]
    with audited(database, month, lines, why):
        cache.drop_month(month)
    raw_files = 0
    for stored in archive.stored(month):
        with audited(database, month, [Line("raw", stored.city_id, stored.dataset, stored.files, stored.bytes)], why):
            archive.drop(stored.dataset, stored.city_id, month)
        raw_files += stored.files
    return Expiry(month, drop_month(database, month, why=why), raw_files, sum(cached.values()))


def expire_all(
    months: Iterable[Month], database: "Database", archive: RawArchive, cache: "Cache", why: str
) -> Iterator[Expiry]:
    """Expire month after month; one that fails does not stop the others."""
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
    """The months to expire now, and the reason as text. `force`: also those that are not replaced yet."""
    expired = take_inventory(database, archive, cache).expired(window)
    if not expired:
        return [], f"nothing lies before {window.first}"
    missing = missing_replacements(database, archive, feeds, window)
    if missing and not force:
        postponed = ", ".join(map(str, expired))
        return (
            [],
            f"{postponed} kept: not replaced yet by {', '.join(missing)}. `city-data expire --force` drops them anyway",
        )
    return expired, FORCED if missing else f"older than {window.first}"
