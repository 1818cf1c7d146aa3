"""A month fetched into the raw archive, from the feed's provider or its fallback, or gathered from polls.

Belongs here: the choice and order of providers. Does not: calls of a source (providers/), or the effect of each outcome
on a run (defs/assets/raw.py).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.pipeline.recheck import compare, stored_fingerprint
from city_data.providers.base import (
    CollectingProvider,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    Provider,
    ProviderError,
    Request,
)
from city_data.providers.http import HttpClient
from city_data.store.polls import STORED, PollArchive
from city_data.store.raw import ArchiveError, Manifest
from city_data.window import Month

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry

# Two hours of polls on the collector's beat: more of them make a value, or are not what they were.
_FEW_POLLS = 12


def fetch_month(
    feed: Feed,
    month: Month,
    moment: datetime,
    archive: PollArchive,
    client: Callable[[Provider], HttpClient],
    choices: Sequence[ProviderBinding] | None = None,
) -> Manifest:
    """Fetch from the feed's provider, or from its fallback where the first has no such month or no key. The month
    of a live feed is gathered from the polls that the collector has archived.

    Bytes that are archived are not fetched again where the source's fingerprint says that it still has them.
    The first provider's outcome is never lost: a fallback's manifest has it as `fallback_reason`, and a fallback's own
    failure names it. Raises the provider's own typed outcome, PermanentError where it ends in none; the first
    provider's where the fallback does not have the month either.
    """
    first_reason: ProviderError | None = None
    for choice in choices or feed.choices:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
            try:
                if isinstance(choice.provider, CollectingProvider):
                    return gather_month(feed, choice, month, moment, archive, _text(first_reason))
                request = feed.request(choice, month, moment)
                with TypedOutcomes(choice.provider.name, request):
                    if (known := _unchanged(feed, choice, request, archive, client, Path(folder))) is not None:
                        return archive.record_unchanged(known, moment, time.monotonic() - started, _text(first_reason))
                    payloads = choice.provider.fetch(request, client(choice.provider), Path(folder))
            except (NotAvailable, NotConfigured) as reason:
                if first_reason is None:
                    first_reason = reason
                else:
                    first_reason.args = (f"{first_reason}; fallback: {reason}",)
                continue
            except ProviderError as error:
                if first_reason is not None:
                    error.args = (f"{error}; called as the fallback of: {first_reason}",)
                raise
            keys = (feed.dataset.name, feed.city.city_id, month, choice.provider.name)
            seconds = time.monotonic() - started
            return archive.store(*keys, payloads, moment, seconds, fallback_reason=_text(first_reason))
    assert first_reason is not None  # noqa: S101  a feed has at least one choice, which returned or gave a reason
    raise first_reason


def absence(
    outcome: NotYetPublished | NotAvailable | NotConfigured, entry: MonthEntry | None
) -> Literal["not_yet_published", "not_available"]:
    """The state of a month that no source has; `entry` is its ledger row. Raises the outcome where a key is missing and
    no fallback serves the month in its place."""
    if isinstance(outcome, NotConfigured) and (entry is None or entry.fallback_reason is None):
        raise outcome
    return "not_yet_published" if isinstance(outcome, NotYetPublished) else "not_available"


def _unchanged(
    feed: Feed,
    choice: ProviderBinding,
    request: Request,
    archive: PollArchive,
    client: Callable[[Provider], HttpClient],
    folder: Path,
) -> Manifest | None:
    """The month's manifest, where its bytes are intact in the archive and the source still has the same."""
    try:
        manifest = archive.latest(feed.dataset.name, feed.city.city_id, request.month)
        if manifest.provider != choice.provider.name or not stored_fingerprint(manifest):
            return None
        archive.payloads(manifest, folder)
    except ArchiveError:
        return None
    current = choice.provider.fingerprint(request, client(choice.provider))
    return manifest if compare(stored_fingerprint(manifest), current).result == "unchanged" else None


def gather_month(
    feed: Feed,
    choice: ProviderBinding,
    month: Month,
    moment: datetime,
    archive: PollArchive,
    fallback_reason: str | None = None,
) -> Manifest:
    """The month's polls as a manifest. Raises NotYetPublished where a month has none yet, or too few for one value,
    NotAvailable where it ended so: they cannot be fetched later."""
    keys = (feed.dataset.name, feed.city.city_id, month)
    manifest = archive.gather(*keys, choice.provider.name, moment, fallback_reason)
    over = moment >= month.bounds(feed.city.timezone)[1]
    if manifest is not None and not _makes_no_value(feed, choice, month, manifest, archive, over):
        return manifest
    polls = archive.polls(*keys) if manifest is None or manifest.polls is None else manifest.polls
    listed = ", ".join(f"{count} {outcome}" for outcome, count in polls.items())
    if not polls:
        summary = "no poll was made in it"
    elif manifest is None:
        summary = f"none of {sum(polls.values())} polls brought data ({listed})"
    else:
        summary = f"{_stored(manifest)} stored polls make no value ({listed})"
    subject = f"{choice.provider.name}: {feed.city.city_id} {month}"
    if not over:
        raise NotYetPublished(f"{subject}: {summary} so far; is `city-data collect` running?")
    raise NotAvailable(f"{subject}: {summary}, and the source has no history")


def _makes_no_value(
    feed: Feed, choice: ProviderBinding, month: Month, manifest: Manifest, archive: PollArchive, over: bool
) -> bool:
    """Whether valid polls are too few for one value. Where no row could be used, the checks give the reason: the
    first polls of a month may hold readings of the month before, and nothing else."""
    if _stored(manifest) > _FEW_POLLS:
        return False
    request = feed.request(choice, month, manifest.fetched_at)
    with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
        payloads = archive.payloads(manifest, Path(folder))
        with TypedOutcomes(choice.provider.name, request):
            parsed = choice.provider.parse(request, payloads)
    measured = [name for name in feed.dataset.measured_names if name in parsed.frame]
    return not parsed.frame[measured].notna().any(axis=None) and (parsed.used > 0 or not over)


def _stored(manifest: Manifest) -> int:
    """How many polls of the month brought data; the manifest itself names one index of them."""
    return (manifest.polls or {}).get(STORED, 0)


def _text(reason: ProviderError | None) -> str | None:
    return None if reason is None else str(reason)
