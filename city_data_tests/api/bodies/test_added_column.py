"""A column added to or removed from a dataset: months stored before, in every format and in old versions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from starlette.testclient import TestClient

from city_data.columns import Column
from city_data.datasets import DATASETS, DatasetName
from city_data.frames import canonical
from city_data.store.database import Database
from city_data.store.months import MonthLoad, replace_month
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.api.conftest import HERE, LOADED, TENANT, TRAFFIC, WEATHER, ZONE, Load, MakeClient, month_load
from city_data_tests.api.rows import MEDIA, rows_of
from city_data_tests.columns import add_column, remove_column

PATHS: dict[DatasetName, str] = {"traffic": TRAFFIC, "weather": WEATHER}
ADDED: dict[DatasetName, tuple[Column, Column]] = {
    "traffic": (
        Column("noise", "number", "dB", "Mean noise", 0, 150),
        Column("closures", "text", None, "Closed roads"),
    ),
    "weather": (Column("visibility", "number", "m", "Mean visibility", 0), Column("alert", "text", None, "A warning")),
}
NAMES = {name: tuple(column.name for column in columns) for name, columns in ADDED.items()}
RANGE = HERE | {"start_date": "2025-10-05", "end_date": "2025-11-12"}
AVAILABILITY = "/api/v1/cities/madrid/data-availability"
FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"


def with_values(load: MonthLoad) -> MonthLoad:
    """The month with a value in every added column and row."""
    number, text = NAMES[load.dataset]
    return replace(
        load, frame=canonical.canonical_frame(load.frame.assign(**{number: 7.5, text: "x"}), DATASETS[load.dataset])
    )


@pytest.fixture
def old_snapshots(make_client: MakeClient, load: Load, redis_url: str) -> dict[DatasetName, str]:
    """The ids of October's first version, which Redis has and a later load replaced."""
    client, ids = make_client(redis_url=redis_url), dict[DatasetName, str]()
    for name, path in PATHS.items():
        load(name, "2025-10")
        for encoding in ("gzip", "zstd"):
            response = client.get(path, params=RANGE, headers={"Accept-Encoding": encoding})
            whole = RANGE | {"start_date": "2025-10-01"}
            assert client.get(path, params=whole, headers={"Accept-Encoding": encoding}).status_code == 200
        ids[name] = response.headers["X-Snapshot-Id"]
        load(name, "2025-10", at=LOADED + timedelta(days=1), add=5.0)
    return ids


@pytest.fixture
def added(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, old_snapshots: dict[DatasetName, str]
) -> dict[DatasetName, str]:
    """The next release: two columns more in each dataset, and November has values in them."""
    for name, columns in ADDED.items():
        for column in columns:
            add_column(monkeypatch, database_url, name, column)
        replace_month(database, with_values(month_load(name, "2025-11")))
    return old_snapshots


def answer(client: TestClient, dataset: DatasetName, kind: str, **query: str) -> list[dict[str, Any]]:
    response = client.get(PATHS[dataset], params=RANGE | {"format": kind} | query)
    assert response.status_code == 200, response.text
    return rows_of(kind, response.content)


def values_of(rows: list[dict[str, Any]], dataset: DatasetName) -> tuple[set[Any], set[Any]]:
    """The values of the added columns in October, and in November."""
    values: tuple[set[Any], set[Any]] = (set(), set())
    for row in rows:
        values[str(row["date"]) >= "2025-10-31 23"].update((name, row[name]) for name in NAMES[dataset])
    return values


QUERIES: tuple[dict[str, str], ...] = ({}, {"columns": "new"}, {"include": "raw"}, {"resolution": "daily"})


@pytest.mark.parametrize("dataset", PATHS)
def test_months_stored_before_have_null_in_the_column_in_every_format(
    make_client: MakeClient, added: dict[DatasetName, str], redis_url: str, dataset: DatasetName
) -> None:
    number, text = NAMES[dataset]
    first = DATASETS[dataset].columns[0].name
    clients = [make_client(), make_client(redis_url=redis_url)]
    for query, kind, client in product(QUERIES, MEDIA, clients):
        if dataset == "weather":  # stored in days as it is
            query = {name: word for name, word in query.items() if name != "resolution"}
        query = {name: f"{number},{text}" if value == "new" else value for name, value in query.items()}
        rows = answer(client, dataset, kind, **query)
        texts = None if "resolution" in query else "x"  # texts are null in daily records
        if kind == "csv":
            for row in rows:
                row[number] = None if row[number] is None else float(row[number])
        values = ({(number, None), (text, None)}, {(number, 7.5), (text, texts)})
        assert values_of(rows, dataset) == values, (query, kind)
        assert {len(row) for row in rows} == {len(rows[0])}
        assert first not in rows[0] or len({row[first] for row in rows}) > 10


@pytest.mark.parametrize("dataset", PATHS)
def test_an_old_version_stays_readable_and_has_the_same_bytes_everywhere(
    make_client: MakeClient, added: dict[DatasetName, str], redis_url: str, dataset: DatasetName
) -> None:
    clients = [make_client(), make_client(redis_url=redis_url), make_client(redis_url=redis_url)]
    for kind, encoding in product(MEDIA, ("identity", "gzip", "zstd")):
        query = RANGE | {"version": added[dataset], "format": kind}
        headers = {"Accept-Encoding": encoding}
        answers = [client.get(PATHS[dataset], params=query, headers=headers) for client in clients]
        assert [one.status_code for one in answers] == [200, 200, 200]
        assert len({(one.content, one.headers["ETag"]) for one in answers}) == 1
        assert answers[0].headers["X-Snapshot-Id"] == added[dataset]
        rows = rows_of(kind, answers[0].content)
        assert {row[name] for row in rows for name in NAMES[dataset]} == {None}
        numbers = [row[DATASETS[dataset].columns[0].name] for row in rows]
        assert numbers[0] == (4.0 if dataset == "weather" else 96.0)  # the first version's, not the second's


def test_etag_changes_with_the_columns(
    make_client: MakeClient, load: Load, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PATHS:
        load(name, "2025-10")
    paths = [*PATHS.values(), FRAME]
    before = [make_client().get(path, params=RANGE) for path in paths]
    for name, columns in ADDED.items():
        add_column(monkeypatch, database_url, name, columns[0])
    for path, old in zip(paths, before, strict=True):
        new = make_client().get(path, params=RANGE, headers={"If-None-Match": old.headers["ETag"]})
        assert (new.status_code, new.headers["ETag"] != old.headers["ETag"]) == (200, True)
        assert new.headers["X-Snapshot-Id"] == old.headers["X-Snapshot-Id"]


@pytest.mark.parametrize("resolution", ["daily", "hourly"])
def test_the_training_frame_masks_the_column_where_it_was_not_stored(
    make_client: MakeClient, added: dict[DatasetName, str], resolution: str
) -> None:
    client = make_client()
    for kind in MEDIA:
        query = RANGE | {"resolution": resolution, "format": kind}
        response = client.get(FRAME, params=query)
        assert response.status_code == 200, response.text
        rows = rows_of(kind, response.content)
        for name in ("noise", "visibility"):
            known = {str(row["local_date"])[:7] for row in rows if str(row[f"{name}_missing"]).lower() == "false"}
            assert known == {"2025-11"}, name
            assert {row[name] in (None, "") for row in rows if str(row["local_date"]) < "2025-11"} == {True}
        old = client.get(FRAME, params=query | {"version": added["traffic"]})
        assert old.status_code == 422  # of traffic alone: a frame's snapshot has both


def test_coverage_of_a_month_stored_before_expects_no_value_in_the_column(
    make_client: MakeClient, load: Load, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = {"expected": [24] * 31, "observed": {"traffic_volume": [20] * 31, "average_speed": [24] * 31}}
    replace_month(database, replace(month_load("traffic", "2025-10"), days=days))
    add_column(monkeypatch, database_url, "traffic", ADDED["traffic"][0])
    remove_column(monkeypatch, "traffic", "average_speed")
    (month,) = make_client().get(AVAILABILITY, params={"days": "true"}).json()["months"]["traffic"]
    assert month["columns"]["noise"] == {"expected": 0, "observed": 0, "percent": None}
    assert "average_speed" not in month["columns"]
    assert {tuple(day["columns"]) for day in month["days"]} == {("traffic_volume",)}


def test_month_without_values_in_the_column_is_not_a_new_version(
    added: dict[DatasetName, str], database: Database, load: Load
) -> None:
    for name in PATHS:
        again = load(name, "2025-10", at=LOADED + timedelta(days=2), add=5.0)
        assert (again.version, again.changed) == (2, False)
        later = month_load(name, "2025-10", LOADED + timedelta(days=3), 5.0)
        assert replace_month(database, with_values(later)).changed


@pytest.mark.parametrize("resolution", ["native", "daily"])
def test_removed_column_is_omitted_from_months_that_store_it(
    make_client: MakeClient, load: Load, monkeypatch: pytest.MonkeyPatch, resolution: str
) -> None:
    load("traffic", "2025-10")
    snapshot = make_client().get(TRAFFIC, params=RANGE).headers["X-Snapshot-Id"]
    remove_column(monkeypatch, "traffic", "congestion_level")
    client = make_client()
    for kind, query in product(MEDIA, ({}, {"version": snapshot})):
        rows = answer(client, "traffic", kind, resolution=resolution, **query)
        assert len(rows) == (27 if resolution == "daily" else 27 * 24 + 1)
        assert "congestion_level" not in rows[0]
        assert "average_speed" in rows[0]
        assert client.get(FRAME, params=RANGE | {"format": kind}).status_code == 200


def test_the_table_reads_back_with_the_column(added: dict[DatasetName, str], database: Database) -> None:
    for month, known in ((Month(2025, 10), 0), (Month(2025, 11), 720)):
        series = read_series(database, "traffic", "madrid", *month.bounds(ZONE))
        assert series["noise"].notna().sum() == known
