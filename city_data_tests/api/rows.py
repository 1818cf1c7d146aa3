"""Answers in any format as plain rows, and the same rows selected from the tables by SQL."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from starlette.testclient import TestClient

from city_data.cities import City
from city_data.columns import Kind
from city_data.datasets import DATASETS, DatasetName
from city_data.store.database import Database
from city_data_tests.api.conftest import TENANT

MEDIA = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_MOMENTS = ("date", "created_at", "updated_at")
_FLAGS = {"true": True, "false": False}
_KINDS: dict[Kind, Callable[[str], Any]] = {"text": str, "number": float, "integer": int, "flag": _FLAGS.__getitem__}
_OF_TEXT = {
    column.name: _KINDS[column.kind] for one in DATASETS.values() for column in (*one.columns, *one.key_columns)
}
_OF_TEXT |= {"hours": int}
_RULES = {
    **dict.fromkeys(("precipitation", "sunshine_duration", "snowfall"), "sum"),
    "temperature_min": "min",
    **dict.fromkeys(("temperature_max", "wind_gust"), "max"),
}
_EXTREMES = ("temperature_min", "temperature_max")  # of the hours' temperature, where the source has none
ON_REQUEST = {"temperature_min", "temperature_max", "sunshine_duration", "cloud_cover", "wind_gust", "snowfall"}
# The documented aggregation of hours to days, in SQL.
_SPEED = """CASE WHEN count(average_speed) < 20 THEN NULL
  WHEN count(average_speed + traffic_volume) >= 20 AND sum(traffic_volume) FILTER (WHERE average_speed IS NOT NULL) > 0
  THEN sum(average_speed * traffic_volume) / sum(traffic_volume) FILTER (WHERE average_speed IS NOT NULL)
  ELSE avg(average_speed) END"""
_CONGESTION = """CASE WHEN count(congestion_level) >= 20 THEN
  (ARRAY['low','medium','high','severe'])[max(array_position(ARRAY['low','medium','high','severe'], congestion_level))]
  END"""


def ask(client: TestClient, city: City, dataset: DatasetName, query: dict[str, str], encoding: str = "gzip") -> Any:
    path = f"/api/v1/tenants/{TENANT}/external/operations/historical-{dataset}-optimized"
    here = {"latitude": str(city.latitude), "longitude": str(city.longitude)}
    return client.get(path, params=here | query, headers={"Accept-Encoding": encoding})


def rows_of(kind: str, content: bytes) -> list[dict[str, Any]]:
    """The rows of an answer, with times as datetimes, CSV's numbers as numbers, and raw data as objects."""
    match kind:
        case "json":
            rows = json.loads(content)
        case "ndjson":
            assert content == b"" or content.endswith(b"\n")
            rows = [json.loads(line) for line in content.splitlines()]
        case "csv":
            rows = _csv(content)
        case "arrow":
            rows = pa.ipc.open_stream(content).read_all().to_pylist()
        case _:
            rows = pq.read_table(pa.BufferReader(content)).to_pylist()
    for row in rows:
        for name in _MOMENTS:
            if name in row and isinstance(row[name], str):
                row[name] = datetime.fromisoformat(row[name])
            elif name in row:
                row[name] = row[name].astimezone(UTC)
        if isinstance(row.get("raw_data"), str):
            row["raw_data"] = json.loads(row["raw_data"])
    return rows


def _csv(content: bytes) -> list[dict[str, Any]]:
    """Marks empty texts first, since Python's reader does not distinguish them from null."""
    marked = re.sub(r'(?<=,)""(?=[,\n])', "\x00", content.decode())
    rows = []
    for row in csv.DictReader(io.StringIO(marked)):
        values: dict[str, Any] = {}
        for name, text in row.items():
            value = None if text == "" else "" if text == "\x00" else text
            values[name] = value if value is None or name not in _OF_TEXT else _OF_TEXT[name](value)
        rows.append(values)
    return rows


def selected(
    database: Database, city: City, dataset: DatasetName, start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """The records of `[start, end)`, selected from the table."""
    kind = DATASETS[dataset]
    names = ", ".join([*kind.key, *kind.column_names, "source", "raw_data", "created_at", "updated_at"])
    key = ", ".join(kind.key)
    query = f"SELECT {names} FROM {kind.table} WHERE city_id = :city AND date >= :start AND date < :end ORDER BY {key}"
    return _select(database, query, city, start, end)


def selected_days(
    database: Database, city: City, dataset: DatasetName, start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """The local days that begin in `[start, end)`, each aggregated from all its hours, those of one lead if it has."""
    kind = DATASETS[dataset]
    expressions = {
        column.name: f"CASE WHEN count({column.name}) >= 20 THEN {_RULES.get(column.name, 'avg')}({column.name}) END"
        for column in kind.columns
        if column.kind == "number"
    }
    for name in [column.name for column in kind.columns if column.name in _EXTREMES]:
        expressions[name] = (
            f"CASE WHEN count({name}) > 0 THEN {expressions[name]}"
            f" WHEN count(temperature) >= 20 THEN {_RULES[name]}(temperature) END"
        )
    expressions |= (
        {"average_speed": _SPEED, "congestion_level": _CONGESTION} if dataset == "traffic" else {"description": "NULL"}
    )
    others = "".join(f", {name}" for name in kind.key[1:])
    selection = ", ".join(f"{expressions[name]} AS {name}" for name in kind.column_names)
    counts = ", ".join(f"count({name})" for name in kind.column_names if name not in ON_REQUEST)
    query = (
        f"SELECT date_trunc('day', date, :zone) AS date{others}, {selection}, greatest({counts}) AS hours"
        f" FROM {kind.table} WHERE city_id = :city GROUP BY 1{others}"
    )
    return _select(
        database, f"SELECT * FROM ({query}) WHERE date >= :start AND date < :end ORDER BY 1{others}", city, start, end
    )


def _select(database: Database, query: str, city: City, start: datetime, end: datetime) -> list[dict[str, Any]]:
    given = {"city": city.city_id, "start": start, "end": end, "zone": city.timezone}
    with database.read() as connection:
        return [dict(row) for row in connection.execute(sa.text(query), given).mappings()]
