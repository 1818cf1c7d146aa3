"""Replacing one city's month of 744 rows, beside the same COPY into a bare table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import psycopg
from psycopg.types.json import Jsonb

from city_data.datasets import TRAFFIC, expected_stamps
from city_data.frames import canonical
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data.store.months import MonthLoad, replace_month
from city_data.window import Month
from city_data_tests.bench.figure import Figure, median_seconds

MONTH = Month(2026, 8)
STAMPS = expected_stamps(MONTH, "Europe/Madrid", "hourly")
TIMES = 41


def run(folder: Path) -> list[Figure]:
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        server.create_database("bench")
        url = server.url("bench")
        database = Database(url)
        upgrade(database)
        loads = iter([_load(n) for n in range(TIMES)])
        replace_month(database, next(loads))
        measured = median_seconds(lambda: replace_month(database, next(loads)), TIMES - 1)
        floor = _floor(url)
        database.dispose()
    finally:
        server.stop()
    return [Figure("replace_month of 744 rows / bare COPY", measured * 1000, 4, "ms", floor * 1000)]


def _floor(url: str) -> float:
    """The same rows by COPY into a table without a key, in one transaction."""
    table = canonical.canonical_frame(_frame(0), TRAFFIC)
    rows = [
        (*[r[name] for name in ("date", *TRAFFIC.column_names, "source")], Jsonb(r["raw_data"]))
        for r in canonical.records(table, TRAFFIC)
    ]
    with psycopg.connect(url) as connection:
        connection.execute(
            "CREATE TABLE bare (date timestamptz, traffic_volume float8, pedestrian_count float8,"
            " congestion_level text, average_speed float8, source text, raw_data jsonb)"
        )
        connection.commit()

        def copy() -> None:
            with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as target:
                for row in rows:
                    target.write_row(row)
            connection.commit()

        return median_seconds(copy, TIMES - 1)


def _frame(n: int) -> pd.DataFrame:
    raw = {"coverage": 0.98, "stations": 4100, "method_version": 1}
    return pd.DataFrame(
        {
            "date": pd.DatetimeIndex(STAMPS),
            "traffic_volume": [100.0 + n + hour for hour in range(len(STAMPS))],
            "congestion_level": "low",
            "average_speed": 61.5,
            "source": "bench",
            "raw_data": [raw] * len(STAMPS),
        }
    )


def _load(n: int) -> MonthLoad:
    moment = datetime(2026, 10, 1, tzinfo=UTC) + timedelta(hours=n)
    return MonthLoad(
        city_id="bench",
        dataset="traffic",
        month=MONTH,
        timezone="Europe/Madrid",
        frame=canonical.canonical_frame(_frame(n), TRAFFIC),
        state="provisional",
        source="bench",
        expected_rows=len(STAMPS),
        coverage=1.0,
        column_coverage={},
        raw_files=[],
        rejected={},
        provenance={},
        code_version="1",
        run_id="bench",
        attempt=1,
        fetched_at=moment,
        at=moment,
    )
