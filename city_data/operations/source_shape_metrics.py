"""Prometheus metrics of the drift watch: changes of what each source sends against its last good shape.

Belongs here: names, labels and values. Does not: the comparison (pipeline/source_shape.py), the ledger's metrics
(exporter.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from city_data.operations.metric_families import labelled
from city_data.pipeline.feeds import Feed
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.source_shapes import read_shapes

_SOURCE = ("city", "dataset", "provider")
_log = structlog.get_logger(__name__)


class SourceShapeCollector(Collector):
    """The figures of every source of the feeds, fallbacks too, read at each scrape."""

    def __init__(self, database: Database, feeds: Sequence[Feed]) -> None:
        self._database, self._feeds = database, feeds

    def collect(self) -> Iterator[Metric]:
        """Nothing without the database, which `external_ledger_up` shows."""
        try:
            rows = {(row.city_id, row.dataset, row.provider): row for row in read_shapes(self._database)}
        except DatabaseUnavailable as error:
            _log.warning("shapes of sources not read", why=str(error))
            return
        sources = [(f.city.city_id, f.dataset.name, c.provider.name) for f in self._feeds for c in f.choices]
        yield labelled(
            "external_source_shape_changes",
            "Changes of what the source sends (columns, types, stamps, size) against its last good shape",
            _SOURCE,
            {key: float(len(rows[key].changes)) if key in rows else 0.0 for key in sources},
        )
        yield labelled(
            "external_source_shape_checked_timestamp",
            "When a fetch was last compared with the source's last good shape; 0 for never",
            _SOURCE,
            {key: rows[key].checked_at.timestamp() if key in rows else 0.0 for key in sources},
        )
