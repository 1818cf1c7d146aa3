"""A month that has left the window is deleted from every store, once its replacement is loaded."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import dagster as dg
import psycopg
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.definitions import defs
from city_data.defs.retention import EXPIRE_JOB
from city_data.defs.schedules import LONGEST_RUN_S
from city_data.pipeline.retention import due_for_expiry, take_inventory
from city_data.store import partitions
from city_data.store.audit import read_audit
from city_data.store.ledger import record_state
from city_data.store.partitions import drop_month, inventory
from city_data.store.raw import RawArchive
from city_data.window import Month
from city_data_tests.world import World, age_run

DECEMBER = datetime(2026, 12, 12, 9, tzinfo=UTC)
OLDEST, NEWEST = "2024-11", "2026-11"


def tick(world: World) -> dg.RunRequest | dg.SkipReason:
    """The result of the sensor's tick."""
    repository = defs().get_repository_def()
    sensor = repository.get_sensor_def("retention")
    context = dg.build_sensor_context(
        instance=world.instance, repository_def=repository, resources=repository.get_top_level_resources()
    )
    data = sensor.evaluate_tick(context)
    assert len(data.run_requests or []) <= 1
    return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)


def offered(world: World) -> list[str]:
    """The months of Madrid's weather that the reader lists."""
    with TestClient(create_app(Settings.model_validate({"database_url": world.database_url}))) as client:
        availability = client.get("/api/v1/cities/madrid/data-availability").json()
    return [month["month"] for month in availability["months"]["weather"]]


def drop_raw(world: World, month: Month) -> None:
    for held in world.archive.stored(month):
        world.archive.drop(held.dataset, held.city_id, month)


def run_expiry(world: World, **config: bool) -> None:
    job = defs().resolve_job_def(EXPIRE_JOB)
    result = job.execute_in_process(
        instance=world.instance, run_config={"ops": {"expire_old_months": {"config": config}}}
    )
    assert result.success


def test_exactly_one_month_expires_when_the_window_moves_on(world: World) -> None:
    world.load("weather", OLDEST, "2026-10")
    assert isinstance(tick(world), dg.SkipReason)
    world.at(DECEMBER)
    assert str(world.window.first) == "2024-12"

    waiting = tick(world)
    assert isinstance(waiting, dg.SkipReason)
    assert f"weather/madrid {NEWEST}" in str(waiting.skip_message)
    run_expiry(world)
    assert world.entry("weather", OLDEST) is not None  # nothing is deleted before its replacement is loaded

    world.load("weather", NEWEST)
    assert offered(world) == [OLDEST, "2026-10", NEWEST]
    request = tick(world)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["city_data/expires"] == OLDEST
    assert request.run_key is None
    run_expiry(world)
    assert world.entry("weather", OLDEST) is None
    expired = Month.parse(OLDEST)
    held = take_inventory(world.database, world.archive, world.cache)
    assert expired not in held.tables | held.raw | held.cache
    assert inventory(world.database)["weather"] == [Month(2026, 10), Month(2026, 11)]
    assert [(row["month"], row["city_id"], row["rows"]) for row in read_audit(world.database)] == [
        (expired, "madrid", 30)
    ]
    assert isinstance(tick(world), dg.SkipReason)
    assert offered(world) == ["2026-10", "2026-11"]


def test_expiry_is_observed_in_dagster_and_partitions_follow_the_window(world: World) -> None:
    world.load("weather", OLDEST)
    world.at(DECEMBER)
    run_expiry(world, force=True)
    key = dg.AssetKey(["madrid", "weather_monthly"])
    observed = world.instance.fetch_observations(key, limit=1).records[0].asset_observation
    assert observed is not None
    assert observed.partition == OLDEST
    assert observed.metadata["expired"].value is True
    partitions = defs().resolve_asset_graph().get(key).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys()
    assert (keys[0], keys[-1], len(keys)) == ("2024-12", "2026-12", 25)


def test_interrupted_expiry_is_resumed(world: World) -> None:
    world.load("weather", OLDEST, "2026-10", NEWEST)
    world.at(DECEMBER)
    world.load("weather", NEWEST)
    drop_raw(world, Month.parse(OLDEST))  # the progress of an expiry that was killed
    months, _ = due_for_expiry(world.database, world.archive, world.cache, world.feeds, world.window)
    assert months == [Month.parse(OLDEST)]
    run_expiry(world)
    assert due_for_expiry(world.database, world.archive, world.cache, world.feeds, world.window)[0] == []


def test_sensor_requests_no_second_expiry_while_one_runs(world: World) -> None:
    world.load("weather", OLDEST, NEWEST)
    world.at(DECEMBER)
    world.load("weather", NEWEST)
    job = defs().resolve_job_def(EXPIRE_JOB)
    run = world.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert "unfinished" in str(tick(world))
    age_run(world.instance, run.run_id, LONGEST_RUN_S + 60)
    assert isinstance(tick(world), dg.RunRequest)


@pytest.mark.parametrize("where", ["raw", "cache"])
def test_month_left_in_only_one_store_expires(world: World, where: str) -> None:
    world.load("weather", OLDEST)
    world.at(DECEMBER)
    if where == "raw":
        world.cache.drop_month(Month.parse(OLDEST))
    else:
        drop_raw(world, Month.parse(OLDEST))
    held = take_inventory(world.database, world.archive, world.cache)
    assert Month.parse(OLDEST) in getattr(held, where)
    assert held.expired(world.window) == [Month.parse(OLDEST)]


def expired_by_halves(world: World) -> None:
    """An oldest month of two datasets that has left the window, and its replacement."""
    world.load("weather", OLDEST, "2026-10")
    world.load("traffic", OLDEST)
    world.at(DECEMBER)
    world.load("weather", NEWEST)
    world.load("traffic", NEWEST)


def audit(world: World) -> list[tuple[str, str, str, bool]]:
    lines = read_audit(world.database, ("tables", "versions", "raw", "cache"))
    return [(line["place"], line["dataset"], str(line["month"]), line["finished_at"] is not None) for line in lines]


@pytest.mark.parametrize("broken", ["first raw folder", "second raw folder", "tables"])
def test_failed_expiry_resumes_at_the_failed_step(world: World, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expired_by_halves(world)
    newer = world.rows("weather", "2026-10")
    real = RawArchive.drop

    def refuse(archive: RawArchive, dataset: str, city_id: str, month: Month) -> None:
        if (dataset == "traffic") == (broken == "first raw folder"):
            raise OSError(f"{dataset}: the disk says no")
        real(archive, dataset, city_id, month)

    with monkeypatch.context() as patch, psycopg.connect(world.database_url) as reader:
        if broken == "tables":
            reader.execute("SELECT count(*) FROM city_weather_data")
            patch.setattr(partitions, "drop_month", partial(partitions.drop_month, lock_timeout_s=0.05, retries=1))
        else:
            patch.setattr(RawArchive, "drop", refuse)
        job = defs().resolve_job_def(EXPIRE_JOB)
        result = job.execute_in_process(instance=world.instance, raise_on_error=False)
        reader.rollback()
    assert not result.success
    half = audit(world)
    finished_steps = {"first raw folder": 3, "second raw folder": 4, "tables": 4}
    assert len(half) == finished_steps[broken]
    assert [finished for *_, finished in half] == [True] * (len(half) - 1) + [broken == "tables"]
    assert world.entry("weather", OLDEST) is not None  # the tables go last
    months, why = due_for_expiry(world.database, world.archive, world.cache, world.feeds, world.window)
    assert (months, why) == ([Month.parse(OLDEST)], "older than 2024-12")

    run_expiry(world)
    held = take_inventory(world.database, world.archive, world.cache)
    assert held.expired(world.window) == []
    whole = [line for line in audit(world) if line[3]]
    assert sorted(set(whole)) == sorted(
        {
            (place, name, OLDEST, True)
            for place in ("cache", "raw", "tables", "versions")
            for name in ("traffic", "weather")
        }
    )
    assert world.rows("weather", "2026-10") == newer


def test_month_only_in_the_ledger_expires_and_is_audited(world: World) -> None:
    month = Month.parse(OLDEST)
    record_state(world.database, "madrid", "weather", month, "not_available", at=DECEMBER)
    world.at(DECEMBER)
    assert due_for_expiry(world.database, world.archive, world.cache, world.feeds, world.window)[0] == [month]
    run_expiry(world)
    assert audit(world) == [("tables", "weather", OLDEST, True)]
    assert take_inventory(world.database, world.archive, world.cache).expired(world.window) == []


def test_raw_files_without_a_ledger_row_wait_for_their_replacement(world: World) -> None:
    world.load("weather", OLDEST)
    drop_month(world.database, Month.parse(OLDEST))
    world.cache.drop_month(Month.parse(OLDEST))
    world.at(DECEMBER)
    months, why = due_for_expiry(world.database, world.archive, world.cache, world.feeds, world.window)
    assert months == []
    assert f"weather/madrid {NEWEST}" in why
    run_expiry(world, force=True)
    assert world.archive.months() == []
    line = read_audit(world.database, ("raw",))[-1]
    assert (line["why"], line["city_id"], line["finished_at"] is not None) == ("forced", "madrid", True)
    assert line["items"] >= 4  # three stations and a manifest
    assert line["bytes"] > 1000


def test_rows_without_a_ledger_row_are_dropped_and_audited(world: World) -> None:
    world.load("weather", OLDEST)
    with psycopg.connect(world.database_url) as connection:
        connection.execute("DELETE FROM city_month")
    assert drop_month(world.database, Month.parse(OLDEST), why="by hand") == 30
    lines = read_audit(world.database, ("tables", "versions"))
    assert [(line["place"], line["items"], line["why"]) for line in lines] == [
        ("tables", 30, "by hand"),
        ("versions", 1, "by hand"),
    ]
    assert lines[1]["bytes"] > 500
