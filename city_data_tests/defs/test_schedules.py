"""The run requests of the schedules: the month that closed, and every unsettled month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.resources import DatabaseResource
from city_data.defs.schedules import LONGEST_RUN_S
from city_data.pipeline.timetable import monthly_tick
from city_data.store.ledger import record_state
from city_data_tests.world import AS_OF, World, age_run, queue_run


def requests(world: World, name: str, at: datetime) -> list[dg.RunRequest]:
    repository = defs().get_repository_def()
    schedule = repository.get_schedule_def(name)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with dg.build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=at,
        repository_def=repository,
        resources={"database": DatabaseResource()},
    ) as context:
        opened = context.instance  # a reference: the context keeps only a weak one
        run_requests = list(schedule.evaluate_tick(context).run_requests or [])
        assert opened is not None
    return run_requests


@pytest.mark.parametrize("override", [True, False])
def test_monthly_tick_requests_the_month_that_closed(world: World, override: bool) -> None:
    tick = datetime(2026, 12, 1, 2, tzinfo=UTC)
    if override:
        world.at(tick)
    else:
        world.monkeypatch.delenv("CITY_DATA_AS_OF")
    requested = requests(world, "month_closed", tick)
    assert {request.partition_key for request in requested} == {"2026-11"}
    assert len(requested) == len(world.feeds)
    assert [key.to_user_string() for key in requested[0].asset_selection or []] == [
        "raw/weather/madrid",
        "monthly/weather/madrid",
        "cache/weather/madrid",
    ]


def due_weather(world: World) -> set[str | None]:
    requested = requests(world, "refresh_unsettled", AS_OF)
    return {request.partition_key for request in requested if request.tags["city_data/dataset"] == "weather"}


def test_refresh_requests_only_months_that_are_due(world: World) -> None:
    everything = requests(world, "refresh_unsettled", AS_OF)
    assert len(everything) == 25 * len(world.feeds)
    world.load("weather", "2026-09", "2026-10")  # settled, and provisional until its source's lag has passed
    weather = {
        r.partition_key for r in requests(world, "refresh_unsettled", AS_OF) if r.tags["city_data/dataset"] == "weather"
    }
    assert not weather & {"2026-09", "2026-10"}
    assert "2026-11" in weather
    world.at(AS_OF + timedelta(days=1))
    tomorrow = {
        r.partition_key for r in requests(world, "refresh_unsettled", AS_OF) if r.tags["city_data/dataset"] == "weather"
    }
    assert "2026-10" in tomorrow
    assert "2026-09" not in tomorrow


@pytest.mark.parametrize(
    ("moment", "tick"),
    [
        (datetime(2026, 12, 1, 2, tzinfo=UTC), datetime(2026, 12, 1, 2, tzinfo=UTC)),
        (datetime(2026, 12, 1, 1, 59, tzinfo=UTC), datetime(2026, 11, 1, 2, tzinfo=UTC)),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, 2, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2026, 12, 1, 2, tzinfo=UTC)),
    ],
)
def test_monthly_tick_is_the_last_one_before_a_moment(moment: datetime, tick: datetime) -> None:
    assert monthly_tick(moment) == tick


def test_stopped_month_is_requested_again_but_not_a_running_one(world: World) -> None:
    months = ("2026-08", "2026-09")
    for month in world.window.months():
        if str(month) not in months:
            record_state(world.database, "madrid", "weather", month, "not_available", at=AS_OF)
    tags = {"city_data/city": "madrid", "city_data/dataset": "weather", "dagster/partition": "2026-09"}
    job = defs().resolve_job_def(MONTHS_JOB)
    run = world.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert due_weather(world) == {"2026-08"}
    world.instance.report_run_canceled(run)  # stopped before it wrote the month
    assert due_weather(world) == set(months)
    world.load("weather", "2026-08")
    assert due_weather(world) == {"2026-09"}


def test_run_older_than_the_longest_runtime_does_not_hide_its_month(world: World) -> None:
    tags = {"city_data/city": "madrid", "city_data/dataset": "weather", "dagster/partition": "2026-09"}
    job = defs().resolve_job_def(MONTHS_JOB)
    run = world.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert "2026-09" not in due_weather(world)
    age_run(world.instance, run.run_id, LONGEST_RUN_S + 60)
    assert "2026-09" in due_weather(world)
    queued = queue_run(world.instance, MONTHS_JOB, tags)
    age_run(world.instance, queued.run_id, LONGEST_RUN_S + 60)  # the queue may be longer than any run
    assert "2026-09" not in due_weather(world)
