"""The worker processes of a backfill: whole platforms in one process, real processes beside it."""

from __future__ import annotations

import io
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import dagster as dg
import psutil
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from psycopg import sql
from rich.console import Console

from city_data import interruption
from city_data.cli.progress import run_backfill
from city_data.local import worker, workers
from city_data.local.embedded import EmbeddedPostgres
from city_data.operations import backfill
from city_data.operations.recovery import PROCESS_TAG
from city_data.store.database import DatabaseUnavailable
from city_data.window import Month
from city_data_tests.world import World

MONTHS = [Month(2026, 8), Month(2026, 9), Month(2026, 10)]


@pytest.fixture
def stop(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[interruption.Stop]:
    monkeypatch.setenv("DAGSTER_HOME", world.dagster_home)
    with interruption.on_signals() as requested:
        yield requested
    assert children() == []


def children() -> list[psutil.Process]:
    """Those alive: a process that has ended has no command line."""
    found = [(child, child.as_dict(["cmdline"])["cmdline"] or []) for child in psutil.Process().children()]
    return [child for child, words in found if any("backfill_worker" in word for word in words)]


def tasks(world: World) -> list[backfill.Task]:
    feeds = [world.feed("weather"), world.feed("traffic")]
    return backfill.newest_first(backfill.tasks(feeds, MONTHS))


def when(ready: Callable[[], object], act: Callable[[], object]) -> threading.Thread:
    def wait() -> None:
        deadline = time.monotonic() + 60
        while not ready() and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def statuses(world: World) -> dict[str, int]:
    found = [run.status.value for run in world.instance.get_runs()]
    return {status: found.count(status) for status in set(found)}


def test_two_providers_are_called_at_a_time_and_each_by_one_run(
    world: World, stop: interruption.Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, give, at_once = set[worker.Worker](), worker.Worker.give, list[list[str]]()

    def recording(self: worker.Worker, task: backfill.Task) -> None:
        begun.add(self)
        give(self, task)
        at_once.append([worker.provider_of(one.task) for one in begun if one.task is not None])

    monkeypatch.setattr(worker.Worker, "give", recording)
    todo = tasks(world)[:4]
    results = list(workers.materialize_in_workers(todo, 2, stop))
    assert sorted((done.feed.name, str(done.month), done.error) for done in results) == sorted(
        (feed.name, str(month), None) for feed, month in todo
    )
    for done in results:
        entry = world.entry(done.feed.dataset.name, str(done.month))
        assert entry is not None
        assert (entry.rows, entry.run_id) == (done.rows, done.run_id)
    assert [providers for providers in at_once if len(set(providers)) < len(providers)] == []
    spans: dict[str, list[tuple[float, float]]] = {"weather": [], "traffic": []}
    for record in world.instance.get_run_records():
        assert record.start_time is not None
        assert record.end_time is not None
        spans[record.dagster_run.tags["city_data/dataset"]].append((record.start_time, record.end_time))
    for own in spans.values():
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(sorted(own)))
    assert any(a[0] < b[1] and b[0] < a[1] for a in spans["weather"] for b in spans["traffic"])


def test_signal_ends_all_workers_after_their_months_or_in_their_waits(world: World, stop: interruption.Stop) -> None:
    world.sandbox.faults.order("/diarios/", status=503, headers={"Retry-After": "50"})
    results = []
    for done in workers.materialize_in_workers(tasks(world), 2, stop):
        results.append(done)
        if len(results) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
    assert stop.exit_code == 128 + signal.SIGTERM
    assert [done.error for done in results if done.error] == []
    assert len(results) <= 2
    assert set(statuses(world)) == {"SUCCESS", "CANCELED"}


def test_killed_worker_fails_its_month_and_run_and_another_goes_on(
    world: World, stop: interruption.Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(worker, "MONTHS_WORTH_A_WORKER", 1)
    world.sandbox.faults.order("/diarios/", delay=5.0)

    def runs() -> Sequence[dg.DagsterRun]:
        weather = {"city_data/dataset": "weather"}
        return world.instance.get_runs(dg.RunsFilter(tags=weather, statuses=[dg.DagsterRunStatus.STARTED]))

    def kill() -> None:
        number = int(runs()[0].tags[PROCESS_TAG].split("/")[1])
        if number != os.getpid():
            os.kill(number, signal.SIGKILL)
        world.sandbox.faults.clear()

    killer, text = when(runs, kill), io.StringIO()
    failed = run_backfill(Console(file=text, width=200), [world.feed("weather"), world.feed("traffic")], MONTHS)
    killer.join()
    assert failed == ["weather/madrid 2026-10: the process of the run ended by SIGKILL"]
    lines = text.getvalue().splitlines()
    assert lines[0].startswith("1 of 6 months")
    assert lines[-2].startswith("5 of 6 months done")
    assert lines[-1] == f"failed {failed[0]}"
    assert statuses(world) == {"SUCCESS": 5, "FAILURE": 1}


def test_database_that_goes_away_ends_the_backfill_with_its_error(
    world: World, stop: interruption.Stop, postgres: EmbeddedPostgres
) -> None:
    name = str(world.instance.event_log_storage.postgres_url).rpartition("/")[2]  # type: ignore[attr-defined]
    results = workers.materialize_in_workers(tasks(world)[:2], 1, stop)
    next(results)  # the worker waits for its second task
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    with pytest.raises(DatabaseUnavailable):
        list(results)


def test_fresh_database_of_dagster_is_set_up_before_workers_open_it(
    world: World, stop: interruption.Stop, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create_database("fresh_dagster")
    url = postgres.url("fresh_dagster")
    config = {"storage": {"postgres": {"postgres_url": url}}, "telemetry": {"enabled": False}}
    (world.folder / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(worker, "COMMAND", [sys.executable, "-c", ""])
    assert list(workers.materialize_in_workers([], 2, stop)) == []
    engine = sa.create_engine(url)
    assert sa.inspect(engine).has_table("event_logs")
    engine.dispose()


def test_early_worker_executes_runs_and_the_one_left_over_ends(
    world: World, stop: interruption.Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    feeds = [world.feed("weather"), world.feed("traffic")]
    with worker.early_workers(backfill.tasks(feeds, world.window.months())) as early:
        # Not children(): a process has no command line while it becomes another program.
        started = {str(one._process.pid) for one in early}
        assert len(started) == 2
        results = list(workers.materialize_in_workers(tasks(world)[:2], 1, stop, early))
    assert [done.error for done in results] == [None, None]
    (pid,) = {run.tags[PROCESS_TAG].split("/")[1] for run in world.instance.get_runs()}
    assert pid in started
    assert [one._process.returncode for one in early] == [0, 0]


def test_number_of_workers_is_bound_by_providers_months_and_processors(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    both, weather = [world.feed("weather"), world.feed("traffic")], [world.feed("weather")]
    months = world.window.months()
    assert worker.worker_count(backfill.tasks(both, months)) == 2
    assert worker.worker_count(backfill.tasks(weather, months)) == 1
    assert worker.worker_count(backfill.tasks(both, months[:3])) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    assert worker.worker_count(backfill.tasks(both, months)) == 1
