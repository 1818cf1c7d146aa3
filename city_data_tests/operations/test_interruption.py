"""A stop during a backfill: the running month is finished or canceled, nothing is marked failed, waits end at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from city_data import interruption
from city_data.definitions import month_job
from city_data.operations import backfill
from city_data.store.slots import ProviderSlots
from city_data.window import Month
from city_data_tests.world import World

MONTHS = [Month(2026, 8), Month(2026, 9), Month(2026, 10)]


@pytest.fixture
def stop() -> Iterator[interruption.Stop]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite under nohup ignores it
    handlers = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    with interruption.on_signals() as requested:
        yield requested
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    signal.signal(signal.SIGHUP, before)


def statuses(world: World) -> list[str]:
    return [run.status.value for run in reversed(world.instance.get_runs())]


def errors(world: World) -> list[str | None]:
    entries = [world.entry("weather", str(month)) for month in MONTHS]
    return [entry.last_error for entry in entries if entry is not None]


def tasks(world: World) -> list[backfill.Task]:
    return [(world.feed("weather"), month) for month in MONTHS]


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_signal_stops_after_the_running_month(world: World, stop: interruption.Stop, number: signal.Signals) -> None:
    done = []
    for month in backfill.materialize(month_job, world.instance, tasks(world), stop=stop):
        done.append(month)
        os.kill(os.getpid(), number)
    assert [(result.month, result.error) for result in done] == [(MONTHS[0], None)]
    assert stop.exit_code == 128 + number
    assert statuses(world) == ["SUCCESS"]


def send_when(ready: object, number: int = signal.SIGTERM) -> threading.Thread:
    """Send the signal to this process once `ready()` is true."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not ready() and time.monotonic() < deadline:  # type: ignore[operator]
            interruption.pause(0.05)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_signal_while_waiting_for_a_slot_cancels_the_run_at_once(world: World, stop: interruption.Stop) -> None:
    world.instance.event_log_storage.set_concurrency_slots("aemet", 1)
    with ProviderSlots(world.database, {"aemet": 1}) as other:
        other.take("aemet")
        sender = send_when(lambda: "STARTED" in statuses(world))
        started = time.monotonic()
        assert list(backfill.materialize(month_job, world.instance, tasks(world), stop=stop)) == []
        assert time.monotonic() - started < backfill.STOP_WAIT_S
        sender.join()
    assert statuses(world) == ["CANCELED"]
    assert errors(world) == []
    with interruption.on_signals():  # the next command is not stopped
        (done,) = world.load("weather", "2026-09")
    assert done.error is None


def test_signal_during_a_retrys_wait_cancels_the_run_at_once(world: World, stop: interruption.Stop) -> None:
    world.sandbox.faults.order("/diarios/", status=503, headers={"Retry-After": "50"})
    seen = world.sandbox.faults.carried_out
    sender = send_when(lambda: world.sandbox.faults.carried_out > seen)
    started = time.monotonic()
    assert list(backfill.materialize(month_job, world.instance, tasks(world), stop=stop)) == []
    assert time.monotonic() - started < backfill.STOP_WAIT_S
    sender.join()
    assert statuses(world) == ["CANCELED"]
    assert errors(world) == []


def test_run_that_does_not_stop_is_canceled_and_left(
    world: World, stop: interruption.Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "STOP_WAIT_S", 0.1)
    world.sandbox.faults.order("/diarios/", delay=3.0)
    seen, threads = world.sandbox.faults.carried_out, set(threading.enumerate())
    sender = send_when(lambda: world.sandbox.faults.carried_out > seen)
    assert list(backfill.materialize(month_job, world.instance, tasks(world), stop=stop)) == []
    sender.join()
    assert "SUCCESS" not in statuses(world)
    assert "FAILURE" not in statuses(world)
    for thread in set(threading.enumerate()) - threads:
        thread.join(30)  # a command's process would have ended here


def test_hangup_that_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruption.on_signals() as requested:
            os.kill(os.getpid(), signal.SIGHUP)
        assert requested.number is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_second_signal_ends_the_process(stop: interruption.Stop) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(SystemExit) as caught:
        os.kill(os.getpid(), signal.SIGINT)
    assert caught.value.code == 130
