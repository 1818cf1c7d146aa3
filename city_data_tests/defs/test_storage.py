"""Dagster's pooled storage on a real PostgreSQL: few connections, and no state that a session keeps."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.types import DaemonHeartbeat
from dagster_postgres.run_storage import PostgresRunStorage

from city_data.defs.storage import HELD, shared_engine
from city_data.local import dagster_config
from city_data.local.child import await_ready, free_port
from city_data.local.embedded import EmbeddedPostgres
from city_data_tests.world import World

IDLE_MINUTE, RUN = 20, 10


@pytest.fixture
def address(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database without tables, and a dagster.yaml of one machine that names it."""
    name = f"storage_{os.urandom(4).hex()}"
    postgres.create_database(name)
    monkeypatch.setenv("CITY_DATA_DAGSTER_URL", postgres.url(name))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(dagster_config.DAGSTER_CONFIG))
    yield postgres.url(name)
    shared_engine(postgres.url(name)).dispose()


def sessions(url: str) -> int:
    """Connections that a database has seen, once all of them are closed and counted."""
    shared_engine(url).dispose()
    name = sa.make_url(url).database
    with psycopg.connect(url.replace(f"/{name}", "/postgres"), autocommit=True) as watching:
        while watching.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [name]).fetchone() != (0,):
            pass
        row = watching.execute("SELECT sessions FROM pg_stat_database WHERE datname = %s", [name]).fetchone()
    assert row is not None
    return int(row[0])


def tick(reference: InstanceRef) -> None:
    """A code location's share of a sensor's tick: it opens an instance of its own each time."""
    with dg.DagsterInstance.from_ref(reference) as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(0.0, "SENSOR", "tests", []))
        instance.get_runs(limit=1)
        instance.all_instigator_state()


def test_hundred_ticks_on_the_threads_of_a_process_share_its_connections(address: str, tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance, ThreadPoolExecutor(HELD) as threads:
        reference, before = instance.get_ref(), sessions(address)
        list(threads.map(tick, [reference] * 100))
    assert 0 < sessions(address) - before <= IDLE_MINUTE


def test_month_of_a_city_takes_fewer_than_ten_connections(world: World) -> None:
    storage = world.instance.run_storage
    assert isinstance(storage, PostgresRunStorage)
    url = storage.postgres_url
    before = sessions(url)
    assert [done.error for done in world.load("weather", "2026-01")] == [None]
    assert 0 < sessions(url) - before <= RUN


def test_connections_that_the_server_closed_are_replaced(address: str, tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        instance.get_runs(limit=1)
        with psycopg.connect(address, autocommit=True) as killer:
            killed = killer.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchone()
        assert killed is not None
        assert killed[0] > 0
        assert instance.get_runs(limit=1) == []


def test_forked_child_opens_connections_of_its_own(address: str, tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        parent = backend(instance)
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        child = context.Process(target=lambda: answers.put(backend(instance)))
        child.start()
        assert answers.get() != parent
        child.join()
        assert backend(instance) == parent
        assert instance.get_runs(limit=1) == []


def test_event_is_stored_over_one_connection_at_a_time(address: str, tmp_path: Path) -> None:
    """A second one, in the middle of a transaction, may never come where a pool is used up."""
    taken: list[int] = []
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        engine = shared_engine(address)
        sa.event.listen(engine, "checkout", lambda *_: taken.append(engine.pool.checkedout()))  # type: ignore[attr-defined]
        assert dg.materialize([thing], instance=instance).success
    assert set(taken) == {1}


def test_webserver_cancels_a_long_statement_and_leaves_other_sessions_alone(address: str, tmp_path: Path) -> None:
    with (
        dg.DagsterInstance.from_config(str(tmp_path)) as webserver,
        dg.DagsterInstance.from_ref(webserver.get_ref()) as other,
    ):
        webserver.optimize_for_webserver(statement_timeout=50, pool_recycle=60, max_overflow=10)
        create_run_for_test(webserver, job_name="job")  # a statement with parameters and a result
        assert [run.job_name for run in webserver.get_runs()] == ["job"]
        with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
            execute(webserver, "SELECT pg_sleep(5)")
        assert execute(webserver, "SELECT 1") == 1
        assert execute(other, "SELECT current_setting('statement_timeout')") == "0"


def test_storage_of_an_earlier_release_is_taken_over(address: str, tmp_path: Path) -> None:
    stock = {"storage": {"postgres": {"postgres_url": address}}}
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock" / "dagster.yaml").write_text(yaml.safe_dump(stock))
    with dg.DagsterInstance.from_config(str(tmp_path / "stock")) as before:
        run = create_run_for_test(before, job_name="job")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.get_run_by_id(run.run_id) is not None


@pytest.mark.timeout(60)
@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="no pgbouncer in PATH")
def test_runs_are_stored_through_a_pooler_in_transaction_mode(address: str, tmp_path: Path) -> None:
    """Two server connections for ten threads: a statement may have another session than the one before."""
    with pooler(address, tmp_path) as through, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITY_DATA_DAGSTER_URL", through)
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance, ThreadPoolExecutor(10) as threads:
            instance.optimize_for_webserver(statement_timeout=5000, pool_recycle=60, max_overflow=10)
            list(threads.map(tick, [instance.get_ref()] * 50))
            assert dg.materialize([thing], instance=instance).success
            connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            assert execute(instance, connections) in (1, 2)
        shared_engine(through).dispose()
    assert asked(address, "SELECT current_setting('statement_timeout')") == "0"


@dg.asset
def thing() -> None:
    """An asset whose materialization is stored."""


def execute(instance: dg.DagsterInstance, statement: str) -> object:
    storage = instance.run_storage
    assert isinstance(storage, PostgresRunStorage)
    with storage.connect() as connection:
        return connection.execute(sa.text(statement)).scalar()


def backend(instance: dg.DagsterInstance) -> object:
    return execute(instance, "SELECT pg_backend_pid()")


def asked(url: str, statement: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def pooler(address: str, folder: Path) -> Iterator[str]:
    """PgBouncer in transaction mode before a database; yields the address through it."""
    target, port = sa.make_url(address), free_port()
    name = str(target.database)
    (folder / "users.txt").write_text(f'"{target.username}" "{target.password or ""}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={target.host} port={target.port} password={target.password or ''}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = plain\nauth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 2\n"
    )
    command = ["pgbouncer", str(folder / "pgbouncer.ini")]
    through = target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    log = folder / "pgbouncer.log"
    user = {"user": "nobody"} if os.getuid() == 0 else {}  # as root it refuses to run
    if user:
        for parent in [folder, *folder.parents][:4]:
            parent.chmod(parent.stat().st_mode | 0o055)
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, **user) as process:  # type: ignore[call-overload]
        await_ready(lambda: reachable(through), process, "pgbouncer", log)
        yield through
        process.terminate()


def reachable(url: str) -> bool:
    try:
        return asked(url, "SELECT 1") == 1
    except psycopg.OperationalError:
        return False
