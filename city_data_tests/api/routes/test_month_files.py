"""A file for each month: its index, caching, ranges, and readers of Hive partitions."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import duckdb
import httpx
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from city_data.datasets import WEATHER, DatasetName
from city_data.frames import canonical
from city_data.local.embedded import EmbeddedPostgres
from city_data_tests.api.conftest import HERE, TRAFFIC, Load, MakeClient, month_load, shared_reader
from city_data_tests.api.readers import READERS, CountedBytes, Web
from city_data_tests.api.sockets import serving

FILES = "/api/v1/cities/madrid/traffic"
OCTOBER = f"{FILES}/month=2025-10/data.parquet"
IMMUTABLE = "private, max-age=31536000, immutable"


MONTHS = ("2025-10", "2025-11", "2025-12")


@pytest.fixture(scope="module")
def reader(postgres: EmbeddedPostgres) -> Iterator[TestClient]:
    others: tuple[DatasetName, ...] = ("calendar", "forecast")
    loads = [*(month_load("traffic", month) for month in MONTHS), *(month_load(name, "2025-10") for name in others)]
    with shared_reader(postgres, loads) as client:
        yield client


def test_file_has_the_records_of_the_same_range(reader: TestClient) -> None:
    file = reader.get(OCTOBER)
    query = HERE | {"start_date": "2025-10-01", "end_date": "2025-10-31", "format": "parquet"}
    assert (file.status_code, file.headers["Content-Type"]) == (200, "application/vnd.apache.parquet")
    assert pq.read_table(io.BytesIO(file.content)).equals(
        pq.read_table(io.BytesIO(reader.get(TRAFFIC, params=query).content))
    )
    assert file.headers["X-City-Id"] == "madrid"
    assert reader.head(OCTOBER).headers["Content-Length"] == str(len(file.content))


def test_index_names_files_that_never_change(make_client: MakeClient, load: Load) -> None:
    for month in MONTHS:
        load("traffic", month)
    reader = make_client()
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


@pytest.mark.parametrize(("dataset", "column"), [("forecast", "lead_days"), ("calendar", "days_to_holiday")])
@pytest.mark.parametrize("read", READERS)
def test_a_month_of_forecasts_or_of_the_calendar_is_read_as_one_of_traffic(
    reader: TestClient, read: Callable[[str, str], Any], dataset: str, column: str
) -> None:
    with serving(reader.app) as port:
        base = f"http://127.0.0.1:{port}/api/v1/cities/madrid/{dataset}"
        (file,) = httpx.get(f"{base}/files", timeout=60).json()
        rows = pq.read_table(io.BytesIO(httpx.get(urljoin(base, file["path"]), timeout=60).content))[column].to_pylist()
        assert (len(rows), read(urljoin(base, file["path"]), column)) == (file["rows"], sum(rows))


@pytest.fixture(scope="module")
def wordy(postgres: EmbeddedPostgres) -> Iterator[tuple[str, CountedBytes]]:
    """The URL of a month whose descriptions are most of its file."""
    chance, made = random.Random(1), month_load("weather", "2025-10")
    frame = made.frame.assign(description=[chance.randbytes(20_000).hex() for _ in range(len(made.frame))])
    wordy_month = replace(made, frame=canonical.canonical_frame(frame, WEATHER))
    with (
        shared_reader(postgres, [wordy_month]) as client,
        serving(counted := CountedBytes(client.app)) as port,
    ):
        files = httpx.get(f"http://127.0.0.1:{port}/api/v1/cities/madrid/weather/files", timeout=60).json()
        yield urljoin(f"http://127.0.0.1:{port}", files[0]["path"]), counted


@pytest.mark.parametrize("read", READERS)
def test_polars_duckdb_and_pandas_read_a_part_of_a_month_by_the_same_url(
    wordy: tuple[str, CountedBytes], read: Callable[[str, str], Any]
) -> None:
    url, counted = wordy
    whole = httpx.get(url, timeout=60).content
    expected = pq.read_table(io.BytesIO(whole))["temperature"].to_pandas().sum()
    counted.sent = 0
    assert read(url, "temperature") == pytest.approx(expected)
    assert 0 < counted.sent < len(whole) / 2
