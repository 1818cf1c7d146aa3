"""The monthly asset: parse the archived bytes, check them, replace the month and its ledger row at once.

Belongs here: the way from raw bytes to published rows, and when a month is settled. Does not: the network, ever.
"""

import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from city_data import checks
from city_data.archive import ArchiveError, Manifest, RawArchive
from city_data.datasets import expected_stamps
from city_data.providers.base import ParsedMonth, ProviderError
from city_data.resources import ArchiveResource, DatabaseResource
from city_data.sources import Choice, Feed
from city_data.window import Month, as_of

if TYPE_CHECKING:
    import pandas as pd

    from city_data.store.ledger import MonthEntry
    from city_data.store.months import MonthLoad, Published

CODE_VERSION = "1"
PREVIEW_ROWS = 5
# Two fetches that agree say something only when a source had time to change between them.
AGREEMENT_GAP = timedelta(hours=20)


@dataclass(frozen=True)
class Built:
    """A parsed and judged month. `frame` is canonical, with null rows for every expected stamp of an ended month.

    `seconds`: what it took, with the fetch of the archived bytes, whenever that was.
    """

    manifest: Manifest
    parsed: ParsedMonth
    frame: "pd.DataFrame"
    source: str
    expected_rows: int
    coverage: float
    column_coverage: dict[str, float]
    means: dict[str, float]
    outcomes: list[checks.Outcome]
    seconds: float

    @property
    def refused(self) -> list[checks.Outcome]:
        return [outcome for outcome in self.outcomes if outcome.blocking and not outcome.passed]


def build_month(feed: Feed, month: Month, archive: RawArchive, before: "MonthEntry | None" = None) -> Built:
    """Parse and judge a month from the raw archive alone: pure, repeatable, offline. `before` is the month before.

    Raises ArchiveError where nothing usable is archived, PermanentError where the bytes are not the source's format.
    """
    from city_data import frames

    started = time.monotonic()
    manifest = archive.latest(feed.dataset.name, feed.city.city_id, month)
    choice = feed.choice(manifest.provider)
    with tempfile.TemporaryDirectory(prefix="city_data-") as folder:
        payloads = archive.payloads(manifest, Path(folder))
        parsed = choice.provider.parse(feed.request(choice, month, manifest.fetched_at), payloads)
    frame = frames.canonical(_at_resolution(feed, choice, parsed.frame), feed.dataset)
    stamps = expected_stamps(month, feed.city.timezone, feed.resolution)
    ended = manifest.fetched_at >= month.bounds(feed.city.timezone)[1]
    source = str(frame["source"].iloc[0]) if len(frame) else choice.provider.name
    previous_means = before.provenance.get("means") if before else None
    observed = frames.observed(frame, feed.dataset)
    known = stamps if ended else [stamp for stamp in stamps if len(frame) and stamp <= frame["date"].iloc[-1]]
    return Built(
        manifest=manifest,
        parsed=parsed,
        frame=frames.complete(frame, feed.dataset, known, source),
        source=source,
        expected_rows=len(stamps),
        coverage=checks.coverage(frame, feed.dataset, len(stamps)),
        column_coverage={name: min(1.0, count / len(stamps)) for name, count in observed.items()},
        means=checks.means(frame, feed.dataset),
        outcomes=checks.evaluate(frame, feed.dataset, month, feed.city.timezone, len(stamps), ended, previous_means),
        seconds=manifest.seconds + time.monotonic() - started,
    )


def settled_state(
    choice: Choice, month: Month, timezone: str, fetched_at: datetime, content_sha256: str, held: "MonthEntry | None"
) -> Literal["provisional", "settled"]:
    """Settled once fetched after lag and settling time, or when two fetches after the lag, well apart, agree."""
    capabilities = choice.provider.capabilities
    published = month.bounds(timezone)[1] + capabilities.lag
    if fetched_at >= published + capabilities.settling:
        return "settled"
    if held is None or held.content_sha256 != content_sha256 or held.fetched_at is None:
        return "provisional"
    agree = held.fetched_at >= published and fetched_at - held.fetched_at >= AGREEMENT_GAP
    return "settled" if agree or held.state == "settled" else "provisional"


def month_load(
    feed: Feed, month: Month, built: Built, held: "MonthEntry | None", run_id: str, attempt: int, moment: datetime
) -> "MonthLoad":
    """What the store replaces the month with."""
    from city_data import frames
    from city_data.store.months import MonthLoad

    choice = feed.choice(built.manifest.provider)
    content = frames.content_sha256(frames.records(built.frame, feed.dataset))
    capabilities = choice.provider.capabilities
    return MonthLoad(
        city_id=feed.city.city_id,
        dataset=feed.dataset.name,
        month=month,
        timezone=feed.city.timezone,
        frame=built.frame,
        state=settled_state(choice, month, feed.city.timezone, built.manifest.fetched_at, content, held),
        source=built.source,
        expected_rows=built.expected_rows,
        coverage=built.coverage,
        column_coverage=built.column_coverage,
        raw_files=[file.model_dump() for file in built.manifest.files],
        rejected=dict(built.parsed.rejected),
        provenance={
            **built.parsed.provenance,
            "means": built.means,
            "modelled": capabilities.modelled,
            "licence": capabilities.licence,
            "licence_url": capabilities.licence_url,
        },
        code_version=CODE_VERSION,
        run_id=run_id,
        attempt=attempt,
        fetched_at=built.manifest.fetched_at,
        at=moment,
        seconds=built.seconds,
    )


def monthly_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`monthly/<dataset>/<city>`: the published month in PostgreSQL, with its checks."""
    key = feed.key("monthly")

    @dg.asset(
        key=key,
        partitions_def=partitions,
        group_name=feed.city.city_id,
        kinds={"python", "pandas", "postgres"},
        owners=["team:city_data"],
        description=f"{feed.city.name}'s {feed.dataset.name}, {feed.resolution}, checked and published month by month "
        f"in `{feed.dataset.table}`. {feed.licences}",
        code_version=CODE_VERSION,
        deps=[feed.key("raw")],
        metadata={"dagster/column_schema": _column_schema(feed), "dagster/relation_identifier": feed.dataset.table},
        check_specs=_check_specs(key, partitions),
    )
    def monthly(
        context: dg.AssetExecutionContext, archive: ArchiveResource, database: DatabaseResource
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        month, moment = Month.parse(context.partition_key), as_of()
        held, before = database.entry(feed, month), database.entry(feed, month - 1)
        try:
            built = build_month(feed, month, archive.open(), before)
        except (ArchiveError, ProviderError) as error:
            _fail(database, feed, month, str(error), moment, context.run.run_id, error)
        for outcome in built.outcomes:
            yield _check_result(key, outcome)
        if built.refused:
            found = "; ".join(f"{outcome.name}: {outcome.description}" for outcome in built.refused)
            text = f"{feed.name} {month} refused by its checks: {found}"
            _fail(database, feed, month, text, moment, context.run.run_id)
        load = month_load(feed, month, built, held, context.run.run_id, context.retry_number + 1, moment)
        published = database.replace_month(load)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(built, published))

    return monthly


def _at_resolution(feed: Feed, choice: Choice, frame: "pd.DataFrame") -> "pd.DataFrame":
    """An hourly fallback of a daily city becomes days; everything else is as it came."""
    if choice.provider.capabilities.resolution == feed.resolution:
        return frame
    from city_data.aggregate import daily

    return daily(frame, feed.city.timezone)


def _fail(
    database: DatabaseResource,
    feed: Feed,
    month: Month,
    text: str,
    moment: datetime,
    run_id: str,
    cause: BaseException | None = None,
) -> Any:
    database.record_state(feed, month, "failed", text, moment, run_id)
    raise dg.Failure(description=text, allow_retries=False) from cause


def _check_specs(key: dg.AssetKey, partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Checks by partition are in preview in Dagster 1.13; without them a check would tell of its last month only.
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name, asset=key, description=text, blocking=name in checks.BLOCKING, partitions_def=partitions
            )
            for name, text in {**checks.BLOCKING, **checks.TOLD}.items()
        ]


def _check_result(key: dg.AssetKey, outcome: checks.Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=outcome.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.description,
        metadata=dict(outcome.metadata),
    )


def _metadata(built: Built, published: "Published") -> dict[str, Any]:
    """Floats, so that the UI plots them over the months."""
    return {
        "dagster/partition_row_count": published.rows,
        "coverage": float(built.coverage),
        **{f"mean_{name}": value for name, value in built.means.items()},
        "rejected_rows": float(sum(built.parsed.rejected.values())),
        "rejected": dg.MetadataValue.json(dict(built.parsed.rejected)),
        "version": published.version,
        "changed": published.changed,
        "state": published.entry.state,
        "source": built.source,
        "raw_files": [file.sha256 for file in built.manifest.files],
        "preview": dg.MetadataValue.md(_preview(built.frame)),
    }


def _preview(frame: "pd.DataFrame") -> str:
    shown = frame.drop(columns="raw_data").head(PREVIEW_ROWS)
    lines = [[str(value) for value in row] for row in shown.astype(object).where(shown.notna(), "").to_numpy()]
    header = list(shown.columns)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *lines])


def _column_schema(feed: Feed) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn("date", "timestamptz", description="Start of the interval, UTC"),
            *(
                dg.TableColumn(column.name, column.kind, description=f"{column.description} ({column.unit or 'text'})")
                for column in feed.dataset.columns
            ),
            dg.TableColumn("source", "text", description="Which provider the row comes from"),
            dg.TableColumn("raw_data", "jsonb", description="Per-station or per-network detail and flags"),
        ]
    )
