"""Months to load, a gate that stops a writer in the middle of its COPY, and the readable state of a month.

Run as a module with a database's URL and a number, it loads that month: a process that a test can kill.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import psycopg

from city_data.datasets import DATASETS, DatasetName, expected_stamps
from city_data.frames.canonical import canonical_frame
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, read_months
from city_data.store.months import MonthLoad
from city_data.store.segments import SEPARATOR, Segment, read_segments, records
from city_data.store.series import read_series
from city_data.window import Month

MONTH = Month(2026, 8)
ZONE = "Europe/Madrid"
START, END = MONTH.bounds(ZONE)
STAMPS = expected_stamps(MONTH, ZONE, "hourly")
NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
_GATE = 77


def traffic(number: int, month: Month = MONTH) -> pd.DataFrame:
    """A month whose values identify their load; speed is unknown in its first hour."""
    hours = expected_stamps(month, ZONE, "hourly")
    volumes = [number * 1000.0 + hour for hour in range(len(hours))]
    speeds = [None, *(50.5 for _ in hours[1:])]
    columns = {"date": pd.DatetimeIndex(hours), "traffic_volume": volumes, "average_speed": speeds, "source": "test"}
    return pd.DataFrame({**columns, "raw_data": [{"note": 'tab\t"line\n\\'}] * len(hours)})


def month_load(
    number: int = 0,
    *,
    frame: pd.DataFrame | None = None,
    dataset: DatasetName = "traffic",
    month: Month = MONTH,
    **values: Any,
) -> MonthLoad:
    """Load `number`, fetched and loaded that many hours after NOON."""
    moment = NOON + timedelta(hours=number)
    canonical = canonical_frame(traffic(number, month) if frame is None else frame, DATASETS[dataset])
    known: dict[str, Any] = {
        "city_id": "madrid",
        "timezone": ZONE,
        "state": "provisional",
        "source": "test",
        "expected_rows": len(canonical),
        "coverage": 1.0,
        "column_coverage": {"traffic_volume": 1.0},
        "raw_files": [{"name": "a.zip", "sha256": "00"}],
        "rejected": {"negative": 2},
        "provenance": {"modelled": False},
        "code_version": "1",
        "run_id": f"run-{number}",
        "attempt": 1,
        "fetched_at": moment,
        "at": moment,
    }
    return MonthLoad(dataset=dataset, month=month, frame=canonical, **{**known, **values})


def entry_of(database: Database, city_id: str = "madrid") -> MonthEntry:
    (rows,) = read_months(database, city_id=city_id, first=MONTH, last=MONTH)
    return rows


def visible(database: Database) -> tuple[MonthEntry, str, bytes]:
    """The readable state of the month: ledger, rows, segment of the ledger's version."""
    entry = entry_of(database)
    assert entry.version is not None
    series = read_series(database, "traffic", "madrid", START, END)
    segments = read_segments(database, "traffic", "madrid", [(MONTH, entry.version)])
    return entry, series.to_json(date_format="iso"), array_of(segments.values())


def array_of(segments: Iterable[Segment]) -> bytes:
    """The JSON array of all records, not compressed."""
    return b"[" + SEPARATOR.join(text for segment in segments for text in records(segment)) + b"]"


def scalar(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


class Gate:
    """Stops every writer of traffic that reaches a row of hour 300, until it is opened."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def await_arrivals(self, waiting: int = 1) -> list[int]:
        """Wait until so many backends wait for advisory locks, at the gate or behind another writer; their pids."""
        query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
        query += " (SELECT oid FROM pg_database WHERE datname = current_database())"
        for _ in range(1000):
            rows = [row[0] for row in self._connection.execute(query.encode())]
            if len(rows) >= waiting:
                return rows
            self._connection.execute("SELECT pg_sleep(0.02)")
        raise AssertionError(f"{len(rows)} backends wait, not {waiting}")

    def open(self) -> None:
        self._connection.execute("SELECT pg_advisory_unlock_all()")


@contextmanager
def gate(url: str) -> Iterator[Gate]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN PERFORM pg_advisory_xact_lock_shared({_GATE}); RETURN NEW; END $$".encode()
        )
        connection.execute(
            b"CREATE TRIGGER gate BEFORE INSERT ON city_traffic_data FOR EACH ROW"
            b" WHEN (NEW.traffic_volume::int % 1000 = 300) EXECUTE FUNCTION gate()"
        )
        connection.execute(f"SELECT pg_advisory_lock({_GATE})".encode())
        yield Gate(connection)


if __name__ == "__main__":
    from city_data.store.months import replace_month

    replace_month(Database(sys.argv[1]), month_load(int(sys.argv[2])))
