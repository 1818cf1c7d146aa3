"""A month in Dagster's UI: its check results, the metadata of its materialization, the schema of its table.

Belongs here: conversion to Dagster's types. Does not: the figures themselves (pipeline/build.py, frames/checks.py,
pipeline/drift.py).
"""

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from city_data.datasets import Dataset
from city_data.defs import skill
from city_data.frames import checks, coverage
from city_data.pipeline import drift
from city_data.pipeline.feeds import Feed

if TYPE_CHECKING:
    import pandas as pd

    from city_data.pipeline.build import Built
    from city_data.store.months import Published

PREVIEW_ROWS = 5


def check_specs(
    dataset: Dataset, key: dg.AssetKey, partitions: dg.PartitionsDefinition[str]
) -> list[dg.AssetCheckSpec]:
    """The checks of a published month."""
    of_forecasts = skill.REPORTED if dataset.stands_in_for is not None else {}
    return checks_by_month(key, partitions, {**checks.BLOCKING, **checks.REPORTED, **drift.REPORTED, **of_forecasts})


def checks_by_month(
    key: dg.AssetKey, partitions: dg.PartitionsDefinition[str], described: Mapping[str, str]
) -> list[dg.AssetCheckSpec]:
    with warnings.catch_warnings():
        # Checks by partition are in preview in Dagster 1.13; without them a check would show its last month only.
        warnings.simplefilter("ignore", category=dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                name, asset=key, description=text, blocking=name in checks.BLOCKING, partitions_def=partitions
            )
            for name, text in described.items()
        ]


def check_result(key: dg.AssetKey, outcome: checks.Outcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=outcome.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if outcome.blocking else dg.AssetCheckSeverity.WARN,
        description=outcome.description,
        metadata=dict(outcome.metadata),
    )


def month_metadata(feed: Feed, built: "Built", published: "Published") -> dict[str, Any]:
    """Metadata of the materialization: floats, which the UI plots over the months, and tables. The UI keeps the order:
    what the month is worth comes first, and the longest last."""
    entry, parsed, used_share = published.entry, built.parsed, built.profile.used_share
    columns = coverage.of_month(entry.days, feed.dataset)
    return {
        "state": entry.state,
        "source": built.source,
        "version": published.version,
        "coverage": float(built.coverage),
        "dagster/partition_row_count": published.rows,
        **{f"coverage_{name}": of.percent / 100 for name, of in columns.items() if of.percent is not None},
        **{f"mean_{name}": value for name, value in built.means.items()},
        "columns": dg.MetadataValue.md(_columns(columns)),
        "received_rows": float(parsed.received),
        "used_rows": float(parsed.used),
        "rejected_rows": float(sum(parsed.rejected.values())),
        **({} if used_share is None else {"used_share": used_share}),
        "rejected": dg.MetadataValue.json(dict(parsed.rejected)),
        "nulled": float(sum(parsed.nulled.values())),
        "nulled_values": dg.MetadataValue.json(dict(parsed.nulled)),
        "empty_columns": ", ".join(entry.empty_columns) or "none",
        "changed": published.changed,
        "raw_files": [file.sha256 for file in built.manifest.files],
        "preview": dg.MetadataValue.md(_preview(built.frame)),
        "days": dg.MetadataValue.json(dict(entry.days)),
    }


def column_schema(feed: Feed) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn("date", "timestamptz", description="Start of the interval, UTC"),
            *(
                dg.TableColumn(
                    column.name, column.kind, description=f"{column.description} ({column.unit or column.kind})"
                )
                for column in (*feed.dataset.key_columns, *feed.dataset.columns)
            ),
            dg.TableColumn("source", "text", description="Which provider the row comes from"),
            dg.TableColumn("raw_data", "jsonb", description="Per-station or per-network detail and flags"),
        ]
    )


def _columns(columns: dict[str, coverage.Coverage]) -> str:
    lines = [
        [name, str(of.observed), str(of.expected), f"{of.percent:.2f} %" if of.percent is not None else "not given"]
        for name, of in columns.items()
    ]
    return _table([["column", "observed", "expected", "percent"], *lines])


def _preview(frame: "pd.DataFrame") -> str:
    shown = frame.drop(columns="raw_data").head(PREVIEW_ROWS)
    lines = [[str(value) for value in row] for row in shown.astype(object).where(shown.notna(), "").to_numpy()]
    return _table([list(shown.columns), *lines])


def _table(lines: list[list[str]]) -> str:
    """A Markdown table; the first line is its head."""
    head, *rest = lines
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rest])
