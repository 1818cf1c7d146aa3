"""Building a month from the raw archive: parse, check, and prepare for the store.

Belongs here: archived bytes to a month ready to publish, pure and offline. Does not: fetching (fetch.py), the rules of
settling (settling.py), or the asset that publishes it (defs/assets/monthly.py).
"""

import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data.datasets import Dataset, expected_stamps
from city_data.frames import checks, coverage
from city_data.pipeline import drift
from city_data.pipeline.feeds import Feed, ProviderBinding, meanings
from city_data.pipeline.outcomes import TypedOutcomes
from city_data.pipeline.settling import settled_state
from city_data.providers.base import ParsedMonth
from city_data.store.raw import Manifest, RawArchive
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

    from city_data.pipeline.gate import Admitted
    from city_data.store.ledger import MonthEntry
    from city_data.store.months import MonthLoad

CODE_VERSION = "1"


@dataclass(frozen=True)
class Built:
    """A parsed and checked month. `frame` is canonical, with null rows for every expected stamp of an ended month.

    `seconds`: the duration of the build and of the earlier fetch of its bytes.
    """

    manifest: Manifest
    parsed: ParsedMonth
    frame: "pd.DataFrame"
    source: str
    expected_rows: int
    coverage: float
    column_coverage: dict[str, float]
    days: dict[str, Any]
    profile: drift.MonthProfile
    outcomes: list[checks.Outcome]
    seconds: float
    missing_stations: tuple[str, ...] = ()

    @property
    def means(self) -> Mapping[str, float]:
        return self.profile.means

    @property
    def refused(self) -> list[checks.Outcome]:
        return [outcome for outcome in self.outcomes if outcome.blocking and not outcome.passed]


def build_month(feed: Feed, month: Month, archive: RawArchive, before: "MonthEntry | None" = None) -> Built:
    """Parse and check a month from the raw archive: pure, repeatable, offline. `before` is the month before.

    Raises ArchiveError without usable archived bytes, PermanentError for bytes that are not in the source's format.
    """
    from city_data.frames import canonical
    from city_data.pipeline.gate import admit

    started = time.monotonic()
    manifest = archive.latest(feed.dataset.name, feed.city.city_id, month)
    choice = feed.choice(manifest.provider)
    request = feed.request(choice, month, manifest.fetched_at)
    with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
        payloads = archive.payloads(manifest, Path(folder))
        with TypedOutcomes(choice.provider.name, request):
            admitted = admit(choice.provider.parse(request, payloads), request, choice.provider.capabilities)
            parsed, given = _at_resolution(feed, choice, admitted)
    frame = parsed.frame
    stamps = expected_stamps(month, feed.city.timezone, feed.resolution)
    ended = manifest.fetched_at >= month.bounds(feed.city.timezone)[1]
    source = str(frame["source"].iloc[0]) if len(frame) else choice.provider.source(payloads)
    expected_rows = feed.dataset.expected_rows(month, feed.city.timezone, feed.resolution)
    columns = {name: min(1.0, n / expected_rows) for name, n in canonical.observed(frame, feed.dataset).items()}
    profile = drift.MonthProfile(
        provider=choice.provider.name,
        fields=tuple(parsed.fields),
        bytes=manifest.total_bytes,
        received=parsed.received,
        expected_rows=expected_rows,
        whole=ended,
        means=drift.means(frame, feed.dataset),
        spreads=drift.spreads(frame, feed.dataset),
        columns={name: share for name, share in columns.items() if name in given},
        used_share=coverage.used_share(parsed.received, parsed.used, parsed.rejected),
        origin=drift.origin_of(parsed.provenance),
    )
    profile_before = drift.profile_of(before, feed.city.timezone) if before and before.has_data else None
    known = stamps if ended else _known(stamps, frame, feed.dataset)
    forward_only = choice.provider.capabilities.forward_only
    missing = _missing_stations(choice, parsed)
    return Built(
        manifest=manifest,
        parsed=parsed,
        frame=canonical.complete(frame, feed.dataset, known, source),
        source=source,
        expected_rows=expected_rows,
        coverage=coverage.share(frame, feed.dataset, given, expected_rows),
        column_coverage=columns,
        days=coverage.by_day(frame, feed.dataset, given, month, stamps, feed.city.timezone),
        profile=profile,
        outcomes=[
            checks.month_coverage(frame, feed.dataset, expected_rows, ended, forward_only),
            *admitted.outcomes,
            *drift.evaluate(profile, profile_before),
            drift.configured_stations(missing, ended),
        ],
        seconds=manifest.seconds + time.monotonic() - started,
        missing_stations=missing,
    )


def month_load(
    feed: Feed, month: Month, built: Built, current: "MonthEntry | None", run_id: str, attempt: int, moment: datetime
) -> "MonthLoad":
    """The month as the store loads it; `current` is its ledger row so far."""
    from city_data.store.months import MonthLoad

    choice = feed.choice(built.manifest.provider)
    capabilities = choice.provider.capabilities
    load = MonthLoad(
        city_id=feed.city.city_id,
        dataset=feed.dataset.name,
        month=month,
        timezone=feed.city.timezone,
        frame=built.frame,
        state="provisional",
        source=built.source,
        expected_rows=built.expected_rows,
        coverage=built.coverage,
        column_coverage=built.column_coverage,
        raw_files=[file.model_dump() for file in built.manifest.files],
        received=built.parsed.received,
        used=built.parsed.used,
        rejected=dict(built.parsed.rejected),
        nulled=dict(built.parsed.nulled),
        days=built.days,
        provenance={
            **built.parsed.provenance,
            "fields": list(built.profile.fields),
            "means": dict(built.profile.means),
            "spreads": dict(built.profile.spreads),
            "modelled": capabilities.modelled,
            "licence": capabilities.licence,
            "licence_url": capabilities.licence_url,
            "meanings": meanings(capabilities),
            **({} if built.manifest.polls is None else {"polls": built.manifest.polls}),
            **_fallback(feed, built.manifest),
            **({"stations_without_data": list(built.missing_stations)} if built.missing_stations else {}),
        },
        code_version=CODE_VERSION,
        run_id=run_id,
        attempt=attempt,
        fetched_at=built.manifest.fetched_at,
        at=moment,
        seconds=built.seconds,
        fallback_reason=built.manifest.fallback_reason,
    )
    return load.in_state(settled_state(choice, month, feed.city.timezone, built.manifest, load.content_sha256, current))


def _known(stamps: list[datetime], frame: "pd.DataFrame", dataset: Dataset) -> list[datetime]:
    """The stamps that a source of a month under way has come to: for each value of the other keys it has newer rows."""
    newest = frame["date"].groupby([frame[name] for name in dataset.key[1:]] or (lambda _: 0)).max()
    return [stamp for stamp in stamps if len(newest) == len(dataset.key_values) and stamp <= newest.min()]


def _missing_stations(choice: ProviderBinding, parsed: ParsedMonth) -> tuple[str, ...]:
    """The configured stations that the month has nothing of."""
    listed = parsed.provenance.get("stations", ())
    present = {str(station["id"] if isinstance(station, Mapping) else station) for station in listed}
    return tuple(one for one in choice.provider.stations(choice.settings) if one not in present)


def _fallback(feed: Feed, manifest: Manifest) -> dict[str, Any]:
    if manifest.fallback_reason is None:
        return {}
    return {"fallback": {"first_source": feed.primary.provider.name, "reason": manifest.fallback_reason}}


def _at_resolution(feed: Feed, choice: ProviderBinding, admitted: "Admitted") -> tuple[ParsedMonth, set[str]]:
    """The month at the feed's resolution, and the columns that the source gives at it.

    An hourly fallback of a daily city is aggregated to days, which have no text columns.
    """
    capabilities, parsed = choice.provider.capabilities, admitted.parsed
    if capabilities.resolution == feed.resolution:
        return parsed, set(capabilities.columns)
    from city_data.frames.canonical import canonical_frame
    from city_data.frames.daily import OF_HOURS, daily, of_hours
    from city_data.pipeline.gate import merged, without_implausible

    days = canonical_frame(daily(parsed.frame, feed.dataset, feed.city.timezone), feed.dataset)
    frame, odd = without_implausible(days, feed.dataset)  # a sum of plausible hours may be implausible for a day
    nulled = merged(parsed.nulled, {f"{checks.IMPLAUSIBLE}:{name}": cells.cells for name, cells in odd.items()})
    derived = Counter(name for details in days["raw_data"] for name in details.get(OF_HOURS, ()))
    provenance = {**parsed.provenance, **of_hours(derived)}
    numbers = {column.name for column in feed.dataset.columns if column.kind == "number"}
    return replace(parsed, frame=frame, nulled=nulled, provenance=provenance), numbers & set(capabilities.columns)
