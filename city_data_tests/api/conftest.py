"""A reader over a real database with some months, whose values the tests know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.settings import Settings
from city_data.cities import load_registry
from city_data.datasets import DATASETS, DatasetName, expected_stamps
from city_data.frames import canonical
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.database import Database
from city_data.store.months import MonthLoad, Published, replace_month
from city_data.window import Month
from city_data_tests.calendar_months import calendar_frame
from city_data_tests.databases import fresh_database

ZONE = "Europe/Madrid"
LOADED = datetime(2026, 11, 1, 3, tzinfo=UTC)
TENANT = "00000000-0000-4000-8000-000000000001"
TRAFFIC = f"/api/v1/tenants/{TENANT}/external/operations/historical-traffic-optimized"
WEATHER = f"/api/v1/tenants/{TENANT}/external/operations/historical-weather-optimized"
HERE = {"latitude": "40.42", "longitude": "-3.70"}
if TYPE_CHECKING:
    from city_data_tests.api.locked import MakeReader

Load = Callable[..., Published]
MakeClient = Callable[..., TestClient]


def month_load(
    dataset: DatasetName, month: str, at: datetime = LOADED, add: float = 0.0, has_feasts: bool = True
) -> MonthLoad:
    """Every row of the month: numbers count up from `add`, and every tenth value is missing. A calendar is Madrid's,
    without `has_feasts` one that does not know the town's."""
    at_month, known = Month.parse(month), DATASETS[dataset]
    stamps = expected_stamps(at_month, ZONE, known.resolution or "daily")
    keys = [(stamp, *others) for stamp in stamps for others in known.key_values]
    first = known.column_names[0]
    if dataset == "calendar":
        frame = calendar_frame(load_registry().get("madrid"), at_month, has_feasts)
    else:
        numbers = [None if n % 10 == 9 else n + add for n in range(len(keys))]
        columns = {name: [key[n] for key in keys] for n, name in enumerate(known.key)}
        made = pd.DataFrame({**columns, "date": pd.DatetimeIndex(columns["date"]), first: numbers, "source": "test"})
        frame = canonical.canonical_frame(made, known)
    return MonthLoad(
        city_id="madrid",
        dataset=dataset,
        month=at_month,
        timezone=ZONE,
        frame=frame,
        state="settled",
        source="test",
        expected_rows=len(keys),
        coverage=0.9,
        column_coverage={first: 0.9},
        raw_files=[],
        rejected={},
        provenance={},
        code_version="1",
        run_id="test",
        attempt=1,
        fetched_at=at,
        at=at,
    )


@pytest.fixture
def load(database: Database) -> Load:
    def load_month(dataset: DatasetName, month: str, **changes: object) -> Published:
        return replace_month(database, month_load(dataset, month, **changes))  # type: ignore[arg-type]

    return load_month


def _serve_madrid(patch: pytest.MonkeyPatch) -> None:
    for name in ("CITY_DATA_CITIES", "CITY_DATA_REDIS_URL"):
        patch.delenv(name, raising=False)
    patch.setenv("ENABLED_CITIES", "madrid")


def _client(**settings: object) -> TestClient:
    known = {"api_ledger_ttl_s": 0, "auth_mode": "none", **settings}
    return TestClient(create_app(Settings.model_validate(known)), raise_server_exceptions=False)


@pytest.fixture
def make_client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    """A client of a new reader that serves Madrid only; keyword arguments override its settings."""
    _serve_madrid(monkeypatch)
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(_client(**{"database_url": database_url, **settings}))


@contextmanager
def shared_reader(postgres: EmbeddedPostgres, loads: Iterable[MonthLoad] = ()) -> Iterator[TestClient]:
    """A client of a reader of Madrid with these months, for many tests that change nothing: each start takes 0.2 s."""
    url = fresh_database(postgres)
    database = Database(url)
    for each in loads:
        replace_month(database, each)
    database.dispose()
    with pytest.MonkeyPatch.context() as patch:
        _serve_madrid(patch)
        client = _client(database_url=url)
    with client:
        yield client


@pytest.fixture(scope="session")
def empty_reader(postgres: EmbeddedPostgres) -> Iterator[TestClient]:
    """A reader over no months, for every test that loads none."""
    with shared_reader(postgres) as client:
        yield client


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()


@pytest.fixture
def make_reader(make_client: MakeClient, load: Load, tmp_path: Path) -> Iterator[MakeReader]:
    """As `locked_reader`, over a database with October and November."""
    from city_data_tests.api.locked import locked_reader

    for month in ("2025-10", "2025-11"):
        load("traffic", month)
        load("weather", month)
    with ExitStack() as stack:
        yield lambda *args, **changes: stack.enter_context(locked_reader(make_client, tmp_path, *args, **changes))
