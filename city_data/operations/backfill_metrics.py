"""Prometheus metrics of Dagster's backfills.

Belongs here: when one failed last. Does not: its reason (defs/backfills.py), or the ledger's metrics (exporter.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import structlog
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from city_data.defs.backfills import last_failure
from city_data.operations.metric_families import gauge
from city_data.store.database import DatabaseUnavailable, availability

_log = structlog.get_logger(__name__)


class BackfillCollector(Collector):
    """The figures of an instance's backfills, read at each scrape."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def collect(self) -> Iterator[Metric]:
        """Nothing without Dagster's database, so that no series can mislead."""
        try:
            with availability():
                failed = last_failure(self._instance)
        except DatabaseUnavailable as error:
            _log.warning("backfills not read", why=str(error))
            return
        yield gauge(
            "external_backfill_last_failure_timestamp",
            "When a backfill last ended as failed, whether Dagster gave it up or a run of it failed; 0 for never",
            failed,
        )
