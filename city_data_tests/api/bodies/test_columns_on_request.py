"""Columns that a record has on request alone: the usual records stay byte for byte, every format has the named ones."""

from __future__ import annotations

import io
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from city_data.datasets import DATASETS
from city_data.frames import canonical
from city_data.store.database import Database
from city_data.store.months import MonthLoad, replace_month
from city_data_tests.api.conftest import HERE, TENANT, MakeClient, month_load
from city_data_tests.api.conftest import WEATHER as PATH
from city_data_tests.api.rows import MEDIA, ON_REQUEST, rows_of

RANGE = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31"}
FILE = "/api/v1/cities/madrid/weather/month=2025-10/data.parquet"
FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
# The first record as it was before these columns.
FIRST = (
    b'[{"id":"384b2c30-fc14-5eed-a795-64c6c44245cd","location_id":"madrid_2025-10-01","date":"2025-09-30T22:00:00Z",'
    b'"temperature":0.0,"precipitation":null,"humidity":null,"wind_speed":null,"pressure":null,"description":null,'
    b'"source":"test","created_at":"2026-11-01T03:00:00Z","updated_at":"2026-11-01T03:00:00Z"}'
)


def with_values() -> MonthLoad:
    """The month with a value in each of these columns and rows."""
    load = month_load("weather", "2025-10")
    frame = load.frame.assign(**dict.fromkeys(ON_REQUEST, 7.5))
    return replace(load, frame=canonical.canonical_frame(frame, DATASETS["weather"]))


def test_usual_records_have_the_same_bytes_with_and_without_values_in_these_columns(
    make_client: MakeClient, database: Database
) -> None:
    replace_month(database, month_load("weather", "2025-10"))
    client = make_client()
    before = {kind: client.get(PATH, params=RANGE | {"format": kind}).content for kind in MEDIA}
    assert replace_month(database, with_values()).changed
    after = {kind: client.get(PATH, params=RANGE | {"format": kind}).content for kind in MEDIA}
    assert before == after
    assert before["json"].startswith(FIRST)


@pytest.mark.parametrize("kind", MEDIA)
def test_named_columns_are_sent_in_every_format(make_client: MakeClient, database: Database, kind: str) -> None:
    replace_month(database, with_values())
    client = make_client()
    named = ["temperature", "snowfall", "temperature_min"]
    rows = rows_of(kind, client.get(PATH, params=RANGE | {"format": kind, "columns": ",".join(named)}).content)
    assert list(rows[0]) == ["date", "temperature", "temperature_min", "snowfall"]
    assert {(row["temperature_min"], row["snowfall"]) for row in rows} == {(7.5, 7.5)}


def test_unknown_column_is_refused_with_the_names_of_all(make_client: MakeClient) -> None:
    response = make_client().get(PATH, params=RANGE | {"columns": "sunshine"})
    assert response.status_code == 422
    assert all(name in response.json()["detail"][0]["msg"] for name in ON_REQUEST)


def test_files_of_months_and_the_training_frame_have_every_column(make_client: MakeClient, database: Database) -> None:
    replace_month(database, with_values())
    client = make_client()
    file = pq.read_table(io.BytesIO(client.get(FILE).content))
    rows = client.get(FRAME, params=RANGE).json()
    for name in ON_REQUEST:
        assert set(file[name].to_pylist()) == {7.5}
        assert {(row[name], row[f"{name}_missing"]) for row in rows} == {(7.5, False)}
