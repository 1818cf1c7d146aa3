"""One machine's Dagster configuration."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import yaml
from alembic import command
from alembic.script import ScriptDirectory
from dagster import DagsterInstance
from dagster._core.instance.config import PoolGranularity

from city_data.defs.schedules import LONGEST_RUN_S
from city_data.local import dagster_config, home, platform
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.database import Database
from city_data.store.migrate import _config, standing


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


def test_pools_belong_to_runs_and_dead_runs_are_found_within_seconds(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create_database("one_machine")
    monkeypatch.setenv("CITY_DATA_DAGSTER_URL", postgres.url("one_machine"))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(dagster_config.DAGSTER_CONFIG))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        concurrency = instance.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == dagster_config.CONCURRENT_RUNS
        assert instance.run_monitoring_poll_interval_seconds + instance.run_monitoring_cancel_timeout_seconds < 30
        assert instance.run_monitoring_max_runtime_seconds == LONGEST_RUN_S
