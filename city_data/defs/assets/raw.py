"""The raw asset: fetch one month of one feed and archive the provider's bytes.

Belongs here: the asset, and the normal states of a month without bytes. Does not: recording failures (failures.py),
the choice of provider (pipeline/fetch.py), parsing (pipeline/build.py), or calls to a source (providers/).
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from city_data.defs.assets.failures import RecordedFailures
from city_data.defs.keys import asset_key, asset_tags
from city_data.defs.metadata import check_result, checks_by_month
from city_data.defs.resources import ArchiveResource, DatabaseResource, HttpResource
from city_data.pipeline import recheck, source_shape
from city_data.pipeline.feeds import Feed
from city_data.pipeline.fetch import absence, fetch_month
from city_data.pipeline.settling import choices_to_ask
from city_data.providers.base import NotAvailable, NotConfigured, NotYetPublished, Provider
from city_data.providers.http import HttpClient
from city_data.store.polls import PollArchive
from city_data.store.raw import Manifest
from city_data.window import Month, as_of

if TYPE_CHECKING:
    from city_data.frames.checks import Outcome

CODE_VERSION = "1"


class RawConfig(dg.Config):
    """`only_if_revised`: recheck a settled month, and fetch it again only if its source has other bytes."""

    only_if_revised: bool = False


def raw_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`<city>/<dataset>_raw`: the month's bytes in the archive; skipped if the source does not have the month."""
    key, provider = asset_key(feed, "raw"), feed.primary.provider
    spare = f" Falls back to {feed.fallback.provider.name}." if feed.fallback else ""

    @dg.asset(
        key=key,
        partitions_def=partitions,
        group_name=feed.city.city_id,
        tags=asset_tags(feed),
        kinds={"file"},
        owners=["team:city_data"],
        description=f"{feed.city.name}'s {feed.dataset.name} as received from {provider.name}.{spare} {feed.licences}",
        code_version=CODE_VERSION,
        deps=[dg.AssetKey(["provider", choice.provider.name]) for choice in feed.choices],
        output_required=False,
        pool=provider.name,
        check_specs=checks_by_month(key, partitions, {source_shape.CHECK: source_shape.DESCRIPTION}),
    )
    def raw(
        context: dg.AssetExecutionContext,
        config: RawConfig,
        archive: ArchiveResource,
        database: DatabaseResource,
        http: HttpResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        month, moment = Month.parse(context.partition_key), as_of()
        with RecordedFailures(database, feed, month, moment, context.run.run_id, context.retry_number):
            database.record_providers(feed)
            with http.clients(database, context.instance) as client:
                manifest = _fetched(context, config, feed, month, moment, archive.open(), database, client)
            yield check_result(key, _shape_outcome(feed, manifest, archive, database, moment))
        if manifest is not None:
            yield dg.MaterializeResult(asset_key=key, metadata=_metadata(manifest))

    return raw


def _fetched(
    context: dg.AssetExecutionContext,
    config: RawConfig,
    feed: Feed,
    month: Month,
    moment: datetime,
    archive: PollArchive,
    database: DatabaseResource,
    client: Callable[[Provider], HttpClient],
) -> Manifest | None:
    """The month's bytes in the archive; None if there is nothing to fetch, which is recorded in ledger and events."""
    result: recheck.RecheckResult | None = None
    entry = database.entry(feed, month)
    try:
        if config.only_if_revised:
            result = recheck.check_for_revision(feed, month, moment, archive, client)
            if not result.fetch:
                _record_recheck(context, database, feed, month, result, moment)
                return None
        choices = result.choices if result else choices_to_ask(feed, entry)
        manifest = fetch_month(feed, month, moment, archive, client, choices)
    except (NotYetPublished, NotAvailable, NotConfigured) as outcome:
        state = absence(outcome, entry)
        if result is not None:
            _record_recheck(
                context, database, feed, month, recheck.RecheckResult("withdrawn", {"source": str(outcome)}), moment
            )
            return None
        context.log.info("%s %s: %s: %s", feed.name, month, state, outcome)
        database.record_state(feed, month, state, str(outcome), moment, context.run.run_id)
        observation = dg.AssetObservation(
            asset_key(feed, "raw"), partition=str(month), description=str(outcome), metadata={"state": state}
        )
        context.log_event(observation)
        return None
    if result is not None:
        _record_recheck(context, database, feed, month, result, moment)
    return manifest


def _shape_outcome(
    feed: Feed, manifest: Manifest | None, archive: ArchiveResource, database: DatabaseResource, moment: datetime
) -> "Outcome":
    if manifest is None:
        return source_shape.outcome(None)
    return source_shape.watch(feed, manifest, archive.open(), database.open(), moment)


def _record_recheck(
    context: dg.AssetExecutionContext,
    database: DatabaseResource,
    feed: Feed,
    month: Month,
    result: recheck.RecheckResult,
    moment: datetime,
) -> None:
    """Record the result of a recheck in the ledger and as an observation of the raw files."""
    database.record_recheck(feed, month, result.result, moment)
    metadata: dict[str, dg.MetadataValue] = {
        "recheck": dg.MetadataValue.text(result.result),
        "differences": dg.MetadataValue.json(dict(result.differences)),
    }
    context.log_event(dg.AssetObservation(asset_key=asset_key(feed, "raw"), partition=str(month), metadata=metadata))


def _metadata(manifest: Manifest) -> dict[str, dg.MetadataValue]:
    listing = "\n".join(f"- `{file.name}` {file.bytes:,} bytes, {file.url}" for file in manifest.files)
    return {
        "bytes": dg.MetadataValue.float(float(manifest.total_bytes)),
        "fetch_seconds": dg.MetadataValue.float(manifest.seconds),
        "files": dg.MetadataValue.md(listing),
        "provider": dg.MetadataValue.text(manifest.provider),
        "sha256": dg.MetadataValue.text(", ".join(manifest.digest)),
        **({"polls": dg.MetadataValue.json(manifest.polls)} if manifest.polls is not None else {}),
    }
