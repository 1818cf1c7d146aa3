"""Loads of a month are atomic, whatever happens to the writer."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import psycopg
import pytest

from city_data.datasets import DATASETS
from city_data.store import months
from city_data.store.database import Database, DatabaseUnavailable
from city_data.store.ledger import read_months
from city_data.store.months import MonthLocked, StaleLoad, replace_month
from city_data.store.partitions import inventory
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.store.loads import (
    END,
    MONTH,
    NOON,
    STAMPS,
    START,
    entry_of,
    gate,
    month_load,
    scalar,
    traffic,
    visible,
)

ROOT = Path(__file__).resolve().parents[2]


def test_a_load_is_read_back_exactly(database: Database) -> None:
    published = replace_month(database, month_load())
    frame = read_series(database, "traffic", "madrid", START, END)

    pd.testing.assert_frame_equal(frame.drop(columns=["created_at", "updated_at"]), month_load().frame)
    assert frame["average_speed"].isna().sum() == 1
    assert frame["pedestrian_count"].isna().all()
    assert set(frame["created_at"]) == set(frame["updated_at"]) == {pd.Timestamp(NOON)}
    assert published.entry == entry_of(database)
    assert (published.version, published.changed, published.rows) == (1, True, len(STAMPS))
    assert (published.entry.first_date, published.entry.last_date) == (STAMPS[0], STAMPS[-1])
    assert published.entry.rejected == {"negative": 2}


def test_every_text_and_number_is_read_back_as_it_was(database: Database) -> None:
    texts = ["", 'say "1,5"', "two\nlines", "tab\t", "\\N", "\\.", "NULL", " ", "é\r", None]
    numbers = [0.0, 0.1, 1e-2, 19_999.99, 1e17, 123_456_789_012.34, None, -0.01, 5e15, 1.0]
    columns = {"congestion_level": pd.Series(texts), "traffic_volume": pd.Series(numbers), "raw_data": None}
    load = month_load(frame=traffic(0).assign(**columns))
    replace_month(database, load)
    stored = read_series(database, "traffic", "madrid", START, END).drop(columns=["created_at", "updated_at"])
    pd.testing.assert_frame_equal(stored, load.frame, check_exact=True)
    assert stored["congestion_level"].tolist()[: len(texts)] == texts


def test_a_rerun_adds_neither_rows_nor_versions_and_can_settle(database: Database, database_url: str) -> None:
    replace_month(database, month_load())
    before = visible(database)
    later = NOON + timedelta(days=3)
    again = replace_month(database, month_load(state="settled", at=later, fetched_at=later))
    after = visible(database)

    assert (again.version, again.changed) == (1, False)
    assert after[1:] == before[1:]
    assert (after[0].state, after[0].settled_at, after[0].checked_at) == ("settled", later, later)
    assert after[0].loaded_at == before[0].loaded_at
    assert scalar(database_url, "SELECT count(*) FROM city_traffic_data") == len(STAMPS)
    assert scalar(database_url, "SELECT count(*) FROM month_version") == 1


def test_other_values_are_a_new_version_that_keeps_the_first_moment(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    first = visible(database)[2]
    second = replace_month(database, month_load(1))
    frame = read_series(database, "traffic", "madrid", START, END)

    assert (second.version, second.changed) == (2, True)
    assert set(frame["created_at"]) == {pd.Timestamp(NOON)}
    assert set(frame["updated_at"]) == {pd.Timestamp(NOON + timedelta(hours=1))}
    assert frame["traffic_volume"].min() == 1000.0
    assert visible(database)[2] != first
    assert scalar(database_url, "SELECT count(*) FROM city_traffic_data") == len(STAMPS)
    assert scalar(database_url, "SELECT array_agg(version ORDER BY version) FROM month_version") == [1, 2]


def test_stale_load_does_not_replace_a_later_one(database: Database) -> None:
    replace_month(database, month_load(1))
    before = visible(database)
    with pytest.raises(StaleLoad, match=r"traffic/madrid 2026-08.*run run-1"):
        replace_month(database, month_load(0))
    assert visible(database) == before


def test_equal_concurrent_loads_make_one_version(database: Database, database_url: str) -> None:
    with gate(database_url) as gate_of_writers, ThreadPoolExecutor() as pool:
        running = [pool.submit(replace_month, database, month_load()) for _ in range(2)]
        gate_of_writers.await_arrivals(2)
        gate_of_writers.open()
        results = [future.result() for future in running]
    assert sorted(result.changed for result in results) == [False, True]
    assert {result.version for result in results} == {1}
    assert scalar(database_url, "SELECT count(*) FROM city_traffic_data") == len(STAMPS)


def test_readers_get_the_old_month_until_the_new_one_is_committed(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    old = visible(database)
    with gate(database_url) as gate_of_writers, ThreadPoolExecutor() as pool:
        first = pool.submit(replace_month, database, month_load(1))
        gate_of_writers.await_arrivals(1)
        second = pool.submit(replace_month, database, month_load(2))
        gate_of_writers.await_arrivals(2)
        assert visible(database) == old
        gate_of_writers.open()
        assert (first.result().version, second.result().version) == (2, 3)
    assert read_series(database, "traffic", "madrid", START, END)["traffic_volume"].min() == 2000.0


def test_two_cities_may_open_a_month_at_once(database: Database, database_url: str) -> None:
    with gate(database_url) as gate_of_writers, ThreadPoolExecutor() as pool:
        running = [pool.submit(replace_month, database, month_load(city_id=city)) for city in ("madrid", "rome")]
        gate_of_writers.await_arrivals(2)
        assert inventory(database) == {name: [] for name in DATASETS}
        gate_of_writers.open()
        assert [future.result().version for future in running] == [1, 1]
    assert inventory(database)["traffic"] == [MONTH]
    assert [entry.rows for entry in read_months(database)] == [len(STAMPS)] * 2


def test_a_killed_run_leaves_the_old_month(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    before = visible(database)
    with gate(database_url) as gate_of_writers:
        run = subprocess.Popen([sys.executable, "-m", "city_data_tests.store.loads", database_url, "1"], cwd=ROOT)
        gate_of_writers.await_arrivals()
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        gate_of_writers.open()
    assert visible(database) == before
    assert replace_month(database, month_load(1)).version == 2
    assert scalar(database_url, "SELECT count(*) FROM city_traffic_data") == len(STAMPS)


def test_a_backend_lost_in_the_middle_leaves_the_old_month(database: Database, database_url: str) -> None:
    replace_month(database, month_load(0))
    before = visible(database)
    with gate(database_url) as gate_of_writers, ThreadPoolExecutor() as pool:
        running = pool.submit(replace_month, database, month_load(1))
        (pid,) = gate_of_writers.await_arrivals()
        assert scalar(database_url, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(DatabaseUnavailable, match="connection"):
            running.result()
    assert visible(database) == before
    assert replace_month(database, month_load(1)).version == 2


def test_row_outside_the_month_is_refused(database: Database, database_url: str) -> None:
    replace_month(database, month_load())
    insert = "INSERT INTO city_traffic_data (month, city_id, date, source, created_at, updated_at)"
    query = f"{insert} VALUES ('2031-01-01', 'x', now(), 's', now(), now())"
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(query.encode())
    assert inventory(database)["traffic"] == [MONTH]


def test_control_characters_and_sql_are_stored_as_text(database: Database, database_url: str) -> None:
    city = "x'; DROP TABLE city_month; --\\\t\n"
    load = month_load(city_id=city)
    frame = load.frame.assign(source="a\\N\tb\r\nc'")
    replace_month(database, replace(load, frame=frame))
    assert set(read_series(database, "traffic", city, START, END)["source"]) == {"a\\N\tb\r\nc'"}
    assert scalar(database_url, "SELECT count(*) FROM city_month") == 1


def test_series_exclude_their_end_and_cross_months(database: Database) -> None:
    for month in (MONTH, MONTH + 1, MONTH + 2):
        replace_month(database, month_load(month=month))
    start, end = STAMPS[5], (MONTH + 2).bounds("Europe/Madrid")[0] + timedelta(hours=7)
    dates = list(read_series(database, "traffic", "madrid", start, end)["date"])
    assert dates == list(pd.date_range(start, end, freq="h", inclusive="left"))
    assert read_series(database, "traffic", "rome", start, end).empty
    assert read_series(database, "weather", "madrid", START.replace(year=1), END).empty


def test_month_without_rows_gets_a_version(database: Database) -> None:
    load = month_load(month=Month(2026, 7))
    published = replace_month(database, replace(load, frame=load.frame.iloc[:0], expected_rows=744, coverage=0.0))
    assert (published.version, published.rows, published.entry.first_date) == (1, 0, None)
    assert published.entry.has_data


def test_load_that_finds_the_month_locked_names_the_holder(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(months, "LOCK_TIMEOUT_S", 1)
    replace_month(database, month_load())
    name = f"madrid/traffic/{MONTH}"
    for key in (name, f"month/{MONTH}"):  # of the month, and of its partition while it is dropped
        with psycopg.connect(database_url, application_name="a forgotten terminal") as holder:
            holder.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
            with pytest.raises(
                MonthLocked, match=r"traffic/madrid 2026-08: no lock within 1 s; held by session"
            ) as caught:
                replace_month(database, month_load(1))
            assert f"session {holder.info.backend_pid} of a forgotten terminal (idle in transaction" in str(
                caught.value
            )
    assert replace_month(database, month_load(1)).version == 2
