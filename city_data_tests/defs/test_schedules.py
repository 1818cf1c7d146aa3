"""The run requests of the schedules: the month that closed, and every unsettled month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB, STEPS, asset_key
from city_data.defs.resources import DatabaseResource
from city_data.defs.schedules import LONGEST_RUN_S, run_request
from city_data.pipeline.batches import Batch
from city_data.pipeline.feeds import Feed
from city_data.pipeline.timetable import monthly_tick
from city_data.store.ledger import record_state
from city_data.window import Month
from city_data_tests.world import AS_OF, World, age_run, queue_run

TICK = datetime(2026, 12, 1, 2, tzinfo=UTC)
SEPTEMBER = {"dagster/partition": "2026-09"}


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
        "madrid/weather_raw",
        "madrid/weather_monthly",
        "madrid/weather_cache",
    ]


def assets(feed: Feed) -> frozenset[dg.AssetKey]:
    return frozenset(asset_key(feed, step) for step in STEPS)


def started(world: World, *feeds: Feed) -> dg.DagsterRun:
    """A run of September in progress."""
    selected = frozenset[dg.AssetKey]().union(*map(assets, feeds)) or None
    job = defs().resolve_job_def(MONTHS_JOB)
    status = dg.DagsterRunStatus.STARTED
    return world.instance.create_run_for_job(job, status=status, tags=SEPTEMBER, asset_selection=selected)


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
    run = started(world, world.feed("weather"))
    assert due_weather(world) == {"2026-08"}
    world.instance.report_run_canceled(run)  # stopped before it wrote the month
    assert due_weather(world) == set(months)
    world.load("weather", "2026-08")
    assert due_weather(world) == {"2026-09"}


def test_run_older_than_the_longest_runtime_does_not_hide_its_month(world: World) -> None:
    run = started(world, world.feed("weather"))
    assert "2026-09" not in due_weather(world)
    age_run(world.instance, run.run_id, LONGEST_RUN_S + 60)
    assert "2026-09" in due_weather(world)
    queued = queue_run(world.instance, MONTHS_JOB, SEPTEMBER, assets(world.feed("weather")))
    age_run(world.instance, queued.run_id, LONGEST_RUN_S + 60)  # the queue may be longer than any run
    assert "2026-09" not in due_weather(world)


@pytest.mark.parametrize(("most", "weather_runs"), [("50", [["barcelona", "madrid"], ["lisbon"]]), ("1", None)])
def test_run_loads_the_cities_of_a_provider_up_to_the_most_of_a_run(
    world: World, most: str, weather_runs: list[list[str]] | None
) -> None:
    world.enable("madrid", "barcelona", "lisbon")  # two of AEMET, one of Open-Meteo
    world.monkeypatch.setenv("CITY_DATA_CITIES_A_RUN", most)
    world.at(TICK)
    requested = [r for r in requests(world, "month_closed", TICK) if r.tags["city_data/dataset"] == "weather"]
    loaded = sorted(sorted({key.path[0] for key in request.asset_selection or []}) for request in requested)
    assert loaded == (weather_runs or [["barcelona"], ["lisbon"], ["madrid"]])
    assert len({request.run_key for request in requested}) == len(requested)
    for request in requested:
        assert ("city_data/city" in request.tags) == (len(request.asset_selection or []) == len(STEPS))


def test_recheck_of_a_batch_asks_each_city_for_revisions_only(world: World) -> None:
    world.enable("madrid", "barcelona")
    feeds = [world.feed("weather", city_id) for city_id in ("madrid", "barcelona")]
    request = run_request(Batch(feeds, Month(2026, 1)), "recheck", only_if_revised=True)
    assert set(request.run_config["ops"]) == {"madrid__weather_raw", "barcelona__weather_raw"}


def test_every_city_of_a_running_batch_waits_for_it(world: World) -> None:
    world.enable("madrid", "barcelona")
    started(world, world.feed("weather", "madrid"), world.feed("weather", "barcelona"))
    due = requests(world, "refresh_unsettled", AS_OF)
    september = [request for request in due if request.partition_key == "2026-09"]
    assert {request.tags["city_data/dataset"] for request in september} == {"traffic"}
    started(world)  # without a selection it loads all feeds
    assert "2026-09" not in {request.partition_key for request in requests(world, "refresh_unsettled", AS_OF)}
