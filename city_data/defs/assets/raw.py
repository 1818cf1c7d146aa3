"""The raw asset: fetch one month of one feed and archive the provider's bytes.

Belongs here: the asset, and what each typed outcome does to the run and the ledger. Does not: which provider is asked
(pipeline/fetch.py), parsing (pipeline/build.py), or how a source is called (providers/).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

import dagster as dg

from city_data.defs.keys import asset_key
from city_data.defs.resources import ArchiveResource, DatabaseResource, HttpResource
from city_data.pipeline import recheck
from city_data.pipeline.feeds import Feed
from city_data.pipeline.fetch import fetch_month
from city_data.providers.base import (
    NotAvailable,
    NotYetPublished,
    PermanentError,
    ProviderError,
    TransientError,
)
from city_data.store.raw import Manifest
from city_data.window import Month, as_of

if TYPE_CHECKING:
    from city_data.store.ledger import State

CODE_VERSION = "1"
MAX_RETRIES = 3
RETRY_WAIT_S = 10.0
# A run that waits holds its place: what asks for more, such as a day's budget that is used up, is left to the daily
# refresh.
LONGEST_WAIT_S = 900.0


class RawConfig(dg.Config):
    """`only_if_revised`: a look at a settled month, which is fetched again only where its source has other bytes."""

    only_if_revised: bool = False


def raw_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`raw/<dataset>/<city>`: the month's bytes in the archive; skipped where the source has no such month."""
    provider = feed.primary.provider
    spare = f" Falls back to {feed.fallback.provider.name}." if feed.fallback else ""

    @dg.asset(
        key=asset_key(feed, "raw"),
        partitions_def=partitions,
        group_name=feed.city.city_id,
        kinds={"python", "file"},
        owners=["team:city_data"],
        description=f"{feed.city.name}'s {feed.dataset.name} as received from {provider.name}.{spare} {feed.licences}",
        code_version=CODE_VERSION,
        deps=[dg.AssetKey(["provider", choice.provider.name]) for choice in feed.choices],
        output_required=False,
        pool=provider.name,
    )
    def raw(
        context: dg.AssetExecutionContext,
        config: RawConfig,
        archive: ArchiveResource,
        database: DatabaseResource,
        http: HttpResource,
    ) -> Iterator[dg.MaterializeResult[None]]:
        month, moment = Month.parse(context.partition_key), as_of()
        database.record_providers(feed)
        result: recheck.RecheckResult | None = None
        try:
            if config.only_if_revised:
                result = recheck.check_for_revision(
                    feed, month, moment, archive.open(), lambda p: http.client(p, database)
                )
                if not result.fetch:
                    _tell(context, database, feed, month, result, moment)
                    return
            choices = result.choices if result else None
            manifest = fetch_month(feed, month, moment, archive.open(), lambda p: http.client(p, database), choices)
        except (NotYetPublished, NotAvailable) as outcome:
            if result is not None:
                _tell(
                    context, database, feed, month, recheck.RecheckResult("withdrawn", {"source": str(outcome)}), moment
                )
                return
            state: State = "not_yet_published" if isinstance(outcome, NotYetPublished) else "not_available"
            context.log.info("%s %s: %s: %s", feed.name, month, state, outcome)
            database.record_state(feed, month, state, str(outcome), moment, context.run.run_id)
            told = dg.AssetObservation(
                asset_key(feed, "raw"), partition=str(month), description=str(outcome), metadata={"state": state}
            )
            context.log_event(told)
            return
        except ProviderError as error:
            database.record_state(feed, month, "failed", str(error), moment, context.run.run_id)
            _raise(error)
        if result is not None:
            _tell(context, database, feed, month, result, moment)
        yield dg.MaterializeResult(metadata=_metadata(manifest))

    return raw


def _tell(
    context: dg.AssetExecutionContext,
    database: DatabaseResource,
    feed: Feed,
    month: Month,
    result: recheck.RecheckResult,
    moment: datetime,
) -> None:
    """What a look at a settled month found, to the ledger and as an observation of its raw files."""
    database.record_recheck(feed, month, result.result, moment)
    told: dict[str, dg.MetadataValue] = {
        "recheck": dg.MetadataValue.text(result.result),
        "differences": dg.MetadataValue.json(dict(result.differences)),
    }
    context.log_event(dg.AssetObservation(asset_key=asset_key(feed, "raw"), partition=str(month), metadata=told))


def _raise(error: ProviderError) -> NoReturn:
    """Transient errors ask Dagster for a retry after the source's own wait; permanent ones, and long waits, fail."""
    kind = "permanent" if isinstance(error, PermanentError) else "unknown"
    if isinstance(error, TransientError):
        kind, wait = "transient", RETRY_WAIT_S if error.retry_after is None else error.retry_after
        if wait <= LONGEST_WAIT_S:
            raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    raise dg.Failure(description=str(error), metadata={"kind": kind}, allow_retries=False) from error


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
