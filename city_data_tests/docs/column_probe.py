"""What the code of a tree says of a column: run in a process of its own, with that tree first on the path.

Belongs here: reading the column in every form, its check, its schema. Does not: judging it (test_adding_a_column.py).
Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from starlette.testclient import TestClient

import city_data
from api.app import create_app
from api.settings import Settings
from city_data.datasets import WEATHER
from city_data.frames import canonical
from city_data.pipeline import gate
from city_data.store.database import Database
from city_data.store.schema import metadata
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.api.conftest import HERE, TENANT
from city_data_tests.api.conftest import WEATHER as PATH
from city_data_tests.api.rows import MEDIA, rows_of

ZONE = "Europe/Madrid"
FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
Values = list[float | None]


def forms(client: TestClient, column: str, query: dict[str, str]) -> dict[str, Values]:
    """The column's values by form of answer, JSON schema's included."""
    found: dict[str, Values] = {}
    for path, wanted in (
        (PATH, [{}, {"columns": column}, {"include": "raw"}]),
        (FRAME, [{}, {"resolution": "hourly"}]),
    ):
        for more in wanted:
            for kind in MEDIA:
                response = client.get(path, params=HERE | query | more | {"format": kind})
                assert response.status_code == 200, response.text
                values = [row[column] for row in rows_of(kind, response.content)]
                name = f"{path.rpartition('/')[2]} {kind} {json.dumps(more)}"
                found[name] = [None if value in (None, "") else float(value) for value in values]
    return found


def is_plausible(column: str, value: float) -> bool:
    """Whether the gate leaves the value as it is; an implausible one becomes NULL and is counted."""
    import pandas as pd

    stamps = Month(2026, 9).day_starts(ZONE)
    numbers = [value, *[1.0] * (len(stamps) - 1)]
    frame = pd.DataFrame({"date": pd.DatetimeIndex(stamps), column: numbers, "source": "probe"})
    kept, odd = gate.without_implausible(canonical.canonical_frame(frame, WEATHER), WEATHER)
    assert (column in odd) == (kept[column].iloc[0] != value)
    return column not in odd


def _is_whole(name: str | None, kind: str, _: object) -> bool:
    """Not a partition of a data table, which the schema in code does not list."""
    return kind != "table" or name in metadata.tables


def main(column: str, month: str, version: str | None) -> dict[str, Any]:
    database = Database(os.environ["CITY_DATA_DATABASE_URL"])
    at = Month.parse(month)
    query = {"start_date": str(at.first_day), "end_date": str(at.last_day)}
    with TestClient(create_app(Settings())) as client:
        read = forms(client, column, query)
        answer = client.get(PATH, params=HERE | query)
        old = client.get(PATH, params=HERE | query | {"version": version}) if version else answer
        documented = client.get("/openapi.json").json()
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": _is_whole})
        differences = [str(one) for one in compare_metadata(context, metadata)]
    stored = read_series(database, "weather", "madrid", *at.bounds(ZONE))[column]
    low, high = next((one.low, one.high) for one in WEATHER.columns if one.name == column)
    assert low is not None
    assert high is not None
    database.dispose()
    return {
        "tree": city_data.__file__,
        "stored": [None if value != value else float(value) for value in stored],
        "forms": read,
        "snapshot": answer.headers["X-Snapshot-Id"],
        "old": [row[column] for row in old.json()],
        "plausible": [is_plausible(column, value) for value in (low, high, low - 1, high + 1)],
        "schema": differences,
        "documented": column in json.dumps(documented),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)) + "\n")
