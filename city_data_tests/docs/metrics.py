"""docs/metrics.md: every exported metric as a table, from the collectors themselves.

Belongs here: how a metric is shown. Does not: which there are (operations/exporter.py, api/observability.py).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from prometheus_client.metrics_core import Metric

from api.observability import Metrics
from city_data.cities import load_registry
from city_data.operations.backfill_metrics import BackfillCollector
from city_data.operations.exporter import LedgerCollector
from city_data.operations.live_feed_metrics import LiveFeedCollector
from city_data.operations.source_shape_metrics import SourceShapeCollector
from city_data.pipeline.feeds import enabled_feeds
from city_data.store.database import Database
from city_data.store.polls import PollArchive
from city_data_tests.docs.tables import code, table

# The names that a scrape shows for a family of a type.
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}


def exporter_families(database: Database) -> list[Metric]:
    """The exporter's families, with labels, of the shipped registry's feeds and one daemon."""
    feeds = enabled_feeds(load_registry(environ={}))
    moment = datetime(2026, 11, 24, 9, tzinfo=UTC)
    ledger = LedgerCollector(database, feeds, lambda: moment, lambda: {"SCHEDULER": 0.0})
    with tempfile.TemporaryDirectory() as folder:
        polls = list(LiveFeedCollector(PollArchive(folder), feeds, lambda: moment).collect())
    with dg.DagsterInstance.ephemeral() as instance:
        backfills = list(BackfillCollector(instance).collect())
    return [*ledger.collect(), *backfills, *SourceShapeCollector(database, feeds).collect(), *polls]


def exporter_table(database: Database) -> str:
    """The metrics of `city-data exporter`."""
    return _table(exporter_families(database))


def reader_table() -> str:
    """The metrics of the reader."""
    registry = Metrics(load_registry(environ={})).registry
    labels = {
        described.name: tuple(collector._labelnames)
        for collector, names in registry._collector_to_names.items()
        for described in registry.collect()
        if described.name in names or f"{described.name}_total" in names
    }
    return _table(registry.collect(), labels)


def _table(families: Iterable[Metric], labels: dict[str, tuple[str, ...]] | None = None) -> str:
    rows = []
    for family in families:
        names = labels[family.name] if labels else _labels(family)
        shown = code(family.name + suffix for suffix in SUFFIXES.get(family.type, [""]))
        rows.append((shown, family.type, code(names) or "none", family.documentation))
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def _labels(family: Metric) -> list[str]:
    """Of its samples, without `le`, which only a histogram's buckets have."""
    return list(dict.fromkeys(name for sample in family.samples for name in sample.labels if name != "le"))
