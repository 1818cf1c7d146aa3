"""Provider slots: the limit holds across processes, a killed holder frees its slot, and waiting costs no CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import sqlalchemy as sa

from city_data.store.database import Database
from city_data.store.slots import ProviderSlots
from city_data_tests.sandbox.asking import StillClock

_HOLDER = """
import sys
from city_data.store.database import Database
from city_data.store.slots import ProviderSlots
with ProviderSlots(Database(sys.argv[1]), {"aemet": 1}) as slots:
    print("waiting", flush=True)
    slots.take("aemet")
    print("taken", flush=True)
    sys.stdin.read()
"""


def holder(database_url: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-c", _HOLDER, database_url]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    return process


def test_slot_of_a_killed_process_goes_to_the_waiting_one(database_url: str) -> None:
    first = holder(database_url)
    assert first.stdout is not None
    assert first.stdout.readline() == "taken\n"
    second = holder(database_url)
    assert second.stdout is not None
    os.kill(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    assert second.stdout.readline() == "taken\n"
    assert time.monotonic() - killed < 30
    for process in (first, second):
        process.communicate()


def test_waiting_for_a_slot_uses_less_than_two_percent_of_a_core(database: Database) -> None:
    clock, process = StillClock(), psutil.Process()

    def release_after_a_minute(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now >= 60:
            first.release()

    limits = {"aemet": 1}
    with ProviderSlots(database, limits) as first, ProviderSlots(database, limits, release_after_a_minute) as second:
        first.take("aemet")
        before = process.cpu_times()
        second.take("aemet")
        after = process.cpu_times()
    assert clock.now >= 60
    assert (after.user + after.system) - (before.user + before.system) < 0.02 * clock.now


def test_as_many_runs_as_slots_hold_one_and_the_next_waits(database: Database) -> None:
    limits = {"aemet": 2}
    with ProviderSlots(database, limits) as first, ProviderSlots(database, limits) as second:
        first.take("aemet")
        second.take("aemet")
        waits: list[float] = []

        def release_one(seconds: float) -> None:
            waits.append(seconds)
            first.release()

        with ProviderSlots(database, limits, release_one) as third:
            third.take("aemet")
        assert waits


def test_unlimited_provider_needs_no_slot_and_taking_again_changes_nothing(database: Database) -> None:
    with ProviderSlots(database, {"aemet": 1}) as slots, ProviderSlots(database, {"aemet": 1}) as other:
        other.take("open_meteo")
        slots.take("open_meteo")
        slots.take("aemet")
        slots.take("aemet")


def test_two_runs_that_fall_back_to_each_others_provider_both_go_on(database: Database) -> None:
    limits, both, done = {"aemet": 1, "open_meteo": 1}, threading.Barrier(2), []

    def run(providers: tuple[str, str]) -> None:
        with ProviderSlots(database, limits) as slots:
            slots.take(providers[0])
            both.wait(10)
            slots.take(providers[1])
            done.append(providers)

    threads = [threading.Thread(target=run, args=[pair]) for pair in (("aemet", "open_meteo"), ("open_meteo", "aemet"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(done) == 2


def test_released_slot_leaves_its_session_open_for_the_next(database: Database) -> None:
    def session() -> int:
        with database.read() as connection:
            return int(connection.execute(sa.select(sa.func.pg_backend_pid())).scalar_one())

    before = session()
    for _ in range(3):
        with ProviderSlots(database, {"aemet": 1}) as slots:
            slots.take("aemet")
    assert session() == before


def test_slot_of_a_session_that_the_server_ended_is_free(database: Database) -> None:
    with ProviderSlots(database, {"aemet": 1}) as slots, database.read() as killer:
        slots.take("aemet")
        killer.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
        slots.release()
        slots.take("aemet")
