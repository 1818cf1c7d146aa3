"""The purge of Dagster's database: it shrinks, and the partitions' state and latest metadata stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as sa
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from city_data.definitions import defs
from city_data.defs.old_events import Purged, purge
from city_data.defs.purge import purge_job
from city_data_tests.world import World

KEY = dg.AssetKey(["madrid", "weather_monthly"])


def events(world: World) -> int:
    with world.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return int(connection.execute(sa.select(sa.func.count()).select_from(SqlEventLogStorageTable)).scalar_one())


def results(world: World) -> dict[tuple[str, str], list[int]]:
    """The results of each check of a partition, latest first."""
    storage, found = world.instance.event_log_storage, {}
    for key in defs().resolve_asset_graph().asset_check_keys:
        for month in ("2026-09", "2026-10") if key.asset_key == KEY else ():
            history = storage.get_asset_check_execution_history(key, 10, partition_filter=PartitionKeyFilter(key=month))
            found[key.name, month] = [result.id for result in history]
    return found


def test_purge_keeps_the_latest_materialization_of_each_partition_and_its_checks(world: World) -> None:
    first, again, other = (world.load("weather", month)[0].run_id for month in ("2026-09", "2026-09", "2026-10"))
    latest = world.instance.get_latest_materialization_event(KEY)
    checks, before = results(world), events(world)
    assert {month: len(found) for (_, month), found in checks.items()} == {"2026-09": 2, "2026-10": 1}
    assert purge(world.instance, datetime.now(UTC) - timedelta(days=1)) == Purged()

    purged = purge(world.instance, datetime.now(UTC) + timedelta(minutes=1))
    assert purged.runs == 1
    assert events(world) < before / 5
    assert purged.events > before / 2
    assert purged.checks >= len(checks) / 2
    assert results(world) == {key: found[:1] for key, found in checks.items()}
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
    assert purge(world.instance, datetime.now(UTC) + timedelta(minutes=1)) == Purged()


def test_unfinished_runs_are_not_purged(world: World) -> None:
    run = world.instance.create_run_for_job(purge_job(), status=dg.DagsterRunStatus.STARTED)
    assert purge(world.instance, datetime.now(UTC) + timedelta(minutes=1)) == Purged()
    assert world.instance.get_run_by_id(run.run_id) is not None


def test_job_purges_by_the_setting(world: World) -> None:
    world.load("weather", "2026-09")
    before = events(world)
    world.monkeypatch.setenv("CITY_DATA_KEEP_RUNS_DAYS", "30")
    assert purge_job().execute_in_process(instance=world.instance).success
    assert events(world) > before
    world.monkeypatch.setenv("CITY_DATA_KEEP_RUNS_DAYS", "0")
    assert not purge_job().execute_in_process(instance=world.instance, raise_on_error=False).success
