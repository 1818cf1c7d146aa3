"""One budget, however many processes spend it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from city_data.store.budget import PostgresBudget
from city_data.store.database import Database

PATIENT = 10.0**9
AGE = 10**9  # a quota of this many seconds ends in the year 2033, whatever the hour of the test


@dataclass(frozen=True)
class Quota:
    calls: int
    seconds: int


@dataclass(frozen=True)
class Limit:
    calls: int
    seconds: float
    spacing: float = 0.0
    quotas: tuple[Quota, ...] = ()
    weight: float = 1.0


@pytest.fixture
def budgets(database_url: str) -> Iterator[list[PostgresBudget]]:
    databases = [Database(database_url) for _ in range(2)]
    yield [PostgresBudget(database) for database in databases]
    for database in databases:
        database.dispose()


def test_burst_is_free_and_later_calls_wait(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=4, seconds=4000)  # long, so that a slow machine does not matter
    waits = [budgets[n % 2].reserve("aemet", limit, PATIENT) for n in range(7)]
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == pytest.approx([1000, 2000, 3000], abs=60)
    assert budgets[0].reserve("another", limit, PATIENT) == 0


def test_source_s_word_that_its_quota_is_used_up_holds_for_all_runs(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=2, seconds=4000)
    budgets[0].block("aemet", 3600)
    assert budgets[1].reserve("aemet", limit, 900) == pytest.approx(3600, abs=60)
    assert budgets[1].reserve("aemet", limit, PATIENT) == pytest.approx(3600, abs=60)
    assert budgets[1].reserve("another", limit, 900) == 0
    budgets[1].block("aemet", 60)  # a shorter word does not shorten it
    assert budgets[0].reserve("aemet", limit, 900) == pytest.approx(3600, abs=60)


def test_block_ends_with_its_time(budgets: list[PostgresBudget], database_url: str) -> None:
    limit = Limit(calls=2, seconds=4000)
    budgets[0].block("aemet", 3600)
    database = Database(database_url)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE provider_budget SET next_at = next_at - interval '3601 seconds'")
    database.dispose()
    assert budgets[1].reserve("aemet", limit, 900) == 0


def test_calls_are_spaced(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=1000, seconds=1000, spacing=100)
    waits = [budgets[n % 2].reserve("open_meteo", limit, PATIENT) for n in range(4)]
    assert waits == pytest.approx([0, 100, 200, 300], abs=60)


def test_concurrent_reservations_are_all_different(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=1, seconds=1000)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda n: budgets[n % 2].reserve("aemet", limit, PATIENT), range(16)))
    assert waits == pytest.approx([1000 * n for n in range(16)], abs=60)


def test_quota_is_shared_and_refused_calls_use_none_of_it(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=10_000, seconds=10, quotas=(Quota(calls=5, seconds=AGE),))
    assert [budgets[n % 2].reserve("openweather", limit, 60) for n in range(5)] == [0] * 5
    until = AGE - time.time() % AGE
    assert [budgets[n % 2].reserve("openweather", limit, 60) for n in range(8)] == pytest.approx([until] * 8, abs=60)
    assert budgets[0].reserve("another", limit, 60) == 0
    waits = [budgets[n % 2].reserve("openweather", limit, PATIENT) for n in range(6)]
    assert waits == pytest.approx([until] * 5 + [until + AGE], abs=60)


def test_a_quota_is_free_again_when_its_time_is_over(budgets: list[PostgresBudget], database: Database) -> None:
    limit = Limit(calls=10_000, seconds=10, quotas=(Quota(calls=5, seconds=AGE),), weight=2.5)
    for age in (f"interval '{AGE} seconds'", "interval '0'"):
        assert [budgets[0].reserve("open_meteo", limit, 60) for _ in range(3)][:2] == [0, 0]
        assert budgets[0].reserve("open_meteo", limit, 60) > 60  # each counts as two and a half
        with database.write() as connection:
            connection.exec_driver_sql(f"UPDATE provider_budget SET next_at = next_at - {age}")


def test_calls_that_come_at_once_share_a_quota(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=10_000, seconds=10, quotas=(Quota(calls=5, seconds=AGE),))
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda n: budgets[n % 2].reserve("openweather", limit, 60), range(16)))
    assert waits.count(0) == 5
