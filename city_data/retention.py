"""Retention: what has left the window is expired everywhere, once what replaces it is there.

Belongs here: the inventory, the guard, the sensor and the expire job. Does not: which months are kept (window.py).
The sensor compares what really lies in tables, raw archive and cache with the window, never the event log: a run that
once failed would otherwise never be tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from city_data.archive import RawArchive
from city_data.resources import ArchiveResource, CacheResource, DatabaseResource
from city_data.schedules import UNFINISHED
from city_data.sources import Feed
from city_data.window import Month, Window, as_of, rolling_window

if TYPE_CHECKING:
    from city_data.store.cache import Cache
    from city_data.store.database import Database

EXPIRE_JOB = "expire_months"
CHECK_EVERY_S = 3600


@dataclass(frozen=True)
class Inventory:
    """The months that anything is held for, by where it lies."""

    tables: frozenset[Month]
    raw: frozenset[Month]
    cache: frozenset[Month]

    def expired(self, window: Window) -> list[Month]:
        return sorted(month for month in self.tables | self.raw | self.cache if month < window.first)


@dataclass(frozen=True)
class Expiry:
    """What one month's expiry removed."""

    month: Month
    rows: int
    raw_folders: int
    cache_keys: int


def take_inventory(database: "Database", archive: RawArchive, cache: "Cache") -> Inventory:
    from city_data.store.partitions import inventory

    return Inventory(
        tables=frozenset(month for months in inventory(database).values() for month in months),
        raw=frozenset(archive.months()),
        cache=frozenset(cache.inventory()),
    )


def missing_replacements(database: "Database", feeds: Iterable[Feed], window: Window) -> list[str]:
    """The feeds whose newest complete month is not there, though an older one is: expiring would only lose data."""
    from city_data.store.ledger import read_months

    newest = window.complete_months()[-1]
    missing = []
    for feed in feeds:
        entries = read_months(database, city_id=feed.city.city_id, dataset=feed.dataset.name)
        held = {entry.month for entry in entries if entry.has_data}
        if held and newest not in held:
            missing.append(f"{feed.name} {newest}")
    return missing


def expire(month: Month, database: "Database", archive: RawArchive, cache: "Cache") -> Expiry:
    """Remove a month everywhere. The tables go last, so that an interrupted expiry is found again and resumed."""
    from city_data.store.partitions import drop_month

    cache_keys = cache.drop_month(month)
    raw_folders = archive.drop_month(month)
    return Expiry(month, drop_month(database, month), raw_folders, cache_keys)


def due_for_expiry(
    database: "Database", archive: RawArchive, cache: "Cache", feeds: Iterable[Feed], window: Window
) -> tuple[list[Month], str]:
    """The months to expire now, and in words why those or why none."""
    expired = take_inventory(database, archive, cache).expired(window)
    if not expired:
        return [], f"nothing lies before {window.first}"
    if missing := missing_replacements(database, feeds, window):
        kept = ", ".join(map(str, expired))
        return (
            [],
            f"{kept} kept: not replaced yet by {', '.join(missing)}. `city-data expire --force` drops them anyway",
        )
    return expired, f"older than {window.first}"


class ExpireConfig(dg.Config):
    """`force` expires also what is not replaced yet."""

    force: bool = False


def expire_job(feeds: list[Feed]) -> dg.JobDefinition:
    @dg.op(description="Drop every month that has left the window, and record an observation of each asset")
    def expire_old_months(
        context: dg.OpExecutionContext,
        config: ExpireConfig,
        database: DatabaseResource,
        archive: ArchiveResource,
        cache: CacheResource,
    ) -> None:
        window, places = rolling_window(as_of()), (database.open(), archive.open(), cache.open())
        if config.force:
            months, why = take_inventory(*places).expired(window), "forced"
        else:
            months, why = due_for_expiry(*places, feeds, window)
        context.log.info("expiring %s: %s", ", ".join(map(str, months)) or "nothing", why)
        for month in months:
            done = expire(month, *places)
            context.log.info("%s expired: %s", month, done)
            for feed in feeds:
                for step in ("raw", "monthly", "cache"):
                    context.log_event(
                        dg.AssetObservation(
                            asset_key=feed.key(step), partition=str(month), metadata={"expired": True, "why": why}
                        )
                    )

    @dg.job(name=EXPIRE_JOB, executor_def=dg.in_process_executor, description="Expire months older than the window")
    def job() -> None:
        expire_old_months()

    return job


def retention_sensor(feeds: list[Feed], job: dg.JobDefinition) -> dg.SensorDefinition:
    @dg.sensor(
        name="retention",
        job=job,
        minimum_interval_seconds=CHECK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches one expire job when months lie outside the 24-month window and are replaced",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        database: DatabaseResource,
        archive: ArchiveResource,
        cache: CacheResource,
    ) -> dg.RunRequest | dg.SkipReason:
        unfinished = dg.RunsFilter(job_name=EXPIRE_JOB, statuses=UNFINISHED)
        if context.instance.get_runs_count(unfinished):
            return dg.SkipReason("an expire run is under way")
        months, why = due_for_expiry(database.open(), archive.open(), cache.open(), feeds, rolling_window(as_of()))
        if not months:
            return dg.SkipReason(why)
        return dg.RunRequest(tags={"city_data/expires": ",".join(map(str, months))})

    return sensor
