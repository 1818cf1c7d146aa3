"""A whole platform in one test process: real PostgreSQL, Redis and Dagster instance, the sandbox, a settable clock.

Belongs here: fixtures of the end-to-end tests. Does not: any test.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.runs.schema import RunsTable

from city_data.cities import DEFAULT_FILE, load_registry
from city_data.datasets import DATASETS, DatasetName
from city_data.definitions import defs, month_job
from city_data.operations import backfill
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.sandbox import Sandbox
from city_data.store.cache import Cache
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, read_months
from city_data.store.raw import RawArchive
from city_data.store.series import read_series
from city_data.window import Month, Window, as_of, rolling_window

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)


@dataclass
class World:
    """`at` moves the sandbox and the platform together. Madrid alone is enabled, until `enable` says otherwise. Cities
    have their sources of days that have passed; `write_cities(shipped())` gives them all."""

    sandbox: Sandbox
    database: Database
    database_url: str
    redis_url: str
    open_instance: Callable[[], dg.DagsterInstance]
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's, with a database of its own, from its first use on: many tests have no runs."""
        return self.open_instance()

    @property
    def dagster_home(self) -> str:
        """The folder of its dagster.yaml."""
        return self.instance.root_directory

    def at(self, moment: datetime) -> None:
        self.monkeypatch.setenv("CITY_DATA_AS_OF", moment.isoformat())
        self.sandbox.publication.clock = lambda: moment

    def enable(self, *city_ids: str) -> None:
        self.monkeypatch.setenv("ENABLED_CITIES", ",".join(city_ids))

    @property
    def window(self) -> Window:
        return rolling_window(as_of())

    @property
    def feeds(self) -> list[Feed]:
        return enabled_feeds(load_registry())

    def feed(self, dataset: DatasetName, city_id: str = "madrid") -> Feed:
        return next(f for f in self.feeds if f.dataset.name == dataset and f.city.city_id == city_id)

    def load(self, dataset: DatasetName, *months: str, city_id: str = "madrid") -> list[backfill.Done]:
        """Ordinary Dagster runs, one a month."""
        feed = self.feed(dataset, city_id)
        return list(backfill.materialize(month_job, self.instance, [(feed, Month.parse(month)) for month in months]))

    def entry(self, dataset: DatasetName, month: str, city_id: str = "madrid") -> MonthEntry | None:
        at = Month.parse(month)
        entries = read_months(self.database, city_id=city_id, dataset=dataset, first=at, last=at)
        return entries[0] if entries else None

    def rows(self, dataset: DatasetName, month: str, city_id: str = "madrid") -> str:
        """A month's rows as they are served, as text, for comparing byte for byte."""
        start, end = Month.parse(month).bounds(self.feed(dataset, city_id).city.timezone)
        return str(read_series(self.database, dataset, city_id, start, end).to_json(date_format="iso"))

    @property
    def archive(self) -> RawArchive:
        return RawArchive(str(self.folder / "raw"))

    @property
    def cache(self) -> Cache:
        return Cache(self.redis_url, timeout_s=1)

    def write_cities(self, entries: Sequence[dict[str, object]]) -> None:
        """Point the registry to a file of these entries."""
        file = self.folder / "cities.yaml"
        file.write_text(yaml.safe_dump({"cities": list(entries)}))
        self.monkeypatch.setenv("CITY_DATA_CITIES", str(file))
        self.monkeypatch.delenv("ENABLED_CITIES", raising=False)


@cache
def _shipped_text() -> str:
    return DEFAULT_FILE.read_text(encoding="utf-8")


def shipped() -> list[dict[str, Any]]:
    """The entries of the shipped registry."""
    entries: list[dict[str, Any]] = yaml.safe_load(_shipped_text())["cities"]
    return entries


def of_the_past() -> list[dict[str, Any]]:
    """The shipped entries without the datasets that reach ahead: most rules are the same for any number of datasets."""
    ahead = {name for name, dataset in DATASETS.items() if dataset.months_ahead}
    return [{key: value for key, value in entry.items() if key not in ahead} for entry in shipped()]


def queue_run(
    instance: dg.DagsterInstance,
    job_name: str,
    tags: dict[str, str] | None = None,
    asset_selection: frozenset[dg.AssetKey] | None = None,
    definitions: dg.Definitions | None = None,
) -> dg.DagsterRun:
    """A run in the queue, as the daemon sees it: only a job of a code location can be queued."""
    location, pointer = (
        RegisteredCodeLocationOrigin("city_data"),
        ModuleCodePointer("city_data.definitions", "repository"),
    )
    return instance.create_run_for_job(
        (definitions or defs()).resolve_job_def(job_name),
        status=dg.DagsterRunStatus.QUEUED,
        tags=tags or {},
        asset_selection=asset_selection,
        remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name),
        job_code_origin=JobPythonOrigin(job_name, RepositoryPythonOrigin(sys.executable, pointer)),
    )


def age_run(instance: dg.DagsterInstance, run_id: str, seconds: float) -> None:
    """Let a run have been created so many seconds earlier."""
    created = RunsTable.c.create_timestamp
    earlier = RunsTable.update().where(RunsTable.c.run_id == run_id)
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        connection.execute(earlier.values(create_timestamp=created - timedelta(seconds=seconds)))


def environment(folder: Path, sandbox: Sandbox, database_url: str, redis_url: str) -> dict[str, str]:
    """The variables of a deployment of Madrid alone."""
    return {
        "CITY_DATA_AS_OF": AS_OF.isoformat(),
        "CITY_DATA_DATABASE_URL": database_url,
        "CITY_DATA_REDIS_URL": redis_url,
        "CITY_DATA_RAW_URL": str(folder / "raw"),
        "CITY_DATA_ROUTES": json.dumps(sandbox.routes),
        "AEMET_API_KEY": "good",
        "AUTH_MODE": "none",
        "ENABLED_CITIES": "madrid",
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }
