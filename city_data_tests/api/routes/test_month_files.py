"""A file for each month: its index, caching, ranges, and readers of Hive partitions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import urljoin

import duckdb
import httpx
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from city_data_tests.api.conftest import HERE, TRAFFIC, Load, MakeClient
from city_data_tests.api.readers import Web
from city_data_tests.api.sockets import serving

FILES = "/api/v1/cities/madrid/traffic"
OCTOBER = f"{FILES}/month=2025-10/data.parquet"
IMMUTABLE = "private, max-age=31536000, immutable"


@pytest.fixture
def reader(make_client: MakeClient, load: Load) -> TestClient:
    for month in ("2025-10", "2025-11", "2025-12"):
        load("traffic", month)
    return make_client()


def test_file_has_the_records_of_the_same_range(reader: TestClient) -> None:
    file = reader.get(OCTOBER)
    query = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31", "format": "parquet"}
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/vnd.apache.parquet")
    assert pq.read_table(io.BytesIO(file.content)).equals(
        pq.read_table(io.BytesIO(reader.get(TRAFFIC, params=query).content))
    )
    assert file.headers["X-City-Id"] == "madrid"
    assert reader.head(OCTOBER).headers["Content-Length"] == str(len(file.content))


def test_index_names_files_that_never_change(reader: TestClient, load: Load) -> None:
    files = reader.get(f"{FILES}/files").json()
    assert [(file["month"], file["rows"]) for file in files] == [("2025-10", 745), ("2025-11", 720), ("2025-12", 744)]
    first = reader.get(files[0]["path"])
    assert (first.status_code, first.headers["Cache-Control"]) == (200, IMMUTABLE)
    assert first.headers["X-Snapshot-Id"] == files[0]["snapshot_id"]
    current = reader.get(OCTOBER)
    assert (current.content, current.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert "immutable" not in current.headers["Cache-Control"]
    load("traffic", "2025-10", add=5.0)
    again, changed = reader.get(files[0]["path"]), reader.get(OCTOBER)
    assert (again.content, again.headers["ETag"]) == (first.content, first.headers["ETag"])
    assert changed.headers["ETag"] != first.headers["ETag"]
    paths = [file["path"] for file in reader.get(f"{FILES}/files").json()]
    assert paths[0] != files[0]["path"]
    assert paths[1:] == [file["path"] for file in files[1:]]


def test_file_answers_ranges_and_known_tags(reader: TestClient) -> None:
    whole = reader.get(OCTOBER)
    tag = whole.headers["ETag"]
    part = reader.get(OCTOBER, headers={"Range": "bytes=-8", "If-Range": tag})
    assert (part.status_code, part.content) == (206, whole.content[-8:])
    assert reader.get(OCTOBER, headers={"Range": "bytes=-8", "If-Range": '"other"'}).content == whole.content
    assert reader.get(OCTOBER, headers={"If-None-Match": tag}).status_code == 304
    assert reader.get(OCTOBER, headers={"Range": "bytes=99999999-"}).status_code == 416


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (f"{FILES}/month=2024-01/data.parquet", 404, "there are months from 2025-10 to 2025-12"),
        ("/api/v1/cities/madrid/weather/month=2025-10/data.parquet", 404, "there is no month yet"),
        ("/api/v1/cities/paris/traffic/month=2025-10/data.parquet", 404, "enabled: madrid"),
        ("/api/v1/cities/paris/traffic/files", 404, "enabled: madrid"),
        ("/api/v1/cities/madrid/noise/files", 422, "weather"),
        (f"{FILES}/month=2025-13/data.parquet", 422, "month"),
        (f"{OCTOBER}?version=x", 422, "not a snapshot id"),
        (f"{OCTOBER}?vresion=x", 422, "did you mean version?"),
    ],
)
def test_absent_file_is_named(reader: TestClient, path: str, status: int, words: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == status
    assert words in answer.text


@pytest.fixture
def urls(reader: TestClient) -> Iterator[list[str]]:
    with serving(reader.app) as port:
        base = f"http://127.0.0.1:{port}"
        yield [urljoin(base, file["path"]) for file in httpx.get(f"{base}{FILES}/files", timeout=60).json()]


def test_duckdb_reads_the_index_as_hive_partitions(urls: list[str]) -> None:
    with duckdb.connect() as connection:
        connection.register_filesystem(Web(block_size=4_096, cache_type="none"))
        query = "SELECT month, count(*) FROM read_parquet(?, hive_partitioning = true) GROUP BY month ORDER BY month"
        rows = connection.execute(query, [urls]).fetchall()
    assert [(str(month)[:7], count) for month, count in rows] == [("2025-10", 745), ("2025-11", 720), ("2025-12", 744)]


def test_polars_and_pandas_read_the_same_url(urls: list[str]) -> None:
    web = Web(block_size=4_096, cache_type="none")
    volume = pd.read_parquet(urls[0], filesystem=web, columns=["traffic_volume"])["traffic_volume"]
    by_polars = pl.scan_parquet(urls[0]).select("traffic_volume").collect()["traffic_volume"]
    assert by_polars.null_count() == volume.isna().sum() == 74
    assert by_polars.sum() == volume.sum()
