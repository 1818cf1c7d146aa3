"""One machine's Dagster configuration."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as sa
import yaml
from alembic import command
from alembic.script import ScriptDirectory
from dagster._core.instance.config import PoolGranularity
from dagster._core.storage.sql import run_alembic_downgrade
from dagster._core.test_utils import create_run_for_test
from dagster_postgres import run_storage
from dagster_postgres.utils import pg_alembic_config

from city_data.defs.schedules import LONGEST_RUN_S
from city_data.defs.storage import shared_engine
from city_data.local import dagster_config, home, platform
from city_data.local.embedded import EmbeddedPostgres
from city_data.operations.instance import deployed_instance
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.migrate import _config, standing

# Of Dagster's own migrations, the last one before runs had the column `backfill_id`.
OLDER_DAGSTER = "284a732df317"


def test_home_of_every_released_schema_starts(tmp_path: Path) -> None:
    home.write_private(tmp_path / "mode", "live")
    scripts = ScriptDirectory.from_config(_config())
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert len(revisions) >= 5
    for revision in reversed(revisions):
        server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
        server.start()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS city_data")
        server.create_database("city_data")
        older = Database(server.url("city_data"))
        with older.write() as opened:
            config = _config()
            config.attributes["connection"] = opened
            command.upgrade(config, revision)
        older.dispose()
        server.stop()
        with platform.joined(tmp_path, print) as variables:
            upgraded = Database(variables["CITY_DATA_DATABASE_URL"])
            assert standing(upgraded) == "current", revision
            upgraded.dispose()


@pytest.fixture
def dagster_url(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database for the Dagster of one machine, which DAGSTER_HOME names."""
    name = f"one_machine_{tmp_path.name[-30:]}"
    postgres.create_database(name)
    monkeypatch.setenv("CITY_DATA_DAGSTER_URL", postgres.url(name))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(dagster_config.DAGSTER_CONFIG))
    return postgres.url(name)


def test_storage_of_an_older_dagster_is_migrated_at_the_start(dagster_url: str) -> None:
    with deployed_instance() as instance:
        before = create_run_for_test(instance, job_name="job", tags={"dagster/backfill": "older"})
    engine = shared_engine(dagster_url)
    with engine.connect() as connection:
        run_alembic_downgrade(pg_alembic_config(run_storage.__file__), connection, OLDER_DAGSTER)
    assert "backfill_id" not in [column["name"] for column in sa.inspect(engine).get_columns("runs")]

    platform.prepare_dagster(print)
    with deployed_instance() as instance:
        assert instance.get_run_by_id(before.run_id) is not None
        assert [run.run_id for run in instance.get_runs(dg.RunsFilter.for_backfill("older"))] == [before.run_id]
        assert instance.get_backfills() == []
        assert {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()} == dict.fromkeys(
            discover(), 1
        )


def test_start_fails_the_runs_that_a_killed_platform_left_and_names_each(dagster_url: str) -> None:
    with deployed_instance() as instance:
        left, ended = (
            create_run_for_test(instance, job_name="job", status=status).run_id
            for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS)
        )
    lines: list[str] = []
    platform.prepare_dagster(lines.append)
    with deployed_instance() as instance:
        found = {run.run_id: run.status.value for run in instance.get_runs()}
    assert found == {left: "FAILURE", ended: "SUCCESS"}
    assert lines == [f"run {left[:8]} had no process any more and was failed"]


def test_pools_belong_to_runs_and_dead_runs_are_found_within_seconds(dagster_url: str) -> None:
    with deployed_instance() as instance:
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == dagster_config.CONCURRENT_RUNS
        assert instance.run_monitoring_poll_interval_seconds + instance.run_monitoring_cancel_timeout_seconds < 30
        assert instance.run_monitoring_max_runtime_seconds == LONGEST_RUN_S
