"""The purge of Dagster's database: it shrinks, and the partitions' state and latest metadata stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from city_data.defs.old_events import purge
from city_data.defs.purge import purge_job
from city_data_tests.world import World

KEY = dg.AssetKey(["madrid", "weather_monthly"])


def events(world: World) -> int:
    with world.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return int(connection.execute(sa.select(sa.func.count()).select_from(SqlEventLogStorageTable)).scalar_one())


def test_purge_keeps_the_latest_materialization_of_each_partition_and_its_checks(world: World) -> None:
    first, again, other = (world.load("weather", month)[0].run_id for month in ("2026-09", "2026-09", "2026-10"))
    latest = world.instance.get_latest_materialization_event(KEY)
    checks = world.instance.event_log_storage.get_asset_check_summary_records([])
    before = events(world)
    assert purge(world.instance, datetime.now(UTC) - timedelta(days=1)) == (0, 0)

    runs, deleted = purge(world.instance, datetime.now(UTC) + timedelta(minutes=1))
    assert runs == 1
    assert events(world) < before / 5
    assert deleted > before / 2
    assert world.instance.get_run_by_id(first) is None
    for run_id in (again, other):
        run = world.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        stats = world.instance.get_run_stats(run_id)
        assert stats.start_time is not None
        assert stats.end_time is not None
    assert world.instance.get_materialized_partitions(KEY) == {"2026-09", "2026-10"}
    assert world.instance.get_latest_materialization_event(KEY) == latest
    assert world.instance.event_log_storage.get_asset_check_summary_records([]) == checks
    assert purge(world.instance, datetime.now(UTC) + timedelta(minutes=1)) == (0, 0)


def test_unfinished_runs_are_not_purged(world: World) -> None:
    run = world.instance.create_run_for_job(purge_job(), status=dg.DagsterRunStatus.STARTED)
    assert purge(world.instance, datetime.now(UTC) + timedelta(minutes=1)) == (0, 0)
    assert world.instance.get_run_by_id(run.run_id) is not None


def test_job_purges_by_the_setting(world: World) -> None:
    world.load("weather", "2026-09")
    before = events(world)
    world.monkeypatch.setenv("CITY_DATA_KEEP_RUNS_DAYS", "30")
    assert purge_job().execute_in_process(instance=world.instance).success
    assert events(world) > before
    world.monkeypatch.setenv("CITY_DATA_KEEP_RUNS_DAYS", "0")
    assert not purge_job().execute_in_process(instance=world.instance, raise_on_error=False).success
