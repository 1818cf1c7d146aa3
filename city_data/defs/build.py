"""Assembly of the Dagster definitions: assets and checks per city and dataset, jobs, schedules, sensors, resources.

Belongs here: the only loop over the registry. Does not: the work of an asset (defs/assets/raw.py,
defs/assets/monthly.py, defs/assets/cache.py).
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from city_data.datasets import DATASETS
from city_data.defs.assets.cache import cache_asset
from city_data.defs.assets.monthly import monthly_asset
from city_data.defs.assets.raw import raw_asset
from city_data.defs.keys import asset_key, city_tags, reader_key
from city_data.defs.notifications import backfill_notice, failure_notice, rotation_sensor
from city_data.defs.overdue import overdue_check, overdue_sensor
from city_data.defs.purge import purge_job, purge_schedule
from city_data.defs.resources import resources
from city_data.defs.retention import expire_job, retention_sensor
from city_data.defs.schedules import monthly_schedule, recheck_schedule, refresh_schedule
from city_data.defs.shape_notice import shape_notice
from city_data.pipeline.feeds import Feed
from city_data.providers.base import Provider
from city_data.window import Month, Window


def partitions(window: Window, ahead: int = 0, now: datetime | None = None) -> dg.MonthlyPartitionsDefinition:
    """The window's months and those `ahead`. Dagster derives their end from the system clock, so a shifted `as_of`
    becomes an offset."""
    current = Month.at(now or datetime.now(UTC), "UTC")
    shift = (window.open.year - current.year) * 12 + window.open.month - current.month
    return dg.MonthlyPartitionsDefinition(start_date=str(window.first), fmt="%Y-%m", end_offset=1 + ahead + shift)


def build_definitions(feeds: list[Feed], window: Window) -> dg.Definitions:
    months = {ahead: partitions(window, ahead) for ahead in {feed.dataset.months_ahead for feed in feeds}}
    steps = (raw_asset, monthly_asset, cache_asset)
    assets = [make(feed, months[feed.dataset.months_ahead]) for feed in feeds for make in steps]
    expiry, purge = expire_job(feeds), purge_job()
    return dg.Definitions(
        assets=[*_provider_specs(feeds), *assets, *_served_specs(feeds)],
        asset_checks=[overdue_check(feeds)] if feeds else [],
        jobs=[expiry, purge],
        schedules=[monthly_schedule(feeds), refresh_schedule(feeds), recheck_schedule(feeds), purge_schedule(purge)],
        sensors=[
            retention_sensor(feeds, expiry),
            rotation_sensor(feeds),
            failure_notice(),
            backfill_notice(),
            shape_notice(),
            overdue_sensor(feeds),
        ],
        resources=resources(),
        executor=dg.in_process_executor,
    )


def _provider_specs(feeds: list[Feed]) -> list[dg.AssetSpec]:
    """The providers as external assets, for the lineage page."""
    providers: dict[str, Provider] = {
        choice.provider.name: choice.provider for feed in feeds for choice in feed.choices
    }
    return [
        dg.AssetSpec(
            key=["provider", name],
            group_name="providers",
            tags={
                "provider": name,
                "dataset": provider.capabilities.dataset,
                "resolution": provider.capabilities.resolution,
            },
            kinds={"api"},
            owners=["team:city_data"],
            description=f"{provider.capabilities.licence}. {provider.capabilities.summary}",
            metadata={
                "hosts": ", ".join(provider.capabilities.hosts),
                "licence": dg.MetadataValue.url(provider.capabilities.licence_url),
                "columns": ", ".join(provider.capabilities.columns),
            },
        )
        for name, provider in sorted(providers.items())
    ]


def _served_specs(feeds: list[Feed]) -> list[dg.AssetSpec]:
    """What the reader serves of each city, as external assets: the end of the lineage."""
    by_city: dict[str, list[Feed]] = {}
    for feed in feeds:
        by_city.setdefault(feed.city.city_id, []).append(feed)
    return [
        dg.AssetSpec(
            key=key,
            deps=[asset_key(feed, step) for feed in own],
            group_name=city_id,
            tags=city_tags(own[0]),
            kinds={"api"},
            owners=["team:city_data"],
            description=text.format(own[0].city.name),
        )
        for city_id, own in by_city.items()
        for key, step, text in (
            (reader_key(own[0]), "cache", "{}'s history over HTTP, from the cache or else from PostgreSQL."),
            (
                dg.AssetKey([city_id, "training_frame"]),
                "monthly",
                f"{{}}'s {', '.join(DATASETS)} and calendar on one grid, which the reader joins.",
            ),
        )
    ]
