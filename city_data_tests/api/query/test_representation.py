"""Representations: the choice by Accept and parameters, their errors, ETags, file names and bytes."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from city_data.datasets import DatasetName
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.cache import Cache
from city_data_tests.api.conftest import (
    HERE,
    LOADED,
    TENANT,
    TRAFFIC,
    WEATHER,
    Load,
    MakeClient,
    month_load,
    shared_reader,
)
from city_data_tests.api.rows import MEDIA, rows_of
from city_data_tests.api.sockets import serving

RANGE = HERE | {"start_date": "2025-10-05", "end_date": "2025-11-12"}
REPRESENTATIONS: list[dict[str, str]] = [
    *({"format": name} for name in MEDIA),
    {"resolution": "daily"},
    {"columns": "traffic_volume"},
    {"format": "csv", "include": "raw"},
]


STORED: tuple[tuple[DatasetName, str], ...] = (("traffic", "2025-10"), ("traffic", "2025-11"), ("weather", "2025-10"))


@pytest.fixture(scope="module")
def reader(postgres: EmbeddedPostgres) -> Iterator[TestClient]:
    """Two months of traffic, one of weather."""
    with shared_reader(postgres, (month_load(dataset, month) for dataset, month in STORED)) as client:
        yield client


@pytest.fixture
def own_reader(make_client: MakeClient, load: Load) -> TestClient:
    """As `reader`, over a database of the test's own."""
    for dataset, month in STORED:
        load(dataset, month)
    return make_client()


def get(client: TestClient, accept: str | None = None, path: str = TRAFFIC, **query: str) -> httpx.Response:
    return client.get(path, params=RANGE | query, headers={"Accept": accept} if accept is not None else {})


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("text/*", "text/csv"),
        ("application/json;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl", "application/x-ndjson"),
        ("application/vnd.apache.parquet, */*;q=0.1", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/json;q=0, */*;q=0.5", "application/x-ndjson"),
    ],
)
def test_accept_selects_the_format(reader: TestClient, accept: str, media_type: str) -> None:
    response = get(reader, accept)
    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == media_type


def test_unacceptable_accept_is_406_unless_format_is_given(reader: TestClient) -> None:
    refused = get(reader, "image/png")
    assert (refused.status_code, "text/csv" in refused.json()["detail"]) == (406, True)
    assert get(reader, "image/png", format="csv").headers["content-type"].startswith("text/csv")


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"format": "xml"}, "format", "'parquet'"),
        ({"resolution": "weekly"}, "resolution", "'daily'"),
        ({"include": "everything"}, "include", "'raw'"),
        ({"columns": "traffic_volume,speed,noise"}, "columns", "unknown column: speed, noise; available: date,"),
        ({"columns": ""}, "columns", "(empty)"),
        ({"columns": "hours"}, "columns", "unknown column: hours"),
        ({"columns": "a" * 1001}, "columns", "at most 1000"),
    ],
)
def test_unknown_value_is_422_and_named(reader: TestClient, query: dict[str, str], field: str, message: str) -> None:
    response = get(reader, **query)
    assert response.status_code == 422
    (problem,) = response.json()["detail"]
    assert (problem["loc"], message in problem["msg"]) == (["query", field], True)


def test_hours_of_a_source_not_recorded_yet_are_503(reader: TestClient) -> None:
    response = get(reader, path=WEATHER, resolution="hourly")
    assert (response.status_code, "not known yet" in response.json()["detail"]) == (503, True)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_snapshot_has_the_same_bytes_in_every_representation(
    make_client: MakeClient, own_reader: TestClient, load: Load, redis_url: str, encoding: str
) -> None:
    def raw(client: TestClient, **query: str) -> tuple[bytes, str, str]:
        with client.stream("GET", TRAFFIC, params=RANGE | query, headers={"Accept-Encoding": encoding}) as got:
            assert got.status_code == 200
            return b"".join(got.iter_raw()), got.headers["ETag"], got.headers["X-Snapshot-Id"]

    before = [raw(own_reader, **representation) for representation in REPRESENTATIONS]
    load("traffic", "2025-10", at=LOADED + timedelta(days=1), add=5.0)
    clients = (own_reader, make_client(redis_url=redis_url), make_client(redis_url=redis_url), make_client())
    for representation, old in zip(REPRESENTATIONS, before, strict=True):
        for client in clients:
            assert raw(client, **representation, version=old[2]) == old, representation
        now = raw(own_reader, **representation)
        assert now[1] != old[1]
        assert now[0] != old[0]


def test_every_representation_has_its_own_etag_which_gives_304(reader: TestClient) -> None:
    tags: dict[str, Any] = {}
    for representation in REPRESENTATIONS:
        for encoding in ("identity", "gzip", "zstd"):
            first = reader.get(TRAFFIC, params=RANGE | representation, headers={"Accept-Encoding": encoding})
            tag = first.headers["ETag"]
            assert tags.setdefault(tag, first.content) == first.content
            known = {"Accept-Encoding": encoding, "If-None-Match": tag}
            again = reader.get(TRAFFIC, params=RANGE | representation, headers=known)
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
            assert again.headers["Vary"] == "Accept, Accept-Encoding"
    assert len(tags) == len(REPRESENTATIONS) * 3 - 2  # Parquet is compressed in itself: one tag for all encodings


def test_file_formats_have_a_file_name(reader: TestClient) -> None:
    name = 'attachment; filename="madrid_traffic_2025-10-05_2025-11-12{}"'
    assert get(reader, format="csv").headers["Content-Disposition"] == name.format(".csv")
    daily = get(reader, format="parquet", resolution="daily")
    assert daily.headers["Content-Disposition"] == name.format("_daily.parquet")
    assert "Content-Disposition" not in get(reader).headers


def test_csv_has_a_header_and_quoted_texts(reader: TestClient) -> None:
    lines = get(reader, format="csv", start_date="2025-10-01", columns="source,traffic_volume").text.splitlines()
    assert lines[:3] == [
        "date,traffic_volume,source",
        '"2025-09-30T22:00:00Z",0,"test"',
        '"2025-09-30T23:00:00Z",1,"test"',
    ]
    assert lines[10] == '"2025-10-01T07:00:00Z",,"test"'


def test_arrow_and_parquet_have_types_and_units(reader: TestClient) -> None:
    stream = pa.ipc.open_stream(get(reader, format="arrow").content)
    batches = list(stream)
    assert [batch.num_rows for batch in batches] == [27 * 24 + 1, 12 * 24]  # a batch a month; October's last day has 25
    assert stream.schema.field("date").type == pa.timestamp("us", tz="UTC")
    assert stream.schema.field("traffic_volume").metadata == {b"unit": b"vehicles/h"}
    table = pq.read_table(io.BytesIO(get(reader, format="parquet").content))
    assert table.equals(pa.Table.from_batches(batches))
    assert table.schema.field("traffic_volume").metadata[b"unit"] == b"vehicles/h"


def test_arrow_is_compressed_by_itself_for_clients_that_accept_no_encoding(reader: TestClient) -> None:
    """A browser, which accepts encodings, may have an Arrow without codecs."""
    query, headers = RANGE | {"format": "arrow"}, [{"Accept-Encoding": one} for one in ("identity", "gzip")]
    alone, decoded = (reader.get(TRAFFIC, params=query, headers=one).content for one in headers)
    tables = [pa.ipc.open_stream(content).read_all() for content in (alone, decoded)]
    assert tables[0].equals(tables[1], check_metadata=True)
    assert len(alone) < tables[0].nbytes / 2 < tables[0].nbytes < len(decoded)


@pytest.mark.parametrize("kind", MEDIA)
def test_range_without_data_is_an_empty_answer_in_every_format(empty_reader: TestClient, kind: str) -> None:
    response = get(empty_reader, format=kind)
    assert (response.status_code, rows_of(kind, response.content)) == (200, [])


def test_head_has_the_length_and_no_body(reader: TestClient) -> None:
    whole = reader.get(TRAFFIC, params=RANGE, headers={"Accept-Encoding": "gzip"})
    head = reader.head(TRAFFIC, params=RANGE, headers={"Accept-Encoding": "gzip"})
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", whole.headers["ETag"])
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]


def test_daily_records_have_the_aggregation_rule_and_hours(reader: TestClient) -> None:
    query = {"start_date": "2025-10-25", "end_date": "2025-10-27", "resolution": "daily", "include": "raw"}
    saturday, sunday, monday = get(reader, **query).json()
    assert [day["date"][:13] for day in (saturday, sunday, monday)] == [
        "2025-10-24T22",
        "2025-10-25T22",
        "2025-10-26T23",
    ]
    assert (saturday["hours"], sunday["hours"], monday["hours"]) == (21, 23, 22)  # every tenth hour is missing
    rule = {"aggregated_from": "hourly", "day": "00-24 Europe/Madrid", "minimum_hours": 20, "hours": 23}
    assert sunday["raw_data"] == rule
    hours = get(reader, start_date="2025-10-26", end_date="2025-10-26").json()
    known = [hour["traffic_volume"] for hour in hours if hour["traffic_volume"] is not None]
    assert len(hours) == 25
    assert sunday["traffic_volume"] == round(sum(known) / len(known), 2)  # as many digits as every stored number


def test_zstd_in_redis_is_used_only_when_intact(
    make_client: MakeClient, own_reader: TestClient, redis_url: str
) -> None:
    whole = {"start_date": "2025-10-01", "end_date": "2025-11-30"}

    def raw(client: TestClient) -> bytes:
        with client.stream("GET", TRAFFIC, params=HERE | whole, headers={"Accept-Encoding": "zstd"}) as got:
            return b"".join(got.iter_raw())

    expected = raw(own_reader)
    assert raw(make_client(redis_url=redis_url)) == expected
    store = Cache(redis_url, timeout_s=1)._client
    assert store is not None
    keys = sorted(name for name in store.scan_iter() if b"/zstd:" in name)
    assert len(keys) == 2  # the reader left them for the next
    for key in (name for name in store.scan_iter() if b"/zstd:" not in name):
        store.delete(key)
    fresh = make_client(redis_url=redis_url, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert fresh.get(TRAFFIC, params=HERE | whole).status_code == 503  # versions are the database's alone
    for poison in (b"", b"CDS2" + bytes(40), store.get(keys[1])):
        store.set(keys[0], poison)
        assert raw(make_client(redis_url=redis_url)) == expected


@pytest.fixture
def served(reader: TestClient) -> Iterator[str]:
    with serving(reader.app) as port:
        yield f"http://127.0.0.1:{port}"


def test_curl_and_httpx_decode_all_zstd_frames(reader: TestClient, served: str) -> None:
    query = RANGE | {"start_date": "2025-10-01"}
    url = str(httpx.URL(served + TRAFFIC, params=query))
    plain = reader.get(TRAFFIC, params=query, headers={"Accept-Encoding": "identity"}).content
    response = httpx.get(url, headers={"Accept-Encoding": "zstd"})
    assert (response.headers["content-encoding"], response.content) == ("zstd", plain)
    curl = shutil.which("curl")
    assert curl is not None
    got = subprocess.run(
        [curl, "-sS", "--compressed", "-D", "-", url], capture_output=True, check=True, timeout=20
    ).stdout
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-encoding: zstd" in head.lower() or b"content-encoding: gzip" in head.lower()
    assert body == plain


def test_deprecated_body_accepts_the_same_parameters(reader: TestClient) -> None:
    body = HERE | {"start_date": "2025-10-05", "end_date": "2025-11-12", "format": "csv", "columns": "source"}
    post = reader.post(f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical", json=body)
    assert post.content == get(reader, format="csv", columns="source").content
    assert post.headers["content-type"].startswith("text/csv")
