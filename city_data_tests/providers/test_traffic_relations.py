"""Metamorphic relations of traffic: other row orders and notations change no value without a mark."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from city_data.providers import discover
from city_data.providers.base import ParsedMonth, PermanentError
from city_data_tests.oracles.comparing import Hours, hours_of_frame, parse_bytes
from city_data_tests.oracles.months import valencia_opendata as valencia_months
from city_data_tests.oracles.months.base import ZONE, Table, moments, tables
from city_data_tests.oracles.received import Received
from city_data_tests.providers.test_traffic_oracles import columns_of, request
from city_data_tests.relations.traffic import (
    OTHER_NUMBERS,
    SAME_ROWS,
    in_column,
    quoted,
    repacked,
    same_bytes,
    times_two,
)

YEAR, MONTH, DAYS = 2026, 6, 4
SEEDS = st.integers(0, 2**32 - 1)
PHASES = (Phase.explicit, Phase.generate)  # a seed cannot be made simpler
FLOW, KIND = 3, 2  # columns of Madrid's
some = settings(max_examples=2, phases=PHASES)
SOURCES = tables()


def month_of(provider: str, *payloads: Received) -> ParsedMonth:
    beside = SOURCES[provider].beside if provider in SOURCES else ()
    return parse_bytes(discover()[provider], request(YEAR, MONTH), [*payloads, *beside])


def written(provider: str, rows: Table) -> Received:
    return SOURCES[provider].write(rows, YEAR, MONTH)


def rewritten(body: Received, change: Callable[[bytes], bytes]) -> bytes:
    """A file with another text, which may be in a ZIP."""
    return repacked(body, change) if body[:2] == b"PK" else change(body)


def values(provider: str, month: ParsedMonth) -> Hours:
    """Hours that have a value, bit by bit."""
    found = hours_of_frame(month, columns_of(provider))
    return {stamp: row for stamp, row in found.items() if any(value is not None for value in row.values())}


def rows_of(provider: str, seed: int) -> Table:
    return SOURCES[provider].rows(Random(seed), YEAR, MONTH, DAYS)


@cache
def month_of_seed(provider: str, seed: int) -> ParsedMonth:
    """The month of unchanged rows, which has values."""
    month = month_of(provider, written(provider, rows_of(provider, seed)))
    assert values(provider, month)
    return month


@pytest.mark.parametrize("change", SAME_ROWS)
@pytest.mark.parametrize("provider", SOURCES)
@given(seed=SEEDS)
@some
def test_rows_in_another_order_or_twice_are_the_same_month(provider: str, change: str, seed: int) -> None:
    changed = SAME_ROWS[change](Random(seed), rows_of(provider, seed))
    before, after = month_of_seed(provider, seed), month_of(provider, written(provider, changed))
    assert values(provider, after) == values(provider, before)
    assert after.used == before.used


@pytest.mark.parametrize("spelling", same_bytes(";"))
@pytest.mark.parametrize("provider", SOURCES)
def test_file_in_another_notation_is_the_same_month(provider: str, spelling: str) -> None:
    body = written(provider, rows_of(provider, 5))
    changed = rewritten(body, same_bytes(SOURCES[provider].separator)[spelling])
    before, after = month_of_seed(provider, 5), month_of(provider, Received.of(body.name, changed))
    assert values(provider, after) == values(provider, before)
    assert (after.used, after.rejected, after.nulled) == (before.used, before.rejected, before.nulled)


@pytest.mark.parametrize("spelling", OTHER_NUMBERS)
@pytest.mark.parametrize(
    ("provider", "column"), [(provider, column) for provider, table in SOURCES.items() for column in table.numbers]
)
@pytest.mark.parametrize("quotes", [False, True])
def test_numbers_in_another_notation_are_equal_or_refused(
    provider: str, column: int, spelling: str, quotes: bool
) -> None:
    before = month_of_seed(provider, 6)
    body = written(provider, in_column(column, OTHER_NUMBERS[spelling])(Random(), rows_of(provider, 6)))
    if quotes:
        body = Received.of(body.name, rewritten(body, quoted(SOURCES[provider].separator)))
    try:
        after = month_of(provider, body)
    except PermanentError:
        return
    wrong = {stamp for stamp, row in values(provider, after).items() if values(provider, before).get(stamp) != row}
    assert not wrong or after.used < before.used or sum(after.nulled.values()) > sum(before.nulled.values())


@given(seed=SEEDS)
@some
def test_twice_the_readings_are_twice_the_volume(seed: int) -> None:
    rows = [row for row in rows_of("madrid_opendata", seed) if row[FLOW] not in ("27943", "9000")]
    before, after = (
        month_of("madrid_opendata", written("madrid_opendata", table))
        for table in (rows, times_two(FLOW)(Random(), rows))
    )
    one, two = (values("madrid_opendata", month) for month in (before, after))
    assert one.keys() == two.keys()
    for stamp, row in two.items():
        assert row["congestion_level"] == one[stamp]["congestion_level"]
        assert row["average_speed"] == one[stamp]["average_speed"]
        volume = one[stamp]["traffic_volume"]
        assert row["traffic_volume"] == (None if volume is None else pytest.approx(2 * float(volume), rel=1e-12))


@given(seed=SEEDS)
@some
def test_twice_the_counts_are_twice_the_volume_of_paris(seed: int) -> None:
    rows = [row for row in rows_of("paris_opendata", seed) if row[2] not in ("27943", "9000")]
    before, after = (
        month_of("paris_opendata", written("paris_opendata", table)) for table in (rows, times_two(2)(Random(), rows))
    )
    one, two = (values("paris_opendata", month) for month in (before, after))
    assert one.keys() == two.keys()
    for stamp, row in two.items():
        assert row["congestion_level"] == one[stamp]["congestion_level"]
        volume = one[stamp]["traffic_volume"]
        assert row["traffic_volume"] == (None if volume is None else pytest.approx(2 * float(volume), rel=1e-12))


@pytest.mark.parametrize("kind", ["M30", "URB"])
@pytest.mark.parametrize("spoil", ["gone", "unlabelled", "other label", "no samples", "unreadable"])
def test_lost_stratum_leaves_no_volume_and_is_reported(kind: str, spoil: str) -> None:
    rows = [[*row[:KIND], "M30" if int(row[0]) < 3000 else "URB", *row[3:]] for row in rows_of("madrid_opendata", 8)]
    changes: dict[str, Callable[[list[str]], list[str] | None]] = {
        "gone": lambda row: None,
        "unlabelled": lambda row: [*row[:KIND], "", *row[3:]],
        "other label": lambda row: [*row[:KIND], "AUTOPISTA", *row[3:]],
        "no samples": lambda row: [*row[:-1], "0"],
        "unreadable": lambda row: [*row[:FLOW], f"{row[FLOW]},0", *row[FLOW + 1 :]],
    }
    spoilt = [made for row in rows if (made := changes[spoil](row) if row[KIND] == kind else row) is not None]
    try:
        month = month_of("madrid_opendata", written("madrid_opendata", spoilt))
    except PermanentError:
        assert spoil == "unreadable"
        return
    assert month.frame["traffic_volume"].isna().all()
    assert set(month.nulled) >= {f"no_panel_{'m30' if kind == 'M30' else 'urban'}:intensidad"}


def test_dead_station_shifts_the_city_by_at_most_its_estimate() -> None:
    """Stations of one profile: without one of them the panel's values stand, at a lower coverage."""
    labels = {3001: "URB", 3002: "URB", 3003: "URB", 1001: "M30"}
    rows = [
        [str(station), f"{moment.astimezone(ZONE):%Y-%m-%d %H:%M:%S}", label,
         str(100 + moment.hour * station % 7), "1", "20", "80", "N", "15"]
        for station, label in labels.items()
        for moment in moments(YEAR, MONTH, 20, 15)
    ]  # fmt: skip
    whole = values("madrid_opendata", month_of("madrid_opendata", written("madrid_opendata", rows)))
    dead = [row for row in rows if row[0] != "3002" or int(row[1][8:10]) <= 15]
    month = month_of("madrid_opendata", written("madrid_opendata", dead))
    for stamp, row in values("madrid_opendata", month).items():
        assert row["traffic_volume"] == pytest.approx(whole[stamp]["traffic_volume"])
    assert month.frame["raw_data"].iloc[-1]["coverage"] < 1
    silent = [row for row in rows if row[0] != "3002"]
    gone = month_of("madrid_opendata", written("madrid_opendata", silent))
    assert gone.provenance["points"] == 3


def test_rows_of_another_month_change_nothing_and_are_counted() -> None:
    for provider in SOURCES:
        rows = rows_of(provider, 9)
        other = [["2027" + cell[4:] if cell.startswith("2026") else cell for cell in row] for row in rows[:50]]
        before, after = (month_of(provider, written(provider, table)) for table in (rows, other + rows))
        assert values(provider, after) == values(provider, before)
        assert sum(after.rejected.values()) == sum(before.rejected.values()) + 50


POLLS = valencia_months.polls(Random(3), datetime(2026, 6, 2, tzinfo=UTC), 30)


def valencia(*payloads: Received) -> Hours:
    return values("valencia_opendata", month_of("valencia_opendata", *payloads))


def changed_polls(change: Callable[[datetime, list[valencia_months.Loop]], Received]) -> Hours:
    return valencia(*(change(taken, rows) for taken, rows in POLLS))


VALENCIA: dict[str, Callable[[datetime, list[valencia_months.Loop]], Received]] = {
    "shuffled": lambda taken, rows: valencia_months.poll(taken, Random(1).sample(rows, len(rows))),
    "doubled": lambda taken, rows: valencia_months.poll(taken, rows + rows),
    "split over pages": lambda taken, rows: valencia_months.poll(taken, rows[:2], rows[2:]),
    "pages that overlap": lambda taken, rows: valencia_months.poll(taken, rows[:3], rows[1:]),
    "a byte order mark": lambda taken, rows: of_bytes(taken, rows, lambda body: b"\xef\xbb\xbf" + body),
    "indented": lambda taken, rows: of_bytes(taken, rows, lambda body: json.dumps(json.loads(body), indent=1).encode()),
    "unknown fields": lambda taken, rows: of_bytes(taken, rows, lambda body: body.replace(b'"ih"', b'"x": 1, "ih"')),
    "moments with a point": lambda taken, rows: of_bytes(taken, rows, lambda body: body.replace(b"00}", b"00.0}")),
    "an empty page at the end": lambda taken, rows: valencia_months.poll(taken, rows, []),
}


def of_bytes(taken: datetime, rows: Sequence[valencia_months.Loop], change: Callable[[bytes], bytes]) -> Received:
    body = valencia_months.poll(taken, rows)
    return Received.of(body.name, change(bytes(body)))


@pytest.mark.parametrize("change", VALENCIA)
def test_polls_in_another_notation_are_the_same_month(change: str) -> None:
    before = changed_polls(lambda taken, rows: valencia_months.poll(taken, rows))
    assert before
    assert changed_polls(VALENCIA[change]) == before


def test_poll_order_and_repeated_polls_change_nothing() -> None:
    payloads = [valencia_months.poll(taken, rows) for taken, rows in POLLS]
    again = [valencia_months.poll(taken + timedelta(seconds=1), rows) for taken, rows in POLLS]
    before = valencia(*payloads)
    assert valencia(*Random(2).sample(payloads, len(payloads))) == before
    assert valencia(*payloads, *again) == before


def test_twice_the_flows_are_twice_the_volume_of_valencia() -> None:
    def twice(taken: datetime, rows: list[valencia_months.Loop]) -> Received:
        return valencia_months.poll(taken, [(p, f if f is None or f > 1000 else 2 * f, s) for p, f, s in rows])

    before = changed_polls(lambda taken, rows: valencia_months.poll(taken, rows))
    after = changed_polls(twice)
    assert after.keys() == before.keys()
    for stamp, row in after.items():
        assert row["traffic_volume"] == pytest.approx(2 * float(before[stamp]["traffic_volume"] or 0), rel=1e-12)


@pytest.mark.parametrize("write", [str, lambda flow: f"{flow:.1f}".replace(".", ","), lambda flow: flow / 1000])
def test_valencia_flows_in_another_notation_are_equal_or_counted(write: Callable[[float], object]) -> None:
    before = changed_polls(lambda taken, rows: valencia_months.poll(taken, rows))
    payloads = [
        valencia_months.poll(taken, [(p, f if f is None else write(f), s) for p, f, s in rows])  # type: ignore[misc]
        for taken, rows in POLLS
    ]
    try:
        after = valencia(*payloads)
    except PermanentError:
        return
    if write(5.0) == 0.005:  # a thousandth of a flow is a number like any other
        assert after.keys() == before.keys()
    else:
        assert after in ({}, before)
