"""One month's life in tests: schedules ticked by an injected clock, and the month as ledger, reader, status and Dagster
show it.

Belongs here: ticking and reading. Does not: any test.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from rich.console import Console
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cli.progress import entries_of
from city_data.cli.status import print_months
from city_data.datasets import DATASETS, DatasetName
from city_data.definitions import defs
from city_data.defs.keys import MONTHS_JOB
from city_data.defs.resources import DatabaseResource
from city_data.store.ledger import record_state
from city_data.window import Month, Window
from city_data_tests.world import World, shipped

MONTH = Month(2026, 9)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Months checked in the future are due at no tick of these tests.
NEVER_DUE = datetime(2028, 1, 1, tzinfo=UTC)
CLOSED = datetime(2026, 10, 1, 2, tzinfo=UTC)
NO_DATA = '{"descripcion": "No hay datos que satisfagan esos criterios", "estado": 404}'
# As it is shipped, without its sources.
MADRID = {key: value for key, value in shipped()[0].items() if key not in DATASETS}
SOURCES: dict[str, dict[str, object]] = {
    "weather": {
        "provider": "aemet",
        "settings": {"stations": ["3195", "3129"]},
        "fallback": {"provider": "open_meteo"},
    },
    "traffic": {"provider": "madrid_opendata"},
    "calendar": {
        "provider": "openholidays",
        "settings": {"school_file": "es/holidays/holidays.school.md.csv", "subdivision": "MD"},
    },
    "forecast": {"provider": "open_meteo_forecast"},
}


@dataclass
class Life:
    """The month of one dataset, as shown by ledger, reader, status and Dagster."""

    world: World
    dataset: DatasetName
    reader: TestClient
    source: dict[str, object] | None = None
    definitions: dict[Window, dg.Definitions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing else is due: Dagster would resolve a run request for each month of the window at every tick."""
        self.world.write_cities([MADRID | {self.dataset: self.source or SOURCES[self.dataset]}])
        for month in Month(2024, 9).until(Month(2027, 2)):
            if month != MONTH:
                record_state(self.world.database, "madrid", self.dataset, month, "not_available", at=NEVER_DUE)

    def key(self, step: str) -> dg.AssetKey:
        return dg.AssetKey(["madrid", f"{self.dataset}_{step}"])

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
        console = Console(file=text, width=400)
        feeds = [self.world.feed(self.dataset)]
        print_months(console, feeds, [MONTH], self.world.window.open, entries_of(feeds))
        (line,) = [line for line in text.getvalue().splitlines() if line.startswith(str(MONTH))]
        shown = re.match(r"\S+ +(?P<state>\w+)(?: +[\d.]+% +\d+ of \d+ +(?P<version>\d+))?", line)
        assert shown is not None
        rechecked = re.search(r"rechecked \S+: (\w+)", line)
        version = shown["version"]
        return shown["state"], int(version) if version else None, rechecked[1] if rechecked else None

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

    def check(self, name: str, step: str = "monthly") -> bool:
        """Whether the newest run of a check of the month passed."""
        key = dg.AssetCheckKey(self.key(step), name)
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
