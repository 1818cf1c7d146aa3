"""Retention: expiry of the months that have left the window, once their replacements are loaded.

Belongs here: the sensor and the expire job. Does not: the inventory, the guard and the removal
(pipeline/retention.py), or the window itself (window.py).
The sensor compares the actual content of tables, raw archive and cache with the window, never the event log: otherwise
a run that failed once would never be retried.
"""

import dagster as dg

from city_data.defs.keys import STEPS, asset_key
from city_data.defs.resources import ArchiveResource, CacheResource, DatabaseResource
from city_data.defs.schedules import unfinished_runs
from city_data.pipeline.feeds import Feed
from city_data.pipeline.retention import due_for_expiry, expire_all
from city_data.window import as_of, rolling_window

EXPIRE_JOB = "expire_months"
CHECK_EVERY_S = 3600


class ExpireConfig(dg.Config):
    """`force` also expires months whose replacements are not loaded yet."""

    force: bool = False


def expire_job(feeds: list[Feed]) -> dg.JobDefinition:
    @dg.op(description="Delete every month that has left the window, and record an observation of each asset")
    def expire_old_months(
        context: dg.OpExecutionContext,
        config: ExpireConfig,
        database: DatabaseResource,
        archive: ArchiveResource,
        cache: CacheResource,
    ) -> None:
        window, stores = rolling_window(as_of()), (database.open(), archive.open(), cache.open())
        months, why = due_for_expiry(*stores, feeds, window, config.force)
        context.log.info("expiring %s: %s", ", ".join(map(str, months)) or "nothing", why)
        broken = []
        for done in expire_all(months, *stores, why):
            context.log.info("%s expired: %s", done.month, done)
            if done.error:
                broken.append(f"{done.month}: {done.error}")
                continue
            for feed in feeds:
                for step in STEPS:
                    context.log_event(
                        dg.AssetObservation(
                            asset_key=asset_key(feed, step),
                            partition=str(done.month),
                            metadata={"expired": True, "why": why, "rows": done.rows, "raw_files": done.raw_files},
                        )
                    )
        if broken:
            raise dg.Failure(description="; ".join(broken) + ". The next expiry resumes there.")

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
        description="Launches one expire job when months have left the window and their replacements are loaded",
    )
    def sensor(
        context: dg.SensorEvaluationContext,
        database: DatabaseResource,
        archive: ArchiveResource,
        cache: CacheResource,
    ) -> dg.RunRequest | dg.SkipReason:
        if unfinished_runs(context.instance, EXPIRE_JOB):
            return dg.SkipReason("an expire run is unfinished")
        months, why = due_for_expiry(database.open(), archive.open(), cache.open(), feeds, rolling_window(as_of()))
        if not months:
            return dg.SkipReason(why)
        return dg.RunRequest(tags={"city_data/expires": ",".join(map(str, months))})

    return sensor
