"""Expiry of a month: partitions, versions and ledger rows are deleted together, never during a read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from city_data.datasets import DATASETS
from city_data.store.audit import read_audit
from city_data.store.database import Database
from city_data.store.ledger import read_months, record_state
from city_data.store.months import replace_month
from city_data.store.partitions import LockTimeout, drop_month, inventory
from city_data_tests.store.loads import END, MONTH, NOON, STAMPS, START, gate, month_load, scalar, visible


def test_drop_removes_and_returns_one_month_of_every_city(database: Database, database_url: str) -> None:
    for city in ("madrid", "rome"):
        replace_month(database, month_load(city_id=city))
    replace_month(database, month_load(month=MONTH + 1))
    record_state(database, "rome", "weather", MONTH, "not_available", at=NOON)

    assert drop_month(database, MONTH) == 2 * len(STAMPS)
    assert inventory(database) == {name: [MONTH + 1] if name == "traffic" else [] for name in DATASETS}
    assert [entry.month for entry in read_months(database)] == [MONTH + 1]
    assert scalar(database_url, "SELECT count(*) FROM month_version") == 1
    assert {(row["city_id"], row["dataset"], row["version"], row["rows"]) for row in read_audit(database)} == {
        ("madrid", "traffic", 1, len(STAMPS)),
        ("rome", "traffic", 1, len(STAMPS)),
        ("rome", "weather", None, 0),
    }
    assert {row["month"] for row in read_audit(database)} == {MONTH}
    assert drop_month(database, MONTH) == 0
    assert len(read_audit(database)) == 3
    assert replace_month(database, month_load()).version == 2  # a number never means two lives of a month


def test_a_month_being_read_stays_until_the_reader_is_done(database: Database, database_url: str) -> None:
    replace_month(database, month_load())
    before = visible(database)
    with psycopg.connect(database_url) as reader, ThreadPoolExecutor() as pool:
        query = "SELECT count(*) FROM city_traffic_data WHERE date >= %s AND date < %s"
        assert reader.execute(query, [START, END]).fetchone() == (len(STAMPS),)
        with pytest.raises(LockTimeout, match="2026-08 is being read or written; tried 2 times"):
            drop_month(database, MONTH, lock_timeout_s=0.05, retries=2)
        assert visible(database) == before
        assert read_audit(database) == []
        patient = pool.submit(drop_month, database, MONTH, lock_timeout_s=0.1, retries=100)
        reader.rollback()
        assert patient.result() == len(STAMPS)
    assert inventory(database)["traffic"] == []


def test_a_month_being_loaded_stays(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    with gate(database_url) as gate_of_writers, ThreadPoolExecutor() as pool:
        running = pool.submit(replace_month, database, month_load(1))
        gate_of_writers.await_arrivals()
        with pytest.raises(LockTimeout):
            drop_month(database, MONTH, lock_timeout_s=0.05, retries=1)
        gate_of_writers.open()
        assert running.result().version == 2
    assert drop_month(database, MONTH) == len(STAMPS)
