"""One month through every state, by an injected clock and a source that publishes late, then revises.

At each step the ledger, the reader, `city-data status` and Dagster must agree.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from rich.console import Console
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cli.progress import entries_of
from city_data.cli.status import print_months
from city_data.datasets import DatasetName
from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.resources import DatabaseResource
from city_data.store.ledger import record_state
from city_data.window import Month, Window
from city_data_tests.world import World

MONTH = Month(2026, 9)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CLOSED = datetime(2026, 10, 1, 2, tzinfo=UTC)
NO_DATA = '{"descripcion": "No hay datos que satisfagan esos criterios", "estado": 404}'
MADRID: dict[str, object] = {
    "city_id": "madrid",
    "name": "Madrid",
    "country": "ES",
    "latitude": 40.4168,
    "longitude": -3.7038,
    "radius_km": 30,
    "timezone": "Europe/Madrid",
    "enabled": True,
}
SOURCES: dict[str, dict[str, object]] = {
    "weather": {
        "provider": "aemet",
        "settings": {"stations": ["3195", "3129"]},
        "fallback": {"provider": "open_meteo"},
    },
    "traffic": {"provider": "madrid_opendata"},
}


@dataclass
class Life:
    """The month of one dataset, as shown by ledger, reader, status and Dagster."""

    world: World
    dataset: DatasetName
    reader: TestClient
    definitions: dict[Window, dg.Definitions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing else is due: Dagster would resolve a run request for each month of the window at every tick."""
        self.world.write_cities([MADRID | {self.dataset: SOURCES[self.dataset]}])
        for month in Month(2024, 9).until(Month(2027, 2)):
            if month != MONTH:
                record_state(self.world.database, "madrid", self.dataset, month, "not_available", at=CLOSED)

    def key(self, step: str) -> dg.AssetKey:
        return dg.AssetKey([step, self.dataset, "madrid"])

    def tick(self, schedule: str, at: datetime, succeeds: bool = True) -> bool:
        """Evaluate a schedule's tick, and execute its runs for this month; returns whether there was one.

        Dagster counts partitions from the tick's time, and the window has its own clock: the tick's is the real one.
        """
        self.world.at(at)
        window = self.world.window
        if window not in self.definitions:
            self.definitions[window] = defs()
        definitions = self.definitions[window]
        repository = definitions.get_repository_def()
        with dg.build_schedule_context(
            instance=self.world.instance,
            scheduled_execution_time=datetime.now(UTC),
            repository_def=repository,
            resources={"database": DatabaseResource()},
        ) as context:
            opened = context.instance  # the context keeps only a weak reference to it
            requests = repository.get_schedule_def(schedule).evaluate_tick(context).run_requests or []
            assert opened is not None
        mine = [r for r in requests if r.partition_key == str(MONTH) and r.asset_selection[0] == self.key("raw")]  # type: ignore[index]
        for request in mine:
            result = definitions.resolve_job_def(MONTHS_JOB).execute_in_process(
                partition_key=request.partition_key,
                asset_selection=list(request.asset_selection or []),
                run_config=request.run_config,
                instance=self.world.instance,
                tags=dict(request.tags),
                raise_on_error=False,
            )
            assert result.success == succeeds
        return bool(mine)

    def ledger(self) -> tuple[str, int | None, str | None]:
        entry = self.world.entry(self.dataset, str(MONTH))
        assert entry is not None
        return entry.state, entry.version, entry.recheck

    def api(self) -> tuple[str, int | None, str | None]:
        metadata = self.reader.get("/api/v1/cities/madrid/data-availability").json()["months"][self.dataset]
        (month,) = [month for month in metadata if month["month"] == str(MONTH)]
        return month["state"], month["version"], month["recheck"]

    def status(self) -> tuple[str, int | None, str | None]:
        text = io.StringIO()
        console = Console(file=text, width=200)
        feeds = [self.world.feed(self.dataset)]
        print_months(console, feeds, [MONTH], self.world.window.open, entries_of(feeds))
        (line,) = [line for line in text.getvalue().splitlines() if f" {MONTH} " in line]
        _, _, state, _, _, version, _, rechecked, *_ = (cell.strip() for cell in line.split("│"))
        return state, int(version) if version else None, rechecked.partition(" ")[2] or None

    def dagster(self) -> tuple[str, int | None, str | None]:
        """From the newest materialization of the month, where there is one, and its newest recheck."""
        records = dg.AssetRecordsFilter(asset_key=self.key("monthly"), asset_partitions=[str(MONTH)])
        materializations = self.world.instance.fetch_materializations(records, limit=1).records
        raw_records = dg.AssetRecordsFilter(asset_key=self.key("raw"), asset_partitions=[str(MONTH)])
        observations = self.world.instance.fetch_observations(raw_records, limit=1).records
        metadata = _metadata(materializations)
        return (
            str(metadata["state"]) if metadata else "not_yet_published",
            int(metadata["version"]) if metadata else None,
            _metadata(observations).get("recheck"),
        )

    def check(self, name: str) -> bool:
        """Whether the newest run of a check of the month passed."""
        key = dg.AssetCheckKey(self.key("monthly"), name)
        records = self.world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        evaluation = records[0].event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
        assert evaluation.partition == str(MONTH)
        return evaluation.passed

    def all_say(self, state: str, version: int | None, recheck: str | None = None) -> None:
        expected = (state, version, recheck)
        assert self.ledger() == expected
        assert self.api() == expected
        assert self.status() == expected
        assert self.dagster() == expected


def _metadata(records: Any) -> dict[str, Any]:
    if not records:
        return {}
    event = (
        records[0].asset_materialization
        or records[0].event_log_entry.dagster_event.asset_observation_data.asset_observation
    )
    return {name: value.value for name, value in event.metadata.items()}


@contextmanager
def reader(world: World) -> Iterator[TestClient]:
    settings = Settings.model_validate({"database_url": world.database_url, "api_ledger_ttl_s": 0})
    with TestClient(create_app(settings)) as client:
        yield client


@pytest.mark.parametrize(("dataset", "recheck"), [("traffic", "revised"), ("weather", "fetched")])
def test_ledger_reader_status_and_dagster_agree_in_every_state(
    world: World, dataset: DatasetName, recheck: str
) -> None:
    publication = world.sandbox.publication
    publication.unpublished = {MONTH}
    with reader(world) as client:
        life = Life(world, dataset, client)

        assert life.tick("month_closed", CLOSED)
        life.all_say("not_yet_published", None)

        publication.unpublished = set()  # six days late
        published = CLOSED + 7 * DAY
        assert life.tick("refresh_unsettled", published)
        life.all_say("provisional", 1)
        first = world.rows(dataset, str(MONTH))
        assert not life.tick("refresh_unsettled", published + HOUR)  # asked within the day

        assert life.tick("refresh_unsettled", published + DAY)
        life.all_say("settled", 1)
        assert life.check("revision")
        assert not life.tick("refresh_unsettled", published + 2 * DAY)
        assert not life.tick("recheck_settled", published + 8 * DAY)  # looked at within four weeks

        unchanged = published + 30 * DAY
        assert life.tick("recheck_settled", unchanged)
        life.all_say("settled", 1, "unchanged" if recheck == "revised" else "fetched")
        assert not life.tick("recheck_settled", unchanged + 7 * DAY)
        assert world.rows(dataset, str(MONTH)) == first

        publication.revisions = {MONTH: 1}
        revised = unchanged + 28 * DAY
        assert life.tick("recheck_settled", revised)
        life.all_say("provisional", 2, recheck)
        assert not life.check("revision")
        second = world.rows(dataset, str(MONTH))
        assert second != first

        assert life.tick("refresh_unsettled", revised + DAY)
        life.all_say("settled", 2, recheck)
        assert world.rows(dataset, str(MONTH)) == second
        assert not life.tick("refresh_unsettled", revised + 2 * DAY)


def test_second_revision_restarts_the_wait_and_a_failed_recheck_is_repeated(world: World, no_waiting: None) -> None:
    publication = world.sandbox.publication
    with reader(world) as client:
        life = Life(world, "traffic", client)
        assert life.tick("refresh_unsettled", CLOSED + 50 * DAY)
        life.all_say("settled", 1)  # lag and settling time had passed
        publication.revisions = {MONTH: 1}
        late = CLOSED + 80 * DAY
        assert life.tick("recheck_settled", late)
        publication.revisions = {MONTH: 2}
        assert life.tick("refresh_unsettled", late + DAY)
        life.all_say("provisional", 3, "revised")
        assert life.tick("refresh_unsettled", late + 2 * DAY)
        life.all_say("settled", 3, "revised")

        world.sandbox.faults.order("package_show", status=503)
        assert life.tick("recheck_settled", late + 40 * DAY, succeeds=False)
        entry = world.entry("traffic", str(MONTH))
        assert entry is not None
        assert (entry.state, entry.version) == ("settled", 3)
        assert "503" in str(entry.last_error)
        world.sandbox.faults.clear()
        assert life.tick("recheck_settled", late + 47 * DAY)
        life.all_say("settled", 3, "unchanged")


@pytest.mark.parametrize("dataset", ["traffic", "weather"])
def test_month_withdrawn_by_its_source_is_kept_without_the_fallback(world: World, dataset: DatasetName) -> None:
    with reader(world) as client:
        life = Life(world, dataset, client)
        assert life.tick("refresh_unsettled", CLOSED + 50 * DAY)
        rows = world.rows(dataset, str(MONTH))
        if dataset == "traffic":
            world.sandbox.publication.unpublished = {MONTH}
        else:
            world.sandbox.faults.order("/diarios/", body=NO_DATA)
        assert life.tick("recheck_settled", CLOSED + 80 * DAY)
        life.all_say("settled", 1, "withdrawn")
        assert world.rows(dataset, str(MONTH)) == rows
        assert not life.tick("recheck_settled", CLOSED + 87 * DAY)
