"""Chaos in its short form, and the watcher, which has to notice each kind of wrong answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import httpx
import orjson
import pytest

from city_data.cli import commands
from city_data.window import Month
from city_data_tests.chaos.__main__ import table
from city_data_tests.chaos.faults import FAULTS
from city_data_tests.chaos.machine import TOWN, Machine
from city_data_tests.chaos.running import Outcome, order, run
from city_data_tests.chaos.watcher import Series, Watch

MONTHS = [Month(2026, 8), Month(2026, 9)]
SERIES = Series("town", "weather", 40.4, -3.7, "Europe/Madrid")
SHORT = ("kill reader and databases", "kill the tree")


@pytest.mark.timeout(600)
def test_one_city_outlives_killed_processes_with_every_answer_right(tmp_path: Path) -> None:
    """`make chaos` has every fault; its deadlines are for an idle machine, and these for a busy one."""
    machine = Machine(tmp_path, [{**TOWN, "weather": {"provider": "open_meteo"}}], months=2, patience=4)
    try:
        outcomes = list(run(machine, 1, SHORT, lambda *_: False, restarts=False))
    finally:
        machine.kill_all()
    assert [(outcome.name, outcome.failures) for outcome in outcomes] == [(name, []) for name in SHORT]


def test_equal_seeds_give_equal_orders_of_all_faults() -> None:
    one, same, other = (list(itertools.islice(order(seed, list(FAULTS)), 2 * len(FAULTS))) for seed in (1, 1, 2))
    assert one == same != other
    assert sorted(one) == sorted([*FAULTS, *FAULTS])


def test_every_command_is_started_twice_at_once() -> None:
    names = {command.name or getattr(command.callback, "__name__", "") for command in commands.app.registered_commands}
    assert "demo" in names
    assert {f"two of {name}" for name in names} <= set(FAULTS)


def test_table_has_attempts_and_failures_by_fault_reads_and_second_starts() -> None:
    outcomes = [
        Outcome("kill reader", "nothing", 20, [], {"right": 40, "away": 3}, 9),
        Outcome("kill reader", "backfill", 31, ["no reader"], {"right": 20, "wrong": 1}, None),
        Outcome("kill Redis", "nothing", 18, [], {"right": 30}, 12),
    ]
    assert [line.split() for line in table(7, outcomes).splitlines() if line] == [
        ["seed", "7"],
        ["fault", "attempts", "failures", "longest"],
        ["kill", "Redis", "1", "0", "18", "s"],
        ["kill", "reader", "2", "1", "31", "s"],
        ["all", "3", "1", "31", "s"],
        ["reads:", "90", "right,", "3", "away,", "1", "wrong"],
        ["second", "starts:", "2,", "median", "10", "s,", "longest", "12", "s"],
    ]


def answer(etag: str = "a", snapshot: str = "s", missing: str = "", **changed: object) -> httpx.Response:
    """The two months' records, all 20 degrees, of which `changed` replaces the first one's values."""
    hours = [hour for month in MONTHS if str(month) not in missing for hour in month.hours(SERIES.timezone)]
    records = [{"date": f"{hour:%Y-%m-%dT%H:%M:%SZ}", "temperature": 20.0} for hour in hours]
    records[0] |= changed  # type: ignore[arg-type]
    headers = {"ETag": etag, "X-Snapshot-Id": snapshot, "X-Missing-Months": missing}
    return httpx.Response(200, headers=headers, content=orjson.dumps(records))


def watch() -> Watch:
    hour = f"{MONTHS[0].hours(SERIES.timezone)[0]:%Y-%m-%dT%H:%M:%SZ}"
    return Watch(SERIES, MONTHS, {hour: {"temperature": 20.0}})


def test_right_answers_pass() -> None:
    one = watch()
    for given in (answer(missing="2026-09"), answer("b", "t"), answer("b", "t"), answer("c", "u")):
        assert one.judged(given, {}, None) == ""
    assert one.judged(answer("b", "t"), {}, "t") == ""
    assert one.judged(httpx.Response(304), {"If-None-Match": "c"}, None) == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (answer(temperature=20.5), "ETag a stands for other bytes than before"),
        (answer("b", temperature=20.5), "snapshot s stands for other bytes than before"),
        (answer("b", "t", "2026-09"), "2026-09 was served before and is missing now"),
        (answer("b", "t", temperature=21.0), "temperature is 21.0, not 20.0"),
        (answer("b", "t", temperature=None), "temperature is None, not 20.0"),
        (answer("b", "t", date="2026-08-01T00:30:00Z"), "1464 records, not 1464"),
        (httpx.Response(500, text="oops"), "status 500: oops"),
        (httpx.Response(304), "status 304"),
    ],
)
def test_wrong_answer_is_noticed(wrong: httpx.Response, words: str) -> None:
    one = watch()
    assert one.judged(answer(), {}, None) == ""
    assert words in one.judged(wrong, {}, None)


def test_pinned_version_of_another_snapshot_is_noticed() -> None:
    one = watch()
    assert one.judged(answer(), {}, None) == ""
    assert "version=s was answered with t" in one.judged(answer("b", "t"), {}, "s")
    assert "other bytes" in one.judged(answer("b", temperature=20.5), {}, "s")
