"""Valencia's malformed readings and answers: early timestamps, slow loops, repeats, arbitrary values."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from city_data.datasets import TRAFFIC
from city_data.frames import checks
from city_data.frames.canonical import canonical_frame
from city_data.providers.base import NoSnapshot, ParsedMonth, Payload, PermanentError, ProviderError
from city_data.providers.valencia_opendata import LOOPS, ValenciaOpenData
from city_data.providers.valencia_opendata import polls as snapshots
from city_data_tests.providers.test_valencia import NOON, Reading, answer, parsed, polled, quarters, request
from city_data_tests.providers.wire import Site
from city_data_tests.sandbox.asking import accounted

OCTOBER = datetime(2026, 10, 2, tzinfo=UTC)


def archived(folder: Path, bodies: dict[datetime, bytes], as_of: datetime = NOON) -> ParsedMonth:
    payloads = []
    for moment, body in bodies.items():
        path = folder / snapshots.name(moment)
        path.write_bytes(body)
        payloads.append(Payload(path.name, path, LOOPS))
    return accounted(ValenciaOpenData().parse(request(as_of=as_of), payloads))


def volumes(made: ParsedMonth) -> list[float | None]:
    return [None if value != value else float(value) for value in made.frame["traffic_volume"]]


def test_reading_seen_before_its_own_time_never_counts(tmp_path: Path) -> None:
    """A feed that stamps local time as UTC is an hour or two ahead: later the same stamps look like news."""
    taken = quarters(NOON, 6, a=100)
    early = {moment: [*rows, ("b", 900, moment + timedelta(minutes=59))] for moment, rows in taken.items()}
    late = {moment + timedelta(hours=2): [("b", 900, moment + timedelta(minutes=59))] for moment in taken}
    made = parsed(tmp_path, early | {moment: [*early.get(moment, []), *rows] for moment, rows in late.items()})
    assert made.rejected["future_stamp"] == 48
    assert set(volumes(made)) == {100}


def test_refused_timestamp_is_refused_in_every_poll(tmp_path: Path) -> None:
    stamp = NOON + timedelta(minutes=30)
    polls: dict[datetime, list[Reading]] = {NOON + timedelta(minutes=n): [("a", 5, stamp)] for n in (0, 10, 31, 41)}
    made = parsed(tmp_path, polls)
    assert (made.used, made.rejected) == (0, {"future_stamp": 4})


@pytest.mark.parametrize("minutes", [1, 3, 5, 10, 15, 20, 30, 60])
def test_hours_are_valid_at_any_cadence_of_a_loop(tmp_path: Path, minutes: int) -> None:
    stamps = [NOON + timedelta(minutes=minutes * n) for n in range(12 * 60 // minutes)]
    made = parsed(tmp_path, {stamp: [("a", 100, stamp), ("b", 300, stamp)] for stamp in stamps})
    assert volumes(made) == [200] * 12
    assert made.used == made.received


@pytest.mark.parametrize(("minutes", "missing", "hours"), [(15, 1, 1), (15, 2, 0), (30, 1, 0), (60, 1, 0)])
def test_hour_missing_many_readings_of_its_cadence_has_no_value(
    tmp_path: Path, minutes: int, missing: int, hours: int
) -> None:
    an_hour = 60 // minutes
    stamps = [NOON + timedelta(minutes=minutes * n) for n in range(8 * an_hour)]
    del stamps[4 * an_hour : 4 * an_hour + missing]
    made = parsed(tmp_path, {stamp: [("a", 100, stamp)] for stamp in stamps})
    assert volumes(made).count(100) == 7 + hours


def test_cadence_of_one_loop_does_not_affect_others(tmp_path: Path) -> None:
    slow = [NOON + timedelta(hours=n) for n in range(8)]
    taken = quarters(NOON, 8, a=100)
    for stamp in slow:
        taken[stamp + timedelta(minutes=1)].append(("b", 300, stamp))
    assert volumes(parsed(tmp_path, taken)) == [200] * 8


def test_lower_median_of_conflicting_flows_counts_in_any_order(tmp_path: Path) -> None:
    for flows in ((100, 900), (900, 100), (900, 50, 100), (None, 100), (100, None, -1)):
        taken = quarters(NOON, 3, a=100)
        for rows in taken.values():
            rows[:] = [("a", flow, rows[0][2]) for flow in flows]
        made = parsed(tmp_path, taken)
        assert volumes(made) == [100] * 3
        assert ("disagreeing" in made.rejected) == (None not in flows)


def test_ended_month_without_a_value_counts_why_and_is_refused_by_its_checks(tmp_path: Path) -> None:
    seconds = {NOON + timedelta(minutes=15 * n): answer(("a", 5, NOON.timestamp() + n)) for n in range(100)}
    month = archived(tmp_path, seconds, OCTOBER)
    assert (month.used, month.received, month.rejected["not_a_time"]) == (0, 100, 100)
    assert checks.month_coverage(canonical_frame(month.frame, TRAFFIC), TRAFFIC, 720, True, True).passed is False
    frozen = {NOON + timedelta(minutes=15 * n): answer(("a", 5, NOON)) for n in range(100)}
    month = archived(tmp_path, frozen, OCTOBER)
    assert (month.used, month.received, month.rejected["unmoved_stamp"]) == (1, 100, 99)
    assert checks.month_coverage(canonical_frame(month.frame, TRAFFIC), TRAFFIC, 720, True, True).passed is False


BAD = {
    "nothing": b"",
    "a byte order mark": b"\xef\xbb\xbf",
    "utf-16": answer(("a", 900, NOON)).decode().encode("utf-16"),
    "html": b"<html></html>",
    "cut": answer(("a", 900, NOON))[:-9],
    "deep": b"[" * 100_000,
    "deep features": b'{"features":' * 50_000,
    "attributes of a list": b'{"features":[{"attributes":[1,2]}]}',
    "attributes of nothing": b'{"features":[{"attributes":null}]}',
    "features of numbers": b'{"features":[1]}',
    "other fields": b'{"features":[{"attributes":{"id":1}}]}',
    "latin-1": '{"features":[],"a":"á"}'.encode("latin-1"),
    "two flows of one loop": answer(("a", 900, NOON)).replace(b'"ih": 900', b'"ih": 100, "ih": 900'),
    "thousands, or a fraction": answer(("a", "1.110", NOON), ("b", 900, NOON)),
    "numbers of 5,000 digits": b'{"features":[{"attributes":{"idpm":1,"ih":' + b"1" * 5000 + b"}}]}",
}


@pytest.mark.parametrize("kind", BAD)
def test_unreadable_stored_poll_is_excluded_and_counted(tmp_path: Path, kind: str) -> None:
    good = {moment: answer(*rows) for moment, rows in quarters(NOON, 3, a=100).items()}
    made = archived(tmp_path, good | {NOON + timedelta(hours=5): BAD[kind]})
    assert volumes(made) == [100] * 3
    assert made.rejected == {"unreadable_poll": 1}
    assert made.provenance["unreadable_snapshots"] == 1
    with pytest.raises(PermanentError, match=r"snapshot cannot be read|layer lacks|not ArcGIS's|ambiguous"):
        archived(tmp_path, {NOON: BAD[kind]})


@pytest.mark.parametrize("write", [str, lambda flow: f" {flow}.0 ", float], ids=["text", "blanks", "decimals"])
def test_flow_in_another_notation_of_a_number_is_read(tmp_path: Path, write: Any) -> None:
    taken = quarters(NOON, 3, a=100)
    for moment, rows in taken.items():
        taken[moment] = [(name, write(flow), stamp) for name, flow, stamp in rows]
    made = parsed(tmp_path, taken)
    assert (volumes(made), made.rejected) == ([100] * 3, {})


@pytest.mark.parametrize("flow", ["100,5", "1.234,5", "alto", "", [100], {"v": 100}, True, float("inf")])
def test_flow_that_is_no_number_is_counted_as_unreadable(tmp_path: Path, flow: Any) -> None:
    taken = quarters(NOON, 3, a=100)
    for moment, rows in taken.items():
        rows.append(("b", flow, moment))
    made = parsed(tmp_path, taken)
    assert (volumes(made), made.rejected) == ([100] * 3, {"unreadable": 12})


def test_stamp_of_another_unit_is_counted_as_no_time(tmp_path: Path) -> None:
    bodies = {
        moment: answer(*rows, ("b", 900, moment.timestamp())) for moment, rows in quarters(NOON, 3, a=100).items()
    }
    made = archived(tmp_path, bodies)
    assert (volumes(made), made.rejected) == ([100] * 3, {"not_a_time": 12})


def test_poll_under_a_name_without_its_moment_is_excluded_and_counted(tmp_path: Path) -> None:
    good = archived(tmp_path, {moment: answer(*rows) for moment, rows in quarters(NOON, 3, a=100).items()})
    foreign = tmp_path / "backup.json"
    foreign.write_bytes(answer(("a", 900, NOON)))
    payloads = [Payload(path.name, path, LOOPS) for path in sorted(tmp_path.glob("2026*.json"))]
    made = ValenciaOpenData().parse(request(), [*payloads, Payload(foreign.name, foreign, LOOPS)])
    assert volumes(made) == volumes(good)
    assert made.rejected == {"unreadable_poll": 1}


def test_byte_order_mark_on_any_page_is_accepted(tmp_path: Path, web: Site) -> None:
    mark = b"\xef\xbb\xbf"
    two_pages = {
        moment: mark + answer(*rows, more=True) + b"\n" + mark + answer(("b", 300, rows[0][2]))
        for moment, rows in quarters(NOON, 3, a=100).items()
    }
    assert volumes(archived(tmp_path, two_pages)) == [200] * 3
    made = polled(web, tmp_path, mark + answer((1, 1, NOON), more=True), mark + answer((2, 2, NOON)))
    assert [len(page.rows) for page in snapshots.pages(made.payload.path.read_bytes())] == [1, 1]


@pytest.mark.parametrize("kind", BAD)
def test_every_stored_poll_can_be_read_back(tmp_path: Path, web: Site, kind: str) -> None:
    with pytest.raises(ProviderError, match="valencia_opendata: valencia 2026-09"):
        polled(web, tmp_path, BAD[kind])
    with pytest.raises(ProviderError):
        polled(web, tmp_path, answer((1, 100, NOON), more=True), BAD[kind])
    assert not list(tmp_path.iterdir())


def test_two_json_documents_in_one_answer_are_refused(tmp_path: Path, web: Site) -> None:
    with pytest.raises(NoSnapshot) as caught:
        polled(web, tmp_path, answer((1, 100, NOON)) * 2)
    assert caught.value.reason == "not_json"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.fixed_dictionaries(dict.fromkeys(snapshots.FIELDS, VALUES)), max_size=4), VALUES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_values_give_a_poll_or_a_typed_error(
    tmp_path: Path, web: Site, rows: list[dict[str, Any]], odd: object
) -> None:
    body = json.dumps({"features": [{"attributes": row} for row in rows], "note": odd}).encode()
    try:
        made = polled(web, tmp_path, body)
    except ProviderError:
        return
    assert archived(tmp_path, {NOON: made.payload.path.read_bytes()}).received == len(rows)
