"""Valencia's stand-in: ArcGIS's wire, a layer that moves with the clock, and a feed that can be made to stand still."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from city_data.providers.base import Payload, Place, Request, Settings, Snapshot
from city_data.providers.http import HttpClient
from city_data.providers.valencia_opendata import LOOPS, ValenciaOpenData
from city_data.sandbox import Sandbox
from city_data.sandbox.valencia import loops
from city_data.window import Month
from city_data_tests.sandbox.asking import StillClock, accounted
from city_data_tests.sandbox.conftest import AS_OF, Call

EVERYTHING = {"where": "1=1", "outFields": "*", "f": "json"}
PROVIDER = ValenciaOpenData()
PLACE = Place("valencia", 39.4699, -0.3763, "Europe/Madrid")


def query(call: Call, **question: str) -> Any:
    return call(LOOPS, params=EVERYTHING | question).json()


def attributes(answer: Any) -> list[dict[str, Any]]:
    return [feature["attributes"] for feature in answer["features"]]


@pytest.fixture
def moving(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Its clock is put back."""
    clock = sandbox.publication.clock
    yield sandbox
    sandbox.publication.clock = clock


def poll(sandbox: Sandbox, folder: Path, moment: datetime = AS_OF, size: str = "small") -> Snapshot:
    http = HttpClient(PROVIDER.name, PROVIDER.capabilities, clock=StillClock(), routes=sandbox.routes)
    return PROVIDER.poll(Request(PLACE, Month.at(moment, PLACE.timezone), Settings(), moment), http, folder)


def test_answers_have_the_arcgis_format(call: Call) -> None:
    raw = call(LOOPS, params=EVERYTHING)
    answer = raw.json()
    assert list(answer) == ["displayFieldName", "fieldAliases", "fields", "features"]
    assert [field["type"] for field in answer["fields"]] == [
        "esriFieldTypeInteger", "esriFieldTypeInteger", "esriFieldTypeDate"
    ]  # fmt: skip
    rows = attributes(answer)
    stamps = [row["fecha_actualizacion"] for row in rows if row["fecha_actualizacion"] is not None]
    assert 0 < len(rows) - len(stamps) < 5  # dead loops
    assert timedelta(0) <= AS_OF - datetime.fromtimestamp(max(stamps) / 1000, UTC) < timedelta(minutes=15)
    assert raw.headers["x-city-data-origin"] == "sandbox"
    assert b"NaN" not in raw.content
    assert call(LOOPS, params={"where": "1=1"}).text.startswith("<html>")
    assert query(call, returnCountOnly="true") == {"count": len(rows)}


@pytest.mark.parametrize("change", [{"outFields": "speed"}, {"orderByFields": "speed"}, {"where": ""}])
def test_errors_are_reported_in_the_body(call: Call, change: dict[str, str]) -> None:
    answer = call(LOOPS, params=EVERYTHING | change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (200, 400)


def test_unordered_paging_of_a_changing_layer_repeats_and_loses_rows(moving: Sandbox, call: Call) -> None:
    def paged(**question: str) -> list[int]:
        points = []
        for page in range(3):
            moving.publication.clock = lambda page=page: AS_OF + timedelta(minutes=3 * page)  # type: ignore[misc]
            answer = query(call, resultOffset=str(20 * page), resultRecordCount="20", **question)
            assert ("exceededTransferLimit" in answer) == (page < 2)
            points += [row["idpm"] for row in attributes(answer)]
        return points

    assert len(set(paged())) < 60
    assert len(set(paged(orderByFields="idpm"))) == 60


def test_at_most_two_thousand_rows_an_answer(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, size="full", as_of=AS_OF)
    sandbox.start()
    try:
        polled = poll(sandbox, tmp_path)
    finally:
        sandbox.stop()
    one, two = polled.payload.path.read_bytes().split(b"\n")
    assert (one.count(b'"idpm":1') + one.count(b'"idpm":2')) == 2000
    assert b"exceededTransferLimit" in one
    assert b"exceededTransferLimit" not in two
    assert polled.repeated == 0


def test_the_feed_moves_and_can_stand_still(moving: Sandbox, tmp_path: Path) -> None:
    marks = []
    for step in range(4):
        if step == 2:
            moving.faults.order("/MapServer/208/", frozen_at=AS_OF + timedelta(minutes=15))
        moving.publication.clock = lambda step=step: AS_OF + timedelta(minutes=15 * step)  # type: ignore[misc]
        marks.append(poll(moving, tmp_path, AS_OF + timedelta(minutes=15 * step)).mark)
    assert marks[0] != marks[1]
    assert marks[1] == marks[2] == marks[3]


def test_bad_values_and_repeated_rows_are_rejected(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order("/MapServer/208/", bad_values=True, duplicates=True)
    polled = poll(sandbox, tmp_path)
    assert polled.repeated == 60
    request = Request(PLACE, Month(2026, 11), Settings(), AS_OF)
    payload = Payload(polled.payload.name, polled.payload.path, LOOPS, origin=polled.payload.origin)
    parsed = accounted(PROVIDER.parse(request, [payload]))
    assert parsed.received == 120
    assert {"no_value", "negative", "spike", "duplicate"} <= set(parsed.rejected)


def test_flow_follows_the_day() -> None:
    def mean(hour: int) -> float:
        rows = loops(datetime(2026, 11, 24, hour, tzinfo=UTC), 60)
        return sum(row["ih"] or 0 for row in rows) / 60

    assert mean(7) > 3 * mean(2)


def test_connection_check_works(sandbox: Sandbox) -> None:
    http = HttpClient(PROVIDER.name, PROVIDER.capabilities, clock=StillClock(), routes=sandbox.routes)
    assert "60 loops" in PROVIDER.check_connection(http)
