"""Looking at a settled month again: does its source still have what we have?

Belongs here: one cheap look, and what it comes to. Does not: when a month's turn comes (settling.py), fetching again
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
from city_data.store.raw import ArchiveError, RawArchive
from city_data.window import Month

if TYPE_CHECKING:
    from datetime import datetime

    from city_data.store.ledger import Recheck


@dataclass(frozen=True)
class RecheckResult:
    """`fetched`: the source has no cheap way to tell, so the month is to be fetched again. `differences` are told as
    `what was -> what is`. `choices` are those that may be fetched from, None for all that the feed has.
    """

    result: Recheck
    differences: Mapping[str, str] = field(default_factory=dict)
    choices: Sequence[ProviderBinding] | None = None

    @property
    def fetch(self) -> bool:
        return self.result in ("revised", "fetched")


def look(
    feed: Feed, month: Month, moment: datetime, archive: RawArchive, client: Callable[[Provider], HttpClient]
) -> RecheckResult:
    """Ask the source that the month came from. Raises TransientError and PermanentError, as its fetch does."""
    try:
        manifest = archive.latest(feed.dataset.name, feed.city.city_id, month)
        choice = feed.choice(manifest.provider)
    except (ArchiveError, RegistryError):
        return RecheckResult("fetched")  # nothing to compare with
    if choice is not feed.primary:
        return RecheckResult("fetched")  # the first source may have the month by now
    # A first source that says nothing today must not hand an observed month over to a modelling fallback.
    own = [choice]
    held = {name: text for file in manifest.files for name, text in file.fingerprint.items()}
    if not held:
        return RecheckResult("fetched", choices=own)
    request = feed.request(choice, month, moment)
    try:
        with TypedOutcomes(choice.provider.name, request):
            told = choice.provider.fingerprint(request, client(choice.provider))
    except (NotYetPublished, NotAvailable) as gone:
        return RecheckResult("withdrawn", {"source": str(gone)})
    return replace(compare(held, told), choices=own)


def compare(held: Mapping[str, str], told: Mapping[str, str] | None) -> RecheckResult:
    """Only what is known of both is compared: a server may leave out a length or a tag that it once gave."""
    known = sorted(held.keys() & (told or {}).keys())
    if told is None or not known:
        return RecheckResult("fetched")
    differences = {name: f"{held[name]} -> {told[name]}" for name in known if held[name] != told[name]}
    return RecheckResult("revised" if differences else "unchanged", differences)
