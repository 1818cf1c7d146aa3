"""The check of overdue months: by a sensor without a run, and by a run of the check."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from city_data.definitions import defs
from city_data.defs.overdue import CHECK, overdue_sensor
from city_data.defs.resources import DatabaseResource
from city_data.store.ledger import record_state
from city_data.window import Month
from city_data_tests.world import World

KEY = dg.AssetCheckKey(dg.AssetKey(["madrid", "reader"]), CHECK)
OCTOBER = Month(2026, 10)
# The lag of weather is 5 days, and with 3 more it ends on 9 November; that of traffic is longer.
BEFORE, AFTER = datetime(2026, 11, 8, 9, tzinfo=UTC), datetime(2026, 11, 10, 9, tzinfo=UTC)


@pytest.fixture
def stored(world: World) -> World:
    """Of the window's months none is available, but October's, which its sources have not published."""
    world.at(BEFORE)
    for feed in world.feeds:
        for month in world.window.complete_months()[:-1]:
            record_state(world.database, "madrid", feed.dataset.name, month, "not_available", at=BEFORE)
    record_state(world.database, "madrid", "weather", OCTOBER, "not_yet_published", at=BEFORE, message="try in a week")
    record_state(world.database, "madrid", "traffic", OCTOBER, "not_available", at=BEFORE)
    return world


def tick(world: World) -> str:
    with dg.build_sensor_context(instance=world.instance, resources={"database": DatabaseResource()}) as context:
        result = overdue_sensor(world.feeds).evaluate_tick(context)
    assert result.run_requests == []
    assert result.skip_message is not None
    return result.skip_message


def evaluation(world: World) -> dg.AssetCheckEvaluation:
    """The latest."""
    (record,) = world.instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY]).values()
    assert record.event is not None
    found = record.event.get_dagster_event().asset_check_evaluation_data
    assert (record.status == AssetCheckExecutionRecordStatus.SUCCEEDED) == found.passed
    return found


def test_month_that_never_arrives_fails_the_check_without_a_run(stored: World) -> None:
    assert tick(stored) == "0 of 1 cities have overdue months; 1 checks changed"
    assert evaluation(stored).passed
    stored.at(AFTER)
    assert tick(stored) == "1 of 1 cities have overdue months; 1 checks changed"
    found = evaluation(stored)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "1 overdue: weather 2026-10 not_yet_published: try in a week"
    assert found.metadata["months"].value == "weather 2026-10"
    assert tick(stored).endswith("0 checks changed")


@pytest.mark.parametrize("outcome", ["loaded", "not available"])
def test_check_passes_once_the_month_is_loaded_or_will_never_be(stored: World, outcome: str) -> None:
    stored.at(AFTER)
    tick(stored)
    assert not evaluation(stored).passed
    if outcome == "loaded":
        assert [done.error for done in stored.load("weather", "2026-10")] == [None]
    else:
        record_state(stored.database, "madrid", "weather", OCTOBER, "not_available", at=AFTER)
    assert tick(stored) == "0 of 1 cities have overdue months; 1 checks changed"
    assert evaluation(stored).passed


def test_run_of_the_check_evaluates_it_at_once(stored: World) -> None:
    stored.at(AFTER)
    job = defs().resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={KEY})
    assert job.execute_in_process(instance=stored.instance).success
    assert not evaluation(stored).passed
    assert tick(stored).endswith("0 checks changed")


def test_months_that_were_never_requested_are_counted_and_the_newest_named(world: World) -> None:
    tick(world)
    text = evaluation(world).description
    assert text is not None
    assert "weather 2026-10 was never requested" in text
    assert "older" in text


def test_run_of_a_month_has_no_part_in_it(world: World) -> None:
    world.load("weather", "2026-09")
    assert world.instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY]) == {}
