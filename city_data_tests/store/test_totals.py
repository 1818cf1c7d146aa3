"""Ingestion counters: increased in the load's own transaction, and unchanged by the expiry of a month."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from city_data.store.database import Database
from city_data.store.ledger import record_state
from city_data.store.months import StaleLoad, replace_month
from city_data.store.partitions import drop_month
from city_data.store.totals import DURATION_BOUNDS_S, Totals, read_totals
from city_data_tests.store.loads import MONTH, NOON, month_load

KEY = ("madrid", "traffic")


def test_loads_failures_and_durations_add_up(database: Database) -> None:
    assert read_totals(database) == {}
    replace_month(database, month_load(1, seconds=0.5))
    replace_month(database, month_load(1, seconds=700.0))  # the same rows: a load, and no new records
    replace_month(database, month_load(2, seconds=5000.0))
    record_state(database, *KEY, MONTH, "failed", at=NOON, message="broken")
    record_state(database, *KEY, MONTH, "not_yet_published", at=NOON)
    totals = read_totals(database)[KEY]
    assert (totals.records, totals.loads, totals.failures) == (2 * 744, 3, 1)
    assert totals.seconds == pytest.approx(5700.5)
    assert totals.duration_counts == (1, *[0] * 7, 1, 1)
    assert len(totals.duration_counts) == len(DURATION_BOUNDS_S) + 1


def test_rolled_back_load_is_not_counted(database: Database) -> None:
    replace_month(database, month_load(2))
    with pytest.raises(StaleLoad):
        replace_month(database, month_load(1))
    assert read_totals(database)[KEY].loads == 1


def test_failure_before_any_load_is_counted(database: Database) -> None:
    record_state(database, *KEY, MONTH, "failed", at=NOON, message="broken")
    assert read_totals(database)[KEY] == Totals(failures=1)


def test_totals_survive_the_expiry_of_their_months(database: Database) -> None:
    replace_month(database, month_load(1))
    before = read_totals(database)
    drop_month(database, MONTH)
    assert read_totals(database) == before


def test_concurrent_loads_are_all_counted(database: Database) -> None:
    months = [MONTH - n for n in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda month: replace_month(database, month_load(1, month=month)), months))
    assert read_totals(database)[KEY].loads == len(months)
