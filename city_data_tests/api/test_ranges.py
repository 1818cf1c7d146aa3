"""Parts of Parquet files by Range, and the readers of data that ask for them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import httpx
import pandas as pd
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from city_data.datasets import TRAFFIC as TRAFFIC_DATASET
from city_data.datasets import expected_stamps
from city_data.frames import canonical
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.months import MonthLoad
from city_data.window import Month
from city_data_tests.api.conftest import HERE, TRAFFIC, ZONE, Load, MakeClient, month_load, shared_reader
from city_data_tests.api.readers import READERS, CountedBytes
from city_data_tests.api.sockets import serving

QUERY = HERE | {"start_date": "2025-10-01", "end_date": "2025-11-30", "format": "parquet"}


@pytest.fixture(scope="module")
def reader(postgres: EmbeddedPostgres) -> Iterator[TestClient]:
    with shared_reader(postgres, (month_load("traffic", month) for month in ("2025-10", "2025-11"))) as client:
        yield client


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("0-3", 0, 3), ("10-", 10, -1), ("-8", -8, -1), ("5-999999999", 5, -1), ("-999999999", 0, -1)],
)
def test_range_is_the_same_bytes_of_the_whole_file(reader: TestClient, asked: str, first: int, last: int) -> None:
    whole = reader.get(TRAFFIC, params=QUERY)
    part = reader.get(TRAFFIC, params=QUERY, headers={"Range": f"bytes={asked}"})
    size = len(whole.content)
    begin, end = first % size, last % size
    assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
    assert (part.status_code, part.content) == (206, whole.content[begin : end + 1])
    assert part.headers["Content-Range"] == f"bytes {begin}-{end}/{size}"
    assert part.headers["Content-Length"] == str(len(part.content))
    assert part.headers["ETag"] == whole.headers["ETag"]


def test_range_beyond_the_end_is_416_and_unsupported_ranges_are_ignored(reader: TestClient) -> None:
    size = len(reader.get(TRAFFIC, params=QUERY).content)
    for asked in (f"bytes={size}-", f"bytes={size}-{size + 5}", "bytes=-0", "bytes=9-8"):
        beyond = reader.get(TRAFFIC, params=QUERY, headers={"Range": asked})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}"), asked
    for asked in ("bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=", "bytes=-", "0-1"):
        whole = reader.get(TRAFFIC, params=QUERY, headers={"Range": asked})
        assert (whole.status_code, len(whole.content)) == (200, size), asked
    csv = reader.get(TRAFFIC, params=QUERY | {"format": "csv"}, headers={"Range": "bytes=0-1"})
    assert (csv.status_code, "accept-ranges" in csv.headers) == (200, False)


def test_if_range_of_another_file_gets_the_whole_file(make_client: MakeClient, load: Load) -> None:
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
    reader = make_client()
    whole = reader.get(TRAFFIC, params=QUERY)
    tag = whole.headers["ETag"]
    for held, status in ((tag, 206), (f"W/{tag}", 200), ('"other"', 200), ("Sat, 28 Nov 2026 00:00:00 GMT", 200)):
        answer = reader.get(TRAFFIC, params=QUERY, headers={"Range": "bytes=0-9", "If-Range": held})
        assert answer.status_code == status, held
    load("traffic", "2025-10", add=7.0)
    after = reader.get(TRAFFIC, params=QUERY, headers={"Range": "bytes=0-9", "If-Range": tag})
    assert (after.status_code, after.headers["ETag"] != tag) == (200, True)
    kept = QUERY | {"version": whole.headers["X-Snapshot-Id"]}
    again = reader.get(TRAFFIC, params=kept, headers={"Range": "bytes=0-9", "If-Range": tag})
    assert (again.status_code, again.content) == (206, whole.content[:10])


MONTHS = list(Month(2016, 1).until(Month(2026, 1)))
ALL = QUERY | {"start_date": "2016-01-01", "end_date": "2025-12-31"}


def random_month(month: Month, chance: random.Random) -> MonthLoad:
    """Numbers that no encoding makes small."""
    made = month_load("traffic", str(month))
    stamps = expected_stamps(month, ZONE, "hourly")
    names = ("traffic_volume", "pedestrian_count", "average_speed")
    columns = {name: [chance.random() * 100 for _ in stamps] for name in names}
    frame = pd.DataFrame({"date": pd.DatetimeIndex(stamps), **columns, "source": "test"})
    return replace(made, frame=canonical.canonical_frame(frame, TRAFFIC_DATASET))


@pytest.fixture(scope="module")
def served(postgres: EmbeddedPostgres) -> Iterator[tuple[str, CountedBytes]]:
    """Ten years of hours: a file of which a column is a small part."""
    chance = random.Random(1)
    with (
        shared_reader(postgres, (random_month(month, chance) for month in MONTHS)) as client,
        serving(counted := CountedBytes(client.app)) as port,
    ):
        yield f"http://127.0.0.1:{port}{TRAFFIC}?{urlencode(ALL)}", counted


@pytest.mark.parametrize("read", READERS)
def test_polars_duckdb_and_pandas_read_a_part_of_the_file(served: tuple[str, CountedBytes], read: Any) -> None:
    url, counted = served
    whole = httpx.get(url, timeout=60).content
    expected = pq.read_table(io.BytesIO(whole))["traffic_volume"].to_pandas().sum()
    counted.sent = 0
    assert read(url, "traffic_volume") == pytest.approx(expected)
    assert 0 < counted.sent < len(whole)
