"""One machine's Dagster configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.instance.config import PoolGranularity

from city_data.defs.schedules import LONGEST_RUN_S
from city_data.local import dagster_config
from city_data.local.embedded import EmbeddedPostgres


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
