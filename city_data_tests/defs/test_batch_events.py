"""The stored events of a run of several cities: few, and yet all that the pages show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.events import DagsterEvent
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.defs.old_events import purge
from city_data_tests.world import World

CITIES = ("madrid", "barcelona")
MONTHLY = dg.AssetKey(["barcelona", "weather_monthly"])
CHECK = dg.AssetCheckKey(MONTHLY, "readable_rows")
KINDS = dg.DagsterEventType
PASSED, FAILED = AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED


@pytest.fixture
def cities(world: World) -> World:
    world.enable(*CITIES)
    return world


def load(world: World, month: str) -> str:
    """Run a batch of both cities for a month; its run's id."""
    job = defs().resolve_job_def(MONTHS_JOB)
    result = job.execute_in_process(
        instance=world.instance, partition_key=month, asset_selection=[*assets(world)], raise_on_error=False
    )
    return result.run_id


def assets(world: World, *city_ids: str) -> frozenset[dg.AssetKey]:
    feeds = [world.feed("weather", city_id) for city_id in city_ids or CITIES]
    return frozenset(asset_key(feed, step) for feed in feeds for step in STEPS)


def ended(world: World, *city_ids: str) -> str:
    """A run that has succeeded without any event; its id."""
    job = defs().resolve_job_def(MONTHS_JOB)
    selected = assets(world, *city_ids)
    return world.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.SUCCESS, asset_selection=selected, tags={"dagster/partition": "2026-09"}
    ).run_id


def evaluate(world: World, run_id: str, month: str, passed: bool = True) -> None:
    """Let a run report the check's result."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=MONTHLY,
        check_name=CHECK.name,
        passed=passed,
        metadata={"rows": 3},
        partition=month,
        description="why",
    )
    event = DagsterEvent(KINDS.ASSET_CHECK_EVALUATION.value, MONTHS_JOB, event_specific_data=evaluation)
    world.instance.report_dagster_event(event, run_id)


def results(world: World) -> list[tuple[str | None, AssetCheckExecutionRecordStatus]]:
    """The stored results of the check, in the order of their storing; a planned one is none."""
    history = world.instance.event_log_storage.get_asset_check_execution_history(CHECK, limit=100)
    return [(one.partition, one.status) for one in reversed(history) if one.status in (PASSED, FAILED)]


def kinds(world: World, run_id: str) -> list[dg.DagsterEventType | None]:
    return [record.event_log_entry.dagster_event_type for record in world.instance.get_records_for_run(run_id).records]


def characters(world: World, run_id: str) -> int:
    total = sa.select(sa.func.sum(sa.func.length(SqlEventLogStorageTable.c.event)))
    with world.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return int(connection.execute(total.where(SqlEventLogStorageTable.c.run_id == run_id)).scalar_one())


def test_month_of_a_batch_stores_what_the_pages_show_in_a_fifth_of_a_single_runs_events(cities: World) -> None:
    load(cities, "2026-08")
    run_id = load(cities, "2026-09")
    stored = kinds(cities, run_id)
    assert stored.count(KINDS.ASSET_MATERIALIZATION) == len(CITIES) * len(STEPS)
    assert KINDS.ASSET_MATERIALIZATION_PLANNED not in stored
    assert cities.instance.get_materialized_partitions(MONTHLY) == {"2026-08", "2026-09"}
    steps = cities.instance.get_run_step_stats(run_id)
    assert len(steps) == len(CITIES) * len(STEPS)
    assert all(step.start_time and step.end_time for step in steps)
    entries = [record.event_log_entry for record in cities.instance.get_records_for_run(run_id).records]
    assert all(entry.message for entry in entries)
    assert {handle.to_key() for entry in entries if (handle := entry.get_dagster_event().step_handle)} == {
        key.to_python_identifier() for key in assets(cities)
    }
    (alone,) = cities.load("weather", "2026-09", city_id="madrid")
    assert KINDS.STEP_OUTPUT in kinds(cities, alone.run_id)
    assert characters(cities, run_id) / len(CITIES) < characters(cities, alone.run_id) / 5


def test_city_that_fails_in_a_batch_is_stored_in_full(cities: World, no_waiting: None) -> None:
    cities.sandbox.faults.order("/estacion/0076", status=401, body="refused")
    run_id = load(cities, "2026-09")
    (failure,) = cities.instance.get_records_for_run(run_id, of_type=KINDS.STEP_FAILURE).records
    dagster_event = failure.event_log_entry.get_dagster_event()
    assert failure.event_log_entry.step_key == "barcelona__weather_raw"
    assert "the key was refused" in str(dagster_event.step_failure_data.error)
    assert dagster_event.logging_tags
    raw = dg.AssetKey(["barcelona", "weather_raw"])
    planned = cities.instance.get_latest_planned_materialization_info(raw, partition="2026-09")
    assert planned is not None  # with the run's failure the month is shown as failed
    assert planned.run_id == run_id
    assert cities.instance.get_materialized_partitions(raw) == set()


def test_check_of_a_batch_is_stored_where_its_state_changes(cities: World) -> None:
    run_id = ended(cities)
    evaluate(cities, run_id, "2026-07")
    evaluate(cities, run_id, "2026-08")
    assert results(cities) == [("2026-07", PASSED)]
    (latest,) = cities.instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK]).values()
    assert latest.evaluation is not None
    assert (latest.evaluation.description, latest.evaluation.metadata["rows"].value) == ("why", 3)

    evaluate(cities, again := ended(cities), "2026-08", passed=False)
    evaluate(cities, again, "2026-09")
    evaluate(cities, ended(cities), "2026-08")  # the check's latest result is a success, but not this month's
    changes = [("2026-07", PASSED), ("2026-08", FAILED), ("2026-09", PASSED), ("2026-08", PASSED)]
    assert results(cities) == changes
    evaluate(cities, ended(cities), "2026-10")
    assert results(cities) == changes


def test_run_of_one_city_stores_every_result(cities: World) -> None:
    run_id = ended(cities, "barcelona")
    evaluate(cities, run_id, "2026-07")
    evaluate(cities, run_id, "2026-08")
    assert results(cities) == [("2026-07", PASSED), ("2026-08", PASSED)]


def test_purge_keeps_the_run_of_a_check_that_has_passed_ever_since(cities: World) -> None:
    first, second = ended(cities), ended(cities)
    for run_id in (first, second):
        evaluate(cities, run_id, "2026-09")
    purge(cities.instance, datetime.now(UTC) + timedelta(minutes=1))
    assert cities.instance.get_run_by_id(first) is not None
    assert cities.instance.get_run_by_id(second) is None
    assert results(cities) == [("2026-09", PASSED)]
