"""The event log of a backfill: what Dagster's pages need of a run is there, in few transactions."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from city_data.definitions import defs, month_job
from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.operations import backfill
from city_data.operations.instance import warm_instance
from city_data.window import Month
from city_data_tests.world import World

MONTH = Month(2026, 9)


@pytest.fixture
def lean(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", world.dagster_home)
    with warm_instance() as instance:
        yield instance


def load(world: World, instance: dg.DagsterInstance, month: Month = MONTH) -> backfill.Done:
    (done,) = backfill.materialize(month_job, instance, [(world.feed("weather"), month)])
    return done


def kinds(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    logs = instance.all_logs(run_id)
    return [entry.dagster_event_type.value for entry in logs if entry.dagster_event_type is not None]


def checks(asset: dg.AssetKey) -> list[dg.AssetCheckKey]:
    return [key for key in defs().resolve_asset_graph().asset_check_keys if key.asset_key == asset]


def test_run_shows_its_steps_partitions_and_checks(world: World, lean: dg.DagsterInstance) -> None:
    done, feed = load(world, lean), world.feed("weather")
    run = world.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert (run.status, run.tags["dagster/partition"]) == (dg.DagsterRunStatus.SUCCESS, str(MONTH))
    steps = world.instance.get_run_step_stats(done.run_id)
    assert [(step.step_key, step.status.value) for step in steps if step.status] == [
        (asset_key(feed, step).to_python_identifier(), "SUCCESS") for step in STEPS
    ]
    for step in STEPS:
        key = asset_key(feed, step)
        assert world.instance.get_materialized_partitions(key) == {str(MONTH)}
        assert world.instance.get_latest_materialization_event(key) is not None
    keys = checks(asset_key(feed, "monthly"))
    records = world.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert len(records) == len(keys) > 10
    assert {record.status for record in records.values()} == {AssetCheckExecutionRecordStatus.SUCCEEDED}
    assert {record.run_id for record in records.values()} == {done.run_id}


def test_run_has_the_events_of_an_ordinary_one_without_the_engines(world: World, lean: dg.DagsterInstance) -> None:
    stored = kinds(world.instance, load(world, lean).run_id)
    (other,) = world.load("weather", str(MONTH - 1))
    ordinary = kinds(world.instance, other.run_id)
    dropped = Counter(ordinary) - Counter(stored)
    results = stored.count("ASSET_CHECK_EVALUATION")
    assert Counter(stored) - Counter(ordinary) == {}
    assert dropped.pop("STEP_OUTPUT") == results
    assert dropped.pop("ASSET_CHECK_EVALUATION_PLANNED") == results
    assert set(dropped) == {"ENGINE_EVENT", "RESOURCE_INIT_STARTED", "RESOURCE_INIT_SUCCESS", "LOGS_CAPTURED"}
    order = [kind for kind in stored if kind.startswith(("PIPELINE", "STEP_START", "STEP_SUCCESS"))]
    assert order == ["PIPELINE_START", *["STEP_START", "STEP_SUCCESS"] * 3, "PIPELINE_SUCCESS"]


def test_run_takes_a_transaction_for_each_step(world: World, lean: dg.DagsterInstance) -> None:
    load(world, lean)  # what the first one looks up is kept
    inserts = []

    def count(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("INSERT INTO event_logs"):
            inserts.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        load(world, lean, MONTH - 1)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    assert len(inserts) == len(STEPS) + 1


def test_failed_run_keeps_its_events_and_its_cause(world: World, lean: dg.DagsterInstance, no_waiting: None) -> None:
    world.sandbox.faults.order("/diarios/", status=404)
    done = load(world, lean)
    assert done.error is not None
    stored = kinds(world.instance, done.run_id)
    assert stored[-1] == "PIPELINE_FAILURE"
    assert "STEP_FAILURE" in stored
    run = world.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert "ASSET_CHECK_EVALUATION" not in stored
    keys = checks(asset_key(world.feed("weather"), "raw"))
    records = world.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {record.status for record in records.values()} == {AssetCheckExecutionRecordStatus.PLANNED}
    assert {record.run_id for record in records.values()} == {done.run_id}


def test_second_result_of_a_check_in_a_run_replaces_the_first(lean: dg.DagsterInstance) -> None:
    check = dg.AssetCheckKey(dg.AssetKey("thing"), "is_whole")
    months, tries = dg.StaticPartitionsDefinition(["2026-09"]), list[int]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        spec = dg.AssetCheckSpec(check.name, asset=check.asset_key, partitions_def=months)

    @dg.asset(partitions_def=months, check_specs=[spec], output_required=False)
    def thing() -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        tries.append(len(tries) + 1)
        yield dg.AssetCheckResult(passed=tries == [1, 2])
        if tries == [1]:
            raise dg.RetryRequested(1, 0)
        yield dg.MaterializeResult()

    assert dg.materialize([thing], instance=lean, partition_key="2026-09").success
    history = lean.event_log_storage.get_asset_check_execution_history(check, limit=5)
    assert [record.status for record in history] == [AssetCheckExecutionRecordStatus.SUCCEEDED]


def test_events_that_could_not_be_stored_are_stored_with_the_next_one(world: World, lean: dg.DagsterInstance) -> None:
    run = lean.create_run_for_job(defs().resolve_job_def(MONTHS_JOB))
    assert kinds(world.instance, run.run_id) == []
    with sa.create_engine(world.instance.event_log_storage.postgres_url).connect() as connection:  # type: ignore[attr-defined]
        connection.execute(sa.text("ALTER TABLE event_logs RENAME TO away"))
        connection.commit()
        with pytest.raises(sa.exc.ProgrammingError):
            lean.report_run_canceling(run)
        connection.execute(sa.text("ALTER TABLE away RENAME TO event_logs"))
        connection.commit()
    lean.report_run_canceling(run)
    stored = Counter(kinds(lean, run.run_id))
    assert stored["PIPELINE_CANCELING"] == 2
    assert stored["ASSET_MATERIALIZATION_PLANNED"] > 3
