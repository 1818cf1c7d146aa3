"""The check of overdue months: by a run, and by the sensor for a month that no run loads."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from city_data.defs.overdue import CHECK, overdue_sensor
from city_data.defs.resources import DatabaseResource
from city_data.store.ledger import record_state
from city_data.window import Month
from city_data_tests.world import World

KEY = dg.AssetCheckKey(dg.AssetKey(["madrid", "weather_monthly"]), CHECK)
OCTOBER = Month(2026, 10)
# Its source's lag of 5 days and 3 more end on 9 November.
BEFORE, AFTER = datetime(2026, 11, 8, 9, tzinfo=UTC), datetime(2026, 11, 10, 9, tzinfo=UTC)


@pytest.fixture
def stored(world: World) -> World:
    """Weather of September; the months before are not available, and October is not published."""
    world.at(BEFORE)
    for month in world.window.complete_months()[:-2]:
        record_state(world.database, "madrid", "weather", month, "not_available", at=BEFORE)
    record_state(world.database, "madrid", "weather", OCTOBER, "not_yet_published", at=BEFORE, message="try in a week")
    world.load("weather", "2026-09")
    return world


def tick(world: World) -> str:
    sensor = overdue_sensor([world.feed("weather")])
    with dg.build_sensor_context(instance=world.instance, resources={"database": DatabaseResource()}) as context:
        result = sensor.evaluate_tick(context)
    assert result.run_requests == []
    assert result.skip_message is not None
    return result.skip_message


def evaluation(world: World) -> dg.AssetCheckEvaluation:
    """The latest, which Dagster's pages show: it is of the newest materialization."""
    (record,) = world.instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY]).values()
    assert record.event is not None
    found = record.event.get_dagster_event().asset_check_evaluation_data
    assert (record.status == AssetCheckExecutionRecordStatus.SUCCEEDED) == found.passed
    newest = world.instance.fetch_materializations(KEY.asset_key, limit=1).records[0]
    target = found.target_materialization_data
    assert record.run_id == newest.run_id or (target is not None and target.storage_id == newest.storage_id)
    return found


def test_run_evaluates_the_check_of_its_own_feed(stored: World) -> None:
    assert evaluation(stored).passed
    assert tick(stored) == "0 of 1 feeds have overdue months; 0 checks changed"


def test_month_that_never_arrives_fails_the_check_without_a_run(stored: World) -> None:
    stored.at(AFTER)
    assert tick(stored) == "1 of 1 feeds have overdue months; 1 checks changed"
    found = evaluation(stored)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "1 overdue: 2026-10 not_yet_published: try in a week"
    assert found.metadata["months"].value == "2026-10"
    assert tick(stored).endswith("0 checks changed")
    record_state(stored.database, "madrid", "weather", OCTOBER, "not_available", at=AFTER)
    assert tick(stored) == "0 of 1 feeds have overdue months; 1 checks changed"
    assert evaluation(stored).passed


def test_load_of_the_overdue_month_passes_the_check_at_once(stored: World) -> None:
    stored.at(AFTER)
    tick(stored)
    assert not evaluation(stored).passed
    stored.load("weather", "2026-10")
    assert evaluation(stored).passed


def test_feed_without_any_month_names_the_newest_ones(world: World) -> None:
    tick(world)
    (record,) = world.instance.event_log_storage.get_latest_asset_check_execution_by_key([KEY]).values()
    assert record.event is not None
    text = record.event.get_dagster_event().asset_check_evaluation_data.description
    assert text is not None
    assert "2026-09 was never requested" in text
    assert text.endswith("; and 19 older")
