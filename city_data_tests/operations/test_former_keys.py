"""A Dagster home whose assets have their former names: the history goes over to the names of now."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from city_data.definitions import defs
from city_data.defs.keys import FORMER_MONTHS_JOB, MONTHS_JOB, STEPS, asset_key
from city_data.operations.former_keys import rename_assets
from city_data_tests.world import World, queue_run

MONTHS = dg.StaticPartitionsDefinition(["2026-09", "2026-10"])
FORMER = {step: dg.AssetKey([step, "weather", "madrid"]) for step in STEPS}
NEW = {step: dg.AssetKey(["madrid", f"weather_{step}"]) for step in STEPS}
OLDER = {"dagster/input_data_version/raw/weather/madrid", "dagster/input_event_pointer/raw/weather/madrid"}


def former_definitions() -> dg.Definitions:
    """The three assets as they were: same job, partitions and code versions, with a check of the month."""

    @dg.asset(key=FORMER["raw"], partitions_def=MONTHS, code_version="1")
    def raw() -> None: ...

    @dg.asset(
        key=FORMER["monthly"],
        partitions_def=MONTHS,
        code_version="1",
        deps=[FORMER["raw"]],
        check_specs=[dg.AssetCheckSpec("hours", asset=FORMER["monthly"])],
    )
    def monthly(context: dg.AssetExecutionContext) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        yield dg.AssetCheckResult(passed=True, asset_key=FORMER["monthly"], check_name="hours")
        context.log_event(dg.AssetObservation(FORMER["monthly"], partition=context.partition_key))
        yield dg.MaterializeResult(metadata={"url": "https://files/raw/weather/madrid.zip"})

    @dg.asset(key=FORMER["cache"], partitions_def=MONTHS, code_version="1", deps=[FORMER["monthly"]])
    def cache() -> None: ...

    job = dg.define_asset_job(FORMER_MONTHS_JOB, selection="*", executor_def=dg.in_process_executor)
    return dg.Definitions(assets=[raw, monthly, cache], jobs=[job])


def load_as_before(world: World, month: str) -> str:
    job = former_definitions().resolve_job_def(FORMER_MONTHS_JOB)
    result = job.execute_in_process(instance=world.instance, partition_key=month, asset_selection=[*FORMER.values()])
    assert result.success
    return result.run_id


def renamed(world: World) -> list[str]:
    lines: list[str] = []
    rename_assets(world.instance, lines.append)
    return lines


def events(world: World, key: dg.AssetKey) -> list[tuple[int, str, str | None]]:
    """Materializations and observations: number, run and partition."""
    found = [
        *world.instance.fetch_materializations(key, limit=50).records,
        *world.instance.fetch_observations(key, limit=50).records,
    ]
    return [(record.storage_id, record.run_id, record.partition_key) for record in found]


def test_history_is_found_under_the_new_names(world: World) -> None:
    runs = {month: load_as_before(world, month) for month in ("2026-09", "2026-10")}
    before = {step: events(world, FORMER[step]) for step in STEPS}
    storage = world.instance.event_log_storage
    assert [len(before[step]) for step in STEPS] == [2, 4, 2]
    (line,) = renamed(world)
    assert line.startswith("3 assets renamed")
    assert {step: events(world, NEW[step]) for step in STEPS} == before
    assert set(world.instance.all_asset_keys()) == set(NEW.values())
    for step in STEPS:
        assert world.instance.get_materialized_partitions(NEW[step]) == set(runs)
        latest = world.instance.get_latest_materialization_event(NEW[step])
        assert latest is not None
        assert latest.asset_materialization is not None
        assert latest.asset_materialization.asset_key == NEW[step]
    materialization = latest_of_monthly(world)
    assert materialization.metadata["url"].value == "https://files/raw/weather/madrid.zip"
    assert {name.replace("madrid/weather_raw", "raw/weather/madrid") for name in materialization.tags or {}} >= OLDER
    check = dg.AssetCheckKey(NEW["monthly"], "hours")
    (execution,) = storage.get_latest_asset_check_execution_by_key([check]).values()
    assert execution.event is not None
    assert execution.event.asset_check_evaluation is not None
    assert execution.event.asset_check_evaluation.asset_key == NEW["monthly"]
    run = world.instance.get_run_by_id(runs["2026-09"])
    assert run is not None
    assert run.asset_selection == frozenset(NEW.values())
    assert renamed(world) == []


def latest_of_monthly(world: World) -> dg.AssetMaterialization:
    event = world.instance.get_latest_materialization_event(NEW["monthly"])
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization


@pytest.mark.parametrize("older_last", [False, True])
def test_names_in_use_side_by_side_become_one_history(world: World, older_last: bool) -> None:
    """After a rollback, or where a month was loaded before the migration."""
    own: set[str] = set()
    for month, older in (("2026-09", not older_last), ("2026-10", older_last)):
        own.add(load_as_before(world, month) if older else world.load("weather", month)[0].run_id)
    world.instance.get_status_by_partition(NEW["monthly"], ["2026-09", "2026-10"], MONTHS)
    assert len(renamed(world)) == 1
    assert {run_id for _, run_id, _ in events(world, NEW["monthly"])} == own
    (record,) = world.instance.get_asset_records([NEW["monthly"]])
    assert record.asset_entry.last_materialization_record is not None
    assert record.asset_entry.last_materialization_record.partition_key == "2026-10"
    assert record.asset_entry.cached_status is None
    assert FORMER["monthly"] not in world.instance.all_asset_keys()


@pytest.mark.filterwarnings("ignore:Function `AssetSelection.sources`:DeprecationWarning")  # Dagster calls its own
def test_waiting_work_under_former_names_is_canceled_with_what_to_do(world: World) -> None:
    load_as_before(world, "2026-09")
    runs = {
        name: queue_run(world.instance, MONTHS_JOB, {"dagster/partition": "2026-10"}, frozenset(keys)).run_id
        for name, keys in (("new", NEW.values()), ("whole", ()))
    }
    former = [
        queue_run(world.instance, FORMER_MONTHS_JOB, asset_selection=keys, definitions=former_definitions()).run_id
        for keys in (frozenset(FORMER.values()), None)
    ]
    for backfill_id, status, key in (
        ("open", BulkActionStatus.REQUESTED, FORMER["raw"]),
        ("done", BulkActionStatus.COMPLETED_SUCCESS, FORMER["raw"]),
        ("new", BulkActionStatus.REQUESTED, NEW["raw"]),
    ):
        add_backfill(world, backfill_id, status, key)
    last = renamed(world)[-1]
    assert "canceled 2 queued runs and 1 unfinished backfills" in last
    assert "city-data backfill --due" in last
    assert {run_status(world, run_id) for run_id in former} == {dg.DagsterRunStatus.CANCELED}
    assert {run_status(world, run_id) for run_id in runs.values()} == {dg.DagsterRunStatus.QUEUED}
    backfills = {one.backfill_id: one for one in world.instance.get_backfills()}
    assert {name: one.status for name, one in backfills.items()} == {
        "open": BulkActionStatus.CANCELED,
        "done": BulkActionStatus.COMPLETED_SUCCESS,
        "new": BulkActionStatus.REQUESTED,
    }
    assert all(one.asset_selection == [NEW["raw"]] for one in backfills.values())


def add_backfill(world: World, backfill_id: str, status: BulkActionStatus, key: dg.AssetKey) -> None:
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id=backfill_id,
        asset_graph=(defs() if key in NEW.values() else former_definitions()).resolve_asset_graph(),
        partition_names=["2026-10"],
        asset_selection=[key],
        backfill_timestamp=datetime.now(UTC).timestamp(),
        tags={},
        dynamic_partitions_store=world.instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    world.instance.add_backfill(backfill.with_status(status))


def run_status(world: World, run_id: str) -> dg.DagsterRunStatus:
    run = world.instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_home_of_now_is_left_alone(world: World) -> None:
    world.load("weather", "2026-09")
    before = events(world, asset_key(world.feed("weather"), "monthly"))
    assert renamed(world) == []
    assert events(world, asset_key(world.feed("weather"), "monthly")) == before
