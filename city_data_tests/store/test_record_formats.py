"""Files of records: their size, and that nothing is lost in them."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from city_data.datasets import TRAFFIC
from city_data.store.record_formats import parquet
from city_data.store.record_tables import Shape, schema

_HOURS = 17_520  # two years


def test_dates_of_two_years_of_hours_are_a_small_part_of_a_parquet_file() -> None:
    first, wanted = datetime(2024, 11, 1, tzinfo=UTC), schema(TRAFFIC, Shape())
    hours = [first + timedelta(hours=hour) for hour in range(_HOURS)]
    others = {field.name: pa.nulls(_HOURS, field.type) for field in wanted if field.name not in ("date", "source")}
    columns = {"date": pa.array(hours, wanted.field("date").type), "source": pa.array(["source"] * _HOURS), **others}
    table = pa.table([columns[name] for name in wanted.names], schema=wanted)

    file = parquet([table.slice(0, 744), table.slice(744)], wanted)

    assert pq.read_table(io.BytesIO(file)).equals(table)
    dates = pq.read_metadata(io.BytesIO(file)).row_group(0).column(wanted.names.index("date"))
    assert dates.total_compressed_size < _HOURS  # a byte each; a dictionary of them took eight
