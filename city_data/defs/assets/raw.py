"""The raw asset: fetch one month of one feed and archive the provider's bytes.

Belongs here: which provider is asked, and what each typed outcome does to the run and the ledger. Does not: parsing
(monthly.py), or how a source is called (providers/).
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import dagster as dg

from city_data.defs.resources import ArchiveResource, DatabaseResource, HttpResource
from city_data.pipeline import recheck
from city_data.pipeline.feeds import Choice, Feed
from city_data.providers.base import (
    CollectingProvider,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    PermanentError,
    Provider,
    ProviderError,
    TransientError,
)
from city_data.providers.http import HttpClient
from city_data.store.polls import SnapshotArchive
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


def fetch_month(
    feed: Feed,
    month: Month,
    moment: datetime,
    archive: SnapshotArchive,
    client: Callable[[Provider], HttpClient],
    choices: Sequence[Choice] | None = None,
) -> Manifest:
    """Fetch from the feed's provider, or from its fallback where the first has no such month or no key. Of a live feed
    the month is gathered from the snapshots that the collector has put into the archive.

    Raises the provider's own typed outcome; the first provider's where the fallback does not have the month either.
    """
    first_reason: ProviderError | None = None
    for choice in choices or feed.choices:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
            try:
                if isinstance(choice.provider, CollectingProvider):
                    return gather_month(feed, choice, month, moment, archive)
                request = feed.request(choice, month, moment)
                payloads = choice.provider.fetch(request, client(choice.provider), Path(folder))
            except (NotAvailable, NotConfigured) as reason:
                first_reason = first_reason or reason
                continue
            seconds = time.monotonic() - started
            return archive.store(
                feed.dataset.name, feed.city.city_id, month, choice.provider.name, payloads, moment, seconds
            )
    assert first_reason is not None  # noqa: S101  a feed has at least one choice, which returned or gave a reason
    raise first_reason


def gather_month(feed: Feed, choice: Choice, month: Month, moment: datetime, archive: SnapshotArchive) -> Manifest:
    """The month's snapshots as a manifest. Raises NotYetPublished where a month has none yet, NotAvailable where it has
    ended without any: nothing can bring them back."""
    keys = (feed.dataset.name, feed.city.city_id, month)
    manifest = archive.gather(*keys, choice.provider.name, moment)
    if manifest is not None:
        return manifest
    polls = archive.polls(*keys)
    listed = ", ".join(f"{count} {outcome}" for outcome, count in polls.items())
    found = f"none of {sum(polls.values())} polls brought data ({listed})" if polls else "no snapshot was taken in it"
    subject = f"{choice.provider.name}: {feed.city.city_id} {month}"
    if moment < month.bounds(feed.city.timezone)[1]:
        raise NotYetPublished(f"{subject}: {found} so far; is `city-data collect` running?")
    raise NotAvailable(f"{subject}: {found}, and the source has the present alone")


def raw_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`raw/<dataset>/<city>`: the month's bytes in the archive; skipped where the source has no such month."""
    provider = feed.primary.provider
    spare = f" Falls back to {feed.fallback.provider.name}." if feed.fallback else ""

    @dg.asset(
        key=feed.key("raw"),
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
        look: recheck.Look | None = None
        try:
            if config.only_if_revised:
                look = recheck.look(feed, month, moment, archive.open(), lambda p: http.client(p, database))
                if not look.fetch:
                    _tell(context, database, feed, month, look, moment)
                    return
            choices = look.choices if look else None
            manifest = fetch_month(feed, month, moment, archive.open(), lambda p: http.client(p, database), choices)
        except (NotYetPublished, NotAvailable) as outcome:
            if look is not None:
                _tell(context, database, feed, month, recheck.Look("withdrawn", {"source": str(outcome)}), moment)
                return
            state: State = "not_yet_published" if isinstance(outcome, NotYetPublished) else "not_available"
            context.log.info("%s %s: %s: %s", feed.name, month, state, outcome)
            database.record_state(feed, month, state, str(outcome), moment, context.run.run_id)
            told = dg.AssetObservation(
                feed.key("raw"), partition=str(month), description=str(outcome), metadata={"state": state}
            )
            context.log_event(told)
            return
        except ProviderError as error:
            database.record_state(feed, month, "failed", str(error), moment, context.run.run_id)
            _raise(error)
        if look is not None:
            _tell(context, database, feed, month, look, moment)
        yield dg.MaterializeResult(metadata=_metadata(manifest))

    return raw


def _tell(
    context: dg.AssetExecutionContext,
    database: DatabaseResource,
    feed: Feed,
    month: Month,
    look: recheck.Look,
    moment: datetime,
) -> None:
    """What a look at a settled month found, to the ledger and as an observation of its raw files."""
    database.record_recheck(feed, month, look.result, moment)
    told: dict[str, dg.MetadataValue] = {
        "recheck": dg.MetadataValue.text(look.result),
        "differences": dg.MetadataValue.json(dict(look.differences)),
    }
    context.log_event(dg.AssetObservation(asset_key=feed.key("raw"), partition=str(month), metadata=told))


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
