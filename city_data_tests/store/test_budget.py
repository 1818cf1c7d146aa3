"""One budget, however many processes spend it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from city_data.store.budget import PostgresBudget
from city_data.store.database import Database


@dataclass(frozen=True)
class Limit:
    calls: int
    seconds: float
    spacing: float = 0.0


@pytest.fixture
def budgets(database_url: str) -> Iterator[list[PostgresBudget]]:
    databases = [Database(database_url) for _ in range(2)]
    yield [PostgresBudget(database) for database in databases]
    for database in databases:
        database.dispose()


def test_a_burst_is_free_and_what_follows_waits_its_turn(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=4, seconds=4000)  # long, so that a slow machine does not matter
    waits = [budgets[n % 2].reserve("aemet", limit) for n in range(7)]
    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == pytest.approx([1000, 2000, 3000], abs=60)
    assert budgets[0].reserve("another", limit) == 0


def test_calls_keep_their_distance(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=1000, seconds=1000, spacing=100)
    waits = [budgets[n % 2].reserve("open_meteo", limit) for n in range(4)]
    assert waits == pytest.approx([0, 100, 200, 300], abs=60)


def test_reservations_made_at_once_are_all_different(budgets: list[PostgresBudget]) -> None:
    limit = Limit(calls=1, seconds=1000)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda n: budgets[n % 2].reserve("aemet", limit), range(16)))
    assert waits == pytest.approx([1000 * n for n in range(16)], abs=60)
