"""Rechecks of settled months: whether their source has revised or withdrawn them.

Belongs here: one cheap comparison and its result. Does not: when a month is due (settling.py), fetching again
(defs/assets/raw.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from city_data.cities import RegistryError
from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.providers.base import NotAvailable, NotYetPublished, Provider
from city_data.providers.http import HttpClient
from city_data.store.raw import ArchiveError, Manifest, RawArchive
from city_data.window import Month

if TYPE_CHECKING:
    from datetime import datetime

    from city_data.store.ledger import Recheck


@dataclass(frozen=True)
class RecheckResult:
    """`fetched`: the source has no fingerprints, so the month is to be fetched again. `differences` are written
    `before -> after`. `choices` are the providers that may be fetched from, None for all of the feed.
    """

    result: Recheck
    differences: Mapping[str, str] = field(default_factory=dict)
    choices: Sequence[ProviderBinding] | None = None

    @property
    def fetch(self) -> bool:
        return self.result in ("revised", "fetched")


def check_for_revision(
    feed: Feed, month: Month, moment: datetime, archive: RawArchive, client: Callable[[Provider], HttpClient]
) -> RecheckResult:
    """Compare the archived month with its source. Raises TransientError and PermanentError, as its fetch does."""
    try:
        manifest = archive.latest(feed.dataset.name, feed.city.city_id, month)
        choice = feed.choice(manifest.provider)
    except (ArchiveError, RegistryError):
        return RecheckResult("fetched")  # nothing to compare with
    if choice is not feed.primary:
        return RecheckResult("fetched")  # the first source may have the month by now
    # A first source without an answer today must not lose an observed month to a modelled fallback.
    own = [choice]
    stored = stored_fingerprint(manifest)
    if not stored:
        return RecheckResult("fetched", choices=own)
    request = feed.request(choice, month, moment)
    try:
        with TypedOutcomes(choice.provider.name, request):
            current = choice.provider.fingerprint(request, client(choice.provider))
    except (NotYetPublished, NotAvailable) as withdrawn:
        return RecheckResult("withdrawn", {"source": str(withdrawn)})
    return replace(compare(stored, current), choices=own)


def stored_fingerprint(manifest: Manifest) -> dict[str, str]:
    """The fingerprint of the archived files; empty where their source has none."""
    return {name: text for file in manifest.files for name, text in file.fingerprint.items()}


def compare(stored: Mapping[str, str], current: Mapping[str, str] | None) -> RecheckResult:
    """Compare the fields that both have: a server may omit a length or a tag that it sent before."""
    known = sorted(stored.keys() & (current or {}).keys())
    if current is None or not known:
        return RecheckResult("fetched")
    differences = {name: f"{stored[name]} -> {current[name]}" for name in known if stored[name] != current[name]}
    return RecheckResult("revised" if differences else "unchanged", differences)
