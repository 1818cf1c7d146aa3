"""Valencia's loops: which answers are data, paging, and how polls become city-hours."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_data.providers.base import (
    Location,
    NoSnapshot,
    NotAvailable,
    ParsedMonth,
    Payload,
    PermanentError,
    ProviderError,
    Request,
    Settings,
    Snapshot,
    TransientError,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared.city_hours import SPIKE
from city_data.providers.valencia_opendata import HOST, LOOPS, ValenciaOpenData
from city_data.providers.valencia_opendata import polls as snapshots
from city_data.window import Month
from city_data_tests.providers.wire import Answer, Site
from city_data_tests.sandbox.asking import StillClock, accounted

VALENCIA = Location("valencia", 39.4699, -0.3763, "Europe/Madrid")
NOON = datetime(2026, 9, 1, 10, tzinfo=UTC)
PATH = LOOPS.replace("https:/", "")
Reading = tuple[Any, Any, Any]


def answer(*rows: Reading, more: bool = False) -> bytes:
    """ArcGIS's, of (idpm, ih, stamp as datetime or as is)."""
    told = [(p, f, s.timestamp() * 1000 if isinstance(s, datetime) else s) for p, f, s in rows]
    features = [{"attributes": dict(zip(snapshots.FIELDS, row, strict=True))} for row in told]
    return json.dumps({"features": features, **({"exceededTransferLimit": True} if more else {})}).encode()


def request(month: str = "2026-09", as_of: datetime = NOON) -> Request:
    return Request(VALENCIA, Month.parse(month), Settings(), as_of)


def polled(web: Site, folder: Path, *bodies: bytes, status: int = 200) -> Snapshot:
    web.on(PATH, *(Answer(body, status) for body in bodies))
    provider = ValenciaOpenData()
    http = HttpClient(provider.name, provider.capabilities, clock=StillClock(), routes={HOST: f"{web.url}/{HOST}"})
    return provider.poll(request(), http, folder)


def parsed(folder: Path, taken: dict[datetime, list[Reading]], month: str = "2026-09") -> ParsedMonth:
    payloads = []
    for moment, rows in taken.items():
        path = folder / snapshots.name(moment)
        path.write_bytes(answer(*rows))
        payloads.append(Payload(path.name, path, LOOPS))
    return accounted(ValenciaOpenData().parse(request(month), payloads))


def quarters(start: datetime, hours: int, **flows: float) -> dict[datetime, list[Reading]]:
    """A snapshot a quarter hour, one minute after its loops measured."""
    stamps = [start + timedelta(minutes=15 * n) for n in range(4 * hours)]
    return {s + timedelta(minutes=1): [(point, flow, s) for point, flow in flows.items()] for s in stamps}


def test_pages_are_requested_in_order_and_stored_as_received(web: Site, tmp_path: Path) -> None:
    one = answer((1, 100, NOON), (2, 200, NOON), more=True)
    two = answer((3, 300, NOON - timedelta(minutes=15)), (2, 200, NOON))
    made = polled(web, tmp_path, one, two)
    assert made.payload.path.read_bytes() == one + b"\n" + two
    assert (made.newest, made.repeated, made.payload.name) == (NOON, 1, "20260901T100000Z.json")
    first, second = (call.path for call in web.calls)
    assert "resultOffset=0&" in first
    assert "resultOffset=2&" in second
    assert "orderByFields=idpm" in first
    assert "outFields=idpm%2Cih%2Cfecha_actualizacion" in first


def test_feed_mark_changes_only_with_timestamps(web: Site, tmp_path: Path) -> None:
    later = NOON + timedelta(minutes=5)
    base, shuffled, moved = (
        polled(web, tmp_path, body).mark
        for body in (
            answer((1, 100, NOON), (2, 200, NOON)),
            answer((2, 201, NOON), (1, 100, NOON)),
            answer((1, 100, NOON), (2, 200, later)),
        )
    )
    assert base == shuffled
    assert base != moved


GOOD = answer((1, 100, NOON), more=True)


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        ([b""], "empty"),
        ([b"\n"], "empty"),
        ([b"0"], "empty"),
        ([b"\xef\xbb\xbf  "], "empty"),
        ([b"<html>Mantenimiento</html>"], "html"),
        ([b'{"features":[{"attr'], "not_json"),
        ([b"[" * 100_000], "not_json"),
        ([b"\xff\xfe\xfa"], "not_json"),
        ([b"[]"], "not_features"),
        ([b'{"count": 5}'], "not_features"),
        ([b'{"features": []}'], "header_only"),
        ([GOOD, b'{"features": []}'], "header_only"),
        ([GOOD, b"<html></html>"], "html"),
        ([b'{"error":{"code":500,"message":"Error performing query operation","details":[]}}'], "service_error"),
        ([answer((1, 100, None), (2, None, None))], "no_stamps"),
        ([answer((1, 100, NOON + timedelta(days=365)))], "no_stamps"),
    ],
)
def test_answers_without_data_have_a_one_word_reason(
    web: Site, tmp_path: Path, bodies: list[bytes], reason: str
) -> None:
    with pytest.raises(NoSnapshot) as caught:
        polled(web, tmp_path, *bodies)
    assert caught.value.reason == reason
    assert str(caught.value).startswith("valencia_opendata: valencia 2026-09: ")


@pytest.mark.parametrize(
    ("body", "status", "kind", "said"),
    [
        (b"later", 503, TransientError, "503"),
        (b"gone", 404, PermanentError, "404"),
        (
            b'{"features":[{"attributes":{"idpm":1,"intensidad":5}}]}',
            200,
            PermanentError,
            "lacks fecha_actualizacion, ih",
        ),
        (b'{"features":[{"geometry":{}}]}', 200, PermanentError, "not ArcGIS's"),
        (GOOD, 200, PermanentError, "more than 10 pages"),
    ],
)
def test_errors_are_typed(
    web: Site, tmp_path: Path, body: bytes, status: int, kind: type[ProviderError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        polled(web, tmp_path, body, status=status)
    assert not isinstance(caught.value, NoSnapshot)


def test_live_feed_cannot_be_fetched(tmp_path: Path) -> None:
    provider = ValenciaOpenData()
    with pytest.raises(NotAvailable, match=r"valencia 2026-09: .*city-data collect"):
        provider.fetch(request(), HttpClient(provider.name, provider.capabilities), tmp_path)


def test_the_recorded_exports_of_the_closed_portal_are_refused(recorded: Path) -> None:
    """Another wire than the layer's; the header-only one and the frozen pair are why answers are judged."""
    files = sorted((recorded / "valencia").glob("*.csv")) + sorted((recorded / "valencia").glob("*.zip"))
    assert len(files) == 7
    for file in files:
        with pytest.raises(NoSnapshot) as caught:
            snapshots.read_page(file.read_bytes())
        assert caught.value.reason == "not_json", file.name
    pair = {hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.name.startswith("estat_traf23-10-2024")}
    assert len(pair) == 1
    flows = (recorded / "valencia/trafico_bici_01-01-2020_20-30-02.csv").read_text().splitlines()[1:]
    assert max(int(line.split(";")[2]) for line in flows) > SPIKE


def test_hour_needs_three_quarters_and_city_needs_half_its_panel(tmp_path: Path) -> None:
    taken = quarters(NOON, 6, a=100, b=300, c=200)
    for place, rows in enumerate(taken.values()):
        if place in (5, 6):  # of the second hour two quarters are left, of all loops
            rows.clear()
        if place in (9, 10):  # of the third, of two loops of three
            del rows[1:]
    frame = parsed(tmp_path, taken).frame
    expected = [200, float("nan"), float("nan"), 200, 200, 200]
    assert frame["traffic_volume"].tolist() == pytest.approx(expected, nan_ok=True)
    assert [detail["stations"] for detail in frame["raw_data"]] == [3, 0, 1, 3, 3, 3]
    assert [detail["coverage"] for detail in frame["raw_data"]][:3] == [1, 0, 0.3333]
    assert frame["date"].iloc[0] == NOON  # rows begin with the first hour collected
    assert set(frame["source"]) == {"valencia_opendata"}


def test_loops_are_not_penalised_for_missed_polls(tmp_path: Path) -> None:
    """Two hours, a week of nothing, two hours: the panel is of the hours that were collected."""
    taken = quarters(NOON, 2, a=100, b=300) | quarters(NOON + timedelta(days=8), 2, a=100, b=300)
    made = parsed(tmp_path, taken)
    known = made.frame.dropna(subset="traffic_volume")
    assert known["traffic_volume"].tolist() == [200] * 4
    assert made.provenance["panel"] == {"city": 2}


def test_frozen_timestamp_is_not_data(tmp_path: Path) -> None:
    taken = {NOON + timedelta(minutes=10 * n): [("a", 100, NOON), ("a", 100, NOON)] for n in range(6)}
    made = parsed(tmp_path, taken)
    assert made.frame["traffic_volume"].isna().all()
    assert (made.used, made.rejected) == (1, {"duplicate": 6, "unmoved_stamp": 5})


def test_every_reading_is_rejected_under_the_first_reason_that_holds(tmp_path: Path) -> None:
    at = NOON
    rows: list[Reading] = [
        (None, 1, at), ("b", 1, None), ("c", 1, at + timedelta(hours=1)), ("d", 1, at - timedelta(days=2)),
        ("e", None, at), ("f", float("nan"), at), ("g", "12", at), ("h", -1, at), ("i", 911_392, at), ("j", 0, at),
    ]  # fmt: skip
    made = parsed(tmp_path, {at: rows})
    assert made.rejected == {
        "no_point": 1, "no_stamp": 1, "future_stamp": 1, "outside_month": 1, "no_value": 1, "unreadable": 1,
        "negative": 1, "spike": 1,
    }  # fmt: skip
    assert (made.received, made.used) == (10, 2)


def test_a_month_without_one_good_reading_has_no_row(tmp_path: Path) -> None:
    made = parsed(tmp_path, {NOON: [("a", -1, NOON)]})
    assert made.frame.empty
    assert made.rejected == {"negative": 1}


def test_unreadable_archive_raises(tmp_path: Path) -> None:
    path = tmp_path / snapshots.name(NOON)
    path.write_bytes(b"<html></html>")
    with pytest.raises(PermanentError, match="valencia 2026-09: the archived snapshot cannot be read"):
        ValenciaOpenData().parse(request(), [Payload(path.name, path, LOOPS)])


def test_repeated_october_hour_is_two_hours(tmp_path: Path) -> None:
    start = datetime(2025, 10, 25, 22, tzinfo=UTC)
    taken: dict[datetime, list[Reading]] = {}
    for hour, flow in enumerate((100, 120, 200, 300, 130)):
        taken |= quarters(start + timedelta(hours=hour), 1, a=flow)
    frame = parsed(tmp_path, taken, "2025-10").frame.set_index("date")
    assert frame.loc["2025-10-26T00:00Z", "traffic_volume"] == 200  # two o'clock in summer time
    assert frame.loc["2025-10-26T01:00Z", "traffic_volume"] == 300  # and again
    assert frame.index.is_unique


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11), st.integers(0, 5)), max_size=60), st.randoms())
@settings(max_examples=40, deadline=None)
def test_the_order_and_repetition_of_rows_change_nothing(rows: list[tuple[int, int, int]], random: Any) -> None:
    """Whatever a live layer's paging does to the order of rows, or how often it repeats them."""
    import tempfile

    readings: list[Reading] = [(p, 10 * p + q, NOON + timedelta(minutes=10 * q)) for p, q, _ in rows]
    again = readings + random.sample(readings, len(readings) // 2)
    random.shuffle(again)
    taken = NOON + timedelta(hours=2)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        made, shuffled = parsed(Path(one), {taken: readings}), parsed(Path(two), {taken: again})
    assert made.used == shuffled.used == len({(p, q) for p, q, _ in rows})
    assert np.array_equal(made.frame["traffic_volume"], shuffled.frame["traffic_volume"], equal_nan=True)
