"""Interleaved loads and reads: a month is never a mix of versions, and an id always gives the same answer."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from city_data.store.database import Database
from city_data.store.months import Published, replace_month
from city_data.store.partitions import drop_month
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, WEATHER, MakeClient, month_load
from city_data_tests.store.loads import Gate

MONTHS = [Month(2025, 10), Month(2025, 11)]
_KEY = 78_000
_numbers = itertools.count(1)
_WRITES = st.tuples(st.sampled_from(["load", "load", "finish", "finish_while_read"]), st.integers(0, 1))
_READS = st.tuples(st.sampled_from(["read", "read", "read_again"]), st.integers(0, 3))
STEPS = st.lists(_WRITES | _READS, min_size=5, max_size=12)


@pytest.fixture
def gates(database_url: str) -> Iterator[list[psycopg.Connection]]:
    """One connection each for odd and even months: while it holds its lock, a writer stops in the middle of a month."""
    function = (
        "CREATE FUNCTION month_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock_shared({_KEY} + extract(month FROM NEW.month)::int % 2); RETURN NEW; END $$"
    )
    trigger = (
        "CREATE TRIGGER month_gate BEFORE INSERT ON city_weather_data FOR EACH ROW"
        " WHEN (extract(day FROM NEW.date AT TIME ZONE 'UTC') = 15) EXECUTE FUNCTION month_gate()"
    )
    with psycopg.connect(database_url, autocommit=True) as odd, psycopg.connect(database_url, autocommit=True) as even:
        for statement in (function, trigger):
            odd.execute(statement.encode())
        yield [odd, even]


@dataclass
class Play:
    """Two months, the committed version of each, the loads in progress, and every answer by its id."""

    database: Database
    clients: list[TestClient]
    gates: list[psycopg.Connection]
    pool: ThreadPoolExecutor
    committed: list[int] = field(default_factory=lambda: [0, 0])
    waiting: dict[int, tuple[int, Future[Published]]] = field(default_factory=dict)
    answers: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def publish(self, which: int, number: int) -> Published:
        """A load in which every value has the load's number."""
        at = LOADED + timedelta(seconds=number)
        return replace_month(self.database, month_load("weather", str(MONTHS[which]), at, number * 1000.0))

    def load(self, which: int) -> None:
        """Begin a load, and stop it in the middle."""
        if which not in self.waiting:
            number = next(_numbers)
            self.gates[which].execute(f"SELECT pg_advisory_lock({_KEY + MONTHS[which].month % 2})".encode())
            self.waiting[which] = number, self.pool.submit(self.publish, which, number)
            Gate(self.gates[which]).await_arrivals(len(self.waiting))

    def finish(self, which: int, meanwhile: bool = False) -> None:
        """Let a load go on to its end; `meanwhile` reads before it is known to have ended."""
        if which in self.waiting:
            number, running = self.waiting.pop(which)
            Gate(self.gates[which]).open()
            if meanwhile:
                read = self.values_read(which, None)
                assert read[1 - which] == self.committed[1 - which]
                assert read[which] in (self.committed[which], number)
            assert running.result().changed
            self.committed[which] = number

    def finish_while_read(self, which: int) -> None:
        self.finish(which, meanwhile=True)

    def read(self, how: int) -> None:
        assert self.values_read(how, None) == self.committed

    def read_again(self, how: int) -> None:
        """Read the first answer and the last again, by their ids."""
        for (snapshot, encoding), body in [*self.answers.items()][:1] + [*self.answers.items()][-1:]:
            assert self.ask(how, encoding, snapshot)[0] == body

    def values_read(self, how: int, snapshot: str | None) -> list[int]:
        """The number of the load that all values of each month come from."""
        encoding = ("gzip", "identity")[how // 2]
        body, given_id = self.ask(how, encoding, snapshot)
        assert self.answers.setdefault((given_id, encoding), body) == body
        plain = body if encoding == "identity" else gzip.decompress(body)
        numbers: list[set[int]] = [set(), set()]
        for record in orjson.loads(plain):
            day = record["location_id"].removeprefix("madrid_")
            if record["temperature"] is not None:
                numbers[MONTHS.index(Month.parse(day[:7]))].add(int(record["temperature"]) // 1000)
        return [number for (number,) in numbers]

    def ask(self, how: int, encoding: str, snapshot: str | None) -> tuple[bytes, str]:
        query = HERE | {"start_date": str(MONTHS[0].first_day), "end_date": str(MONTHS[1].last_day)}
        parameters = query | ({"version": snapshot} if snapshot else {})
        with self.clients[how % 2].stream(
            "GET", WEATHER, params=parameters, headers={"Accept-Encoding": encoding}
        ) as got:
            assert got.status_code == 200, got.read()
            return b"".join(got.iter_raw()), got.headers["X-Snapshot-Id"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_interleaved_loads_and_reads_never_show_a_mix(
    database: Database,
    gates: list[psycopg.Connection],
    make_client: MakeClient,
    redis_url: str,
    clients: list[TestClient],
    steps: list[tuple[str, int]],
) -> None:
    if not clients:
        clients += [make_client(), make_client(redis_url=redis_url)]
    with ThreadPoolExecutor(2) as pool:
        play = Play(database, clients, gates, pool)
        for which in (0, 1):
            play.committed[which] = next(_numbers)
            play.publish(which, play.committed[which])
        try:
            for step, which in steps:
                getattr(play, step)(which)
            play.read(0)
        finally:
            for connection in gates:
                Gate(connection).open()
        for which in list(play.waiting):
            play.finish(which)
        play.read(1)
        play.read_again(1)
    for month in MONTHS:
        drop_month(database, month)


@pytest.fixture
def clients() -> list[TestClient]:
    """Two readers for all examples, the second with Redis; made by the first."""
    return []
