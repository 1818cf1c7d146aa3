"""The monthly asset: parse the archived bytes, check them, replace the month and its ledger row at once.

Belongs here: the asset, and the refusal of a month that fails its checks. Does not: recording failures (failures.py),
building the month (pipeline/build.py), the rules of settling (pipeline/settling.py), or Dagster's metadata
(defs/metadata.py).
"""

from collections.abc import Iterator

import dagster as dg

from city_data.defs.assets.failures import RecordedFailures
from city_data.defs.keys import asset_key, asset_tags
from city_data.defs.metadata import check_result, check_specs, column_schema, month_metadata
from city_data.defs.resources import ArchiveResource, DatabaseResource
from city_data.defs.skill import skill_result
from city_data.pipeline import drift
from city_data.pipeline.build import CODE_VERSION, build_month, month_load
from city_data.pipeline.feeds import Feed
from city_data.pipeline.settling import is_revision
from city_data.window import Month, as_of


def monthly_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`<city>/<dataset>_monthly`: the published month in PostgreSQL, with its checks."""
    key = asset_key(feed, "monthly")

    @dg.asset(
        key=key,
        partitions_def=partitions,
        group_name=feed.city.city_id,
        tags=asset_tags(feed),
        kinds={"postgres"},
        owners=["team:city_data"],
        description=f"{feed.city.name}'s {feed.dataset.name}, {feed.resolution}, checked and published month by month "
        f"in `{feed.dataset.table}`. {feed.licences}",
        code_version=CODE_VERSION,
        deps=[asset_key(feed, "raw")],
        metadata={"dagster/column_schema": column_schema(feed), "dagster/relation_identifier": feed.dataset.table},
        check_specs=check_specs(feed.dataset, key, partitions),
    )
    def monthly(
        context: dg.AssetExecutionContext, archive: ArchiveResource, database: DatabaseResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        month, moment = Month.parse(context.partition_key), as_of()
        with RecordedFailures(database, feed, month, moment, context.run.run_id, context.retry_number):
            entries = database.entries(feed, month - 1, month)
            current = entries.get(month)
            built = build_month(feed, month, archive.open(), entries.get(month - 1))
            for outcome in built.outcomes:
                yield check_result(key, outcome)
            if built.refused:
                reasons = "; ".join(f"{outcome.name}: {outcome.description}" for outcome in built.refused)
                raise dg.Failure(f"{feed.name} {month} refused by its checks: {reasons}", allow_retries=False)
            load = month_load(feed, month, built, current, context.run.run_id, context.retry_number + 1, moment)
            revised = (
                current is not None and current.has_data and is_revision(built.manifest, load.content_sha256, current)
            )
            yield check_result(key, drift.revision(current, revised))
            yield check_result(key, drift.first_source(load.fallback_reason, built.manifest.provider))
            published = database.replace_month(load)
            if feed.dataset.stands_in_for is not None:
                yield skill_result(key, *database.skill(feed, month))
        yield dg.MaterializeResult(asset_key=key, metadata=month_metadata(feed, built, published))

    return monthly
