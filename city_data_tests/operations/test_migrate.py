"""Migration of a deployment's databases, waiting for it, and the grouping of backfills."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as sa
import yaml

from city_data.local.embedded import EmbeddedPostgres, free_port
from city_data.operations import backfill, migrate
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.migrate import standing, upgrade
from city_data.store.provider_facts import read_providers
from city_data.window import Month
from city_data_tests.terminal import assert_one_line
from city_data_tests.world import World


@pytest.fixture
def deployment(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Two empty databases, named by the environment as a cluster's are."""
    number = abs(hash(str(tmp_path)))
    for name in ("app", "dagster"):
        postgres.create_database(f"deploy_{name}_{number}")
    config = {
        "storage": {"postgres": {"postgres_url": {"env": "CITY_DATA_DAGSTER_URL"}}},
        "telemetry": {"enabled": False},
    }
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("CITY_DATA_DAGSTER_URL", postgres.url(f"deploy_dagster_{number}"))
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", postgres.url(f"deploy_app_{number}"))
    return Database(postgres.url(f"deploy_app_{number}"))


def test_migrate_creates_both_schemas_and_pools_and_is_repeatable(deployment: Database) -> None:
    assert standing(deployment) == "old"
    reported: list[str] = []
    migrate.migrate(reported.append, {"aemet": 2})
    assert standing(deployment) == "current"
    assert "schema upgraded" in reported
    migrate.migrate(reported.append, {"aemet": 2})
    assert reported[-1] == "schema is up to date"
    assert read_providers(deployment).keys() == discover().keys()
    with dg.DagsterInstance.get() as instance:
        slots = {name: instance.event_log_storage.get_concurrency_info(name).slot_count for name in discover()}
    assert slots == {name: 2 if name == "aemet" else 1 for name in discover()}
    deployment.dispose()


def test_older_code_leaves_a_newer_schema_unchanged_and_starts(deployment: Database) -> None:
    upgrade(deployment)
    with deployment.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    assert standing(deployment) == "newer"
    reported: list[str] = []
    migrate.migrate(reported.append, {})
    migrate.await_migrated(reported.append, 0)
    assert "newer than this code" in reported[-2]
    assert standing(deployment) == "newer"
    deployment.dispose()


def test_wait_ends_once_the_schema_is_current(deployment: Database) -> None:
    reported: list[str] = []
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            upgrade(deployment)

    migrate.await_migrated(reported.append, 60, sleep=sleep)
    assert len(naps) == 3
    assert reported == [
        "waiting: the schema is older than this code; see the migration Job's log",
        "the schema is ready",
    ]
    deployment.dispose()


def test_wait_ends_once_an_address_accepts_connections(deployment: Database) -> None:
    """As the daemon's for its code location: before it no address of the Service answers."""
    upgrade(deployment)
    port, reported = free_port(), list[str]()
    with ExitStack() as stack:

        def sleep(_: float) -> None:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))

        migrate.await_migrated(reported.append, 60, [("127.0.0.1", port)], sleep=sleep)
    assert reported[0] == f"waiting: 127.0.0.1 port {port} does not accept connections: Connection refused"
    with pytest.raises(migrate.DeployError, match=f"not ready after 0 s: 127.0.0.1 port {port} does not accept"):
        migrate.await_migrated(reported.append, 0, [("127.0.0.1", port)])
    deployment.dispose()


def test_wait_that_times_out_reports_the_cause(deployment: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(migrate.DeployError, match="not ready after 0 s: the schema is older"):
        migrate.await_migrated(lambda _: None, 0)
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", "postgresql://nobody:hidden@127.0.0.1:1/nothing")
    with pytest.raises(migrate.DeployError, match="the database cannot be used") as caught:
        migrate.await_migrated(lambda _: None, 0)
    assert "hidden" not in str(caught.value)
    deployment.dispose()


def test_wait_reports_a_login_without_rights(
    deployment: Database, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(deployment)
    with deployment.write() as connection:
        connection.execute(sa.text("CREATE ROLE stranger LOGIN PASSWORD 'x'"))
    own = sa.make_url(str(os.environ["CITY_DATA_DATABASE_URL"]))
    stranger = own.set(username="stranger", password="x")
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", stranger.render_as_string(hide_password=False))

    def grant(_: float) -> None:
        with deployment.write() as connection:
            connection.execute(sa.text("GRANT SELECT ON alembic_version TO stranger"))

    reported: list[str] = []
    migrate.await_migrated(reported.append, 60, sleep=grant)
    assert "may not read" in reported[0]
    with deployment.write() as connection:
        connection.execute(sa.text("DROP OWNED BY stranger; DROP ROLE stranger"))
    deployment.dispose()


def test_pool_of_an_unknown_provider_is_refused() -> None:
    with pytest.raises(migrate.DeployError, match=r"--pool: unknown provider .aemt.; did you mean aemet"):
        migrate.migrate(lambda _: None, {"aemt": 2})


@pytest.mark.parametrize(
    ("arguments", "database", "expected"),
    [
        (["migrate"], "", "CITY_DATA_DATABASE_URL is not set"),
        (["migrate", "--pool", "aemet"], "postgresql://127.0.0.1:1/x", "write NAME=N"),
        (["migrate"], "postgresql://127.0.0.1:1/x", "the database cannot be used"),
    ],
)
def test_failing_migration_is_one_line(arguments: list[str], database: str, expected: str) -> None:
    variables = {**os.environ, "CITY_DATA_DATABASE_URL": database, "COLUMNS": "200"}
    variables.pop("DAGSTER_HOME", None)
    line = [sys.executable, "-m", "city_data.cli", *arguments]
    done = subprocess.run(line, env=variables, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert_one_line(done.stderr, expected)


def test_newest_months_are_loaded_first_and_each_for_all_feeds(world: World) -> None:
    feeds, months = [world.feed("weather"), world.feed("traffic")], [Month(2026, 8), Month(2026, 9)]
    ordered = backfill.newest_first(backfill.tasks(feeds, months))
    assert ordered == [(feed, month) for month in reversed(months) for feed in feeds]
