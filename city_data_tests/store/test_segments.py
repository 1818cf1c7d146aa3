"""Segments spliced in any number and order are one gzip member of one JSON array."""

from __future__ import annotations

import gzip
import json
import zlib
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.datasets import TRAFFIC, WEATHER
from city_data.frames import canonical
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.store.segments import SEPARATOR, encode, read_segments, record_texts, records, splice_parts
from city_data_tests.store.loads import MONTH, STAMPS, ZONE, array_of, month_load

values = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
months = st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=8)


@given(st.lists(months, max_size=6))
def test_splice_is_one_gzip_member_of_all_records(parts: list[list[dict[str, object]]]) -> None:
    segments = [encode([orjson.dumps(record) for record in part]) for part in parts]
    everything = [record for part in parts for record in part]
    body = b"".join(splice_parts(segments, b"[", SEPARATOR, b"]"))

    member = zlib.decompressobj(wbits=31)
    text = member.decompress(body)
    assert member.eof
    assert member.unused_data == b""
    assert gzip.decompress(body) == zlib.decompress(body, wbits=31) == text == array_of(segments)
    assert json.loads(text) == everything
    assert [orjson.loads(text) for segment in segments for text in records(segment)] == everything


@pytest.mark.parametrize("damage", [{"crc32": 1}, {"length": 3}, {"body": b"\xff\xff"}, {"body": b""}])
def test_damaged_segment_raises_value_error(damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a damaged segment"):
        records(encode([b'{"a":1}'])._replace(**damage))  # type: ignore[arg-type]


def test_published_month_holds_its_records(database: Database) -> None:
    replace_month(database, month_load())
    segments = read_segments(database, "traffic", "madrid", [(MONTH, 1), (MONTH, 2), (MONTH + 1, 1)])
    assert list(segments) == [(MONTH, 1)]
    array = json.loads(array_of(segments.values()))
    assert [record["date"] for record in array] == [f"{stamp:%Y-%m-%dT%H:%M:%SZ}" for stamp in STAMPS]
    assert array[0] == {
        "date": "2026-07-31T22:00:00Z",
        "traffic_volume": 0.0,
        "pedestrian_count": None,
        "congestion_level": None,
        "average_speed": None,
        "source": "test",
    }
    assert read_segments(database, "traffic", "madrid", []) == {}


def test_a_weather_record_names_its_local_day_and_keeps_its_id() -> None:
    date, moment = datetime(2026, 7, 31, 22, tzinfo=UTC), datetime(2026, 10, 1, 12, tzinfo=UTC)
    row = dict.fromkeys(WEATHER.frame_columns) | {"date": date, "temperature": 31.5, "source": "aemet"}
    (text,) = record_texts(WEATHER, "madrid", ZONE, [row], moment, moment)
    (again,) = record_texts(WEATHER, "madrid", ZONE, [row | {"temperature": 1.0}], moment, moment)
    record = json.loads(text)
    assert list(record) == [
        *("id", "location_id", "date", "temperature", "precipitation", "humidity", "wind_speed", "pressure"),
        *("description", "source", "created_at", "updated_at"),
    ]
    assert record["location_id"] == "madrid_2026-08-01"
    assert (record["date"], record["created_at"]) == ("2026-07-31T22:00:00Z", "2026-10-01T12:00:00Z")
    assert (record["temperature"], record["humidity"]) == (31.5, None)
    assert json.loads(again)["id"] == record["id"]


def test_unchanged_rows_have_unchanged_bytes() -> None:
    rows = canonical.records(month_load().frame, TRAFFIC)
    moment = datetime(2026, 10, 1, tzinfo=UTC)
    twice = [encode(record_texts(TRAFFIC, "madrid", ZONE, rows, moment, moment)) for _ in range(2)]
    assert twice[0] == twice[1]
    assert twice[0].rows == len(STAMPS)
