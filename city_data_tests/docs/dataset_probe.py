"""What the code of a tree does with its dataset `air`: run in a process of its own, with that tree first on
the path.

Belongs here: a month from an invented source, and everything that serves it. Does not: judging it
(test_adding_a_dataset.py). Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from starlette.testclient import TestClient

import city_data
from api.app import create_app
from api.contract import document
from api.contract.diff import RELEASED, breaks
from api.settings import Settings
from city_data.cities import load_registry
from city_data.pipeline.feeds import enabled_feeds
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data.store.raw import RawArchive
from city_data.store.schema import metadata
from city_data.window import Month
from city_data_tests.api.conftest import TENANT
from city_data_tests.api.rows import MEDIA, rows_of
from city_data_tests.providers.wire import Answer, site
from city_data_tests.stored_months import store_months

NAME, HOST, ZONE = "air", "air.toytown.example", "Europe/Madrid"
MONTH, AT = Month(2026, 9), datetime(2026, 11, 24, 9, tzinfo=UTC)
PLACE = f"/api/v1/tenants/{TENANT}/external"
RANGE = {"city_id": "madrid", "start_date": str(MONTH.first_day), "end_date": str(MONTH.last_day)}


def load(database: Database) -> None:
    """September, with an hour that is missing."""
    hours = [{"utc": stamp.isoformat(), "no2": n % 24} for n, stamp in enumerate(MONTH.hours(ZONE))]
    hours[5]["no2"] = None  # type: ignore[assignment]
    (feed,) = [one for one in enabled_feeds(load_registry()) if one.name == f"{NAME}/madrid"]
    with site() as service, tempfile.TemporaryDirectory() as folder:
        service.on(f"/{HOST}/api/months/{MONTH}", Answer(json.dumps({"hours": hours}).encode()))
        os.environ["CITY_DATA_ROUTES"] = json.dumps({HOST: f"{service.url}/{HOST}"})
        store_months(database, RawArchive(folder), feed, [MONTH], AT)


def served(client: TestClient) -> dict[str, Any]:
    def rows(path: str, **query: str) -> list[dict[str, Any]]:
        response = client.get(path, params=query)
        assert response.status_code == 200, response.text
        return rows_of(query.get("format", "json"), response.content)

    history = {kind: rows(f"{PLACE}/historical-{NAME}", **RANGE, format=kind) for kind in MEDIA}
    frame = rows(f"{PLACE}/operations/training-frame", **RANGE)
    ahead = client.get(f"{PLACE}/forecast-frame", params={"city_id": "madrid", "days": "2"}).json()
    (file,) = rows(f"/api/v1/cities/madrid/{NAME}/files")
    (city,) = [one for one in rows("/api/v1/external/cities") if one["city_id"] == "madrid"]
    return {
        "history": {kind: [row["nitrogen_dioxide"] for row in table] for kind, table in history.items()},
        "record": list(history["json"][0]),
        "on_request": rows(f"{PLACE}/historical-{NAME}", **RANGE, columns="fine_particles")[0]["fine_particles"],
        "frame": [[day["nitrogen_dioxide"], day["nitrogen_dioxide_missing"]] for day in frame],
        "empty": [[day["fine_particles"], day["fine_particles_missing"]] for day in frame],
        "same_columns": list(frame[0]) == list(ahead[0]),
        "file": [file["rows"], client.get(file["path"]).status_code],
        "sources": [one["provider"] for one in city["sources"] if one["dataset"] == NAME],
        "count": client.get("/api/v1/cities/madrid/data-availability").json()[f"{NAME}_record_count"],
        "snapshot": client.get(f"{PLACE}/historical-{NAME}", params=RANGE).headers["X-Snapshot-Id"],
    }


def main(url: str) -> dict[str, Any]:
    os.environ.update({"CITY_DATA_AS_OF": AT.isoformat(), "ENABLED_CITIES": "madrid"})
    database = Database(url)
    upgrade(database)
    with database.read() as connection:
        whole = {"compare_type": True, "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables}
        differences = [
            str(one) for one in compare_metadata(MigrationContext.configure(connection, opts=whole), metadata)
        ]
    load(database)
    with TestClient(create_app(Settings.model_validate({"database_url": url, "auth_mode": "none"}))) as client:
        found = served(client)
    database.dispose()
    rendered = json.loads(document.render())
    return {
        **found,
        "tree": city_data.__file__,
        "schema": differences,
        "documented": f"/api/v1/tenants/{{tenant_id}}/external/historical-{NAME}" in rendered["paths"],
        "breaks": breaks(json.loads(RELEASED.read_bytes()), rendered),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
