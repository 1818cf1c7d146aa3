"""JSON objects of a table: the same bytes as those of its rows, one by one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.store.json_texts import json_texts

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 12, 31), timezones=st.just(UTC))
COLUMNS = {
    "moment": (pa.timestamp("us", tz="UTC"), MOMENTS),
    "second": (pa.timestamp("us", tz="UTC"), MOMENTS.map(lambda moment: moment.replace(microsecond=0))),
    "day": (pa.date32(), st.dates(date(1970, 1, 1), date(2999, 12, 31))),
    "number": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    'whole "number"': (pa.float64(), st.integers(-3, 3).map(float)),
    "integer": (pa.int64(), st.integers(-(2**53), 2**53)),
    "flag": (pa.bool_(), st.booleans()),
    "text": (pa.string(), st.text(max_size=8)),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()}), max_size=9)
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])


@given(ROWS, st.integers(0, 3))
def test_objects_have_the_bytes_of_their_rows(rows: list[dict[str, Any]], start: int) -> None:
    chunked = pa.concat_tables([pa.Table.from_pylist(rows, SCHEMA), pa.Table.from_pylist(rows[:2], SCHEMA)])
    tables = [chunked.slice(start), SCHEMA.empty_table(), pa.Table.from_pylist(rows[:start], SCHEMA)]
    expected = [
        b"".join(orjson.dumps(row, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE) for row in table.to_pylist())
        for table in tables
    ]
    assert json_texts(tables, "raw", b"\n") == expected


@pytest.mark.parametrize("raws", [['{"b":[1, 2]}', None], [None, None], ["[]", "[]"]])
def test_text_that_is_json_already_is_not_written_as_a_text(raws: list[str | None]) -> None:
    expected = "".join(f'{{"raw":{"null" if raw is None else raw}}};' for raw in raws)
    assert json_texts([pa.table({"raw": pa.array(raws, pa.string())})], "raw", b";") == [expected.encode()]
