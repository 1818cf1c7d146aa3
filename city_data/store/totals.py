"""Ingestion counters by city and dataset, which the expiry of a month does not decrease.

Belongs here: adding to the counters in the caller's transaction, and reading them. Does not: the state of any month
(ledger.py), or the export of counters (operations/exporter.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from city_data.datasets import DatasetName
from city_data.store.database import Database
from city_data.store.schema import INGESTION_TOTAL

# Upper bounds, in seconds, of the duration histogram; the last bucket has none. A month of a city is built in a
# fraction of a second, and a full-size download takes minutes.
DURATION_BOUNDS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)

_ADD_LOAD = sa.text(
    """
    INSERT INTO ingestion_total AS stored (city_id, dataset, records, loads, failures, seconds, duration_counts)
    VALUES (:city_id, :dataset, :records, 1, 0, :seconds, :counts)
    ON CONFLICT (city_id, dataset) DO UPDATE SET
      records = stored.records + :records, loads = stored.loads + 1, seconds = stored.seconds + :seconds,
      duration_counts[:bucket] = stored.duration_counts[:bucket] + 1
    """
)
_ADD_FAILURE = sa.text(
    """
    INSERT INTO ingestion_total AS stored (city_id, dataset, records, loads, failures, seconds, duration_counts)
    VALUES (:city_id, :dataset, 0, 0, 1, 0, :counts)
    ON CONFLICT (city_id, dataset) DO UPDATE SET failures = stored.failures + 1
    """
)


@dataclass(frozen=True)
class Totals:
    """`records` published (new versions only), `loads` that published or confirmed a month, `failures`, and the loads'
    `seconds` in all and by bucket (`duration_counts`, one more than DURATION_BOUNDS_S)."""

    records: int = 0
    loads: int = 0
    failures: int = 0
    seconds: float = 0.0
    duration_counts: tuple[int, ...] = (0,) * (len(DURATION_BOUNDS_S) + 1)


def add_load(connection: sa.Connection, city_id: str, dataset: DatasetName, records: int, seconds: float) -> None:
    """Count a load that published `records`, or 0 where the month had not changed."""
    bucket = bisect_left(DURATION_BOUNDS_S, seconds)
    counts = [int(n == bucket) for n in range(len(DURATION_BOUNDS_S) + 1)]
    values = {"city_id": city_id, "dataset": dataset, "records": records, "seconds": seconds}
    connection.execute(_ADD_LOAD, {**values, "counts": counts, "bucket": bucket + 1})  # PostgreSQL counts from 1


def add_failure(connection: sa.Connection, city_id: str, dataset: str) -> None:
    """Count a failed load."""
    connection.execute(_ADD_FAILURE, {"city_id": city_id, "dataset": dataset, "counts": list(Totals().duration_counts)})


def read_totals(database: Database) -> Mapping[tuple[str, str], Totals]:
    """By (city_id, dataset), every pair with a load or a failure. Raises DatabaseUnavailable."""
    with database.read() as connection:
        rows = connection.execute(sa.select(INGESTION_TOTAL)).all()
    return {
        (row.city_id, row.dataset): Totals(
            row.records, row.loads, row.failures, row.seconds, tuple(row.duration_counts)
        )
        for row in rows
    }
