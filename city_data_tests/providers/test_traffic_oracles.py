"""Traffic providers equal their oracles: on generated months, on clock-change months, on every fixture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from city_data.providers import discover
from city_data.providers.base import Location, Request, Settings
from city_data.window import Month
from city_data_tests.oracles import (
    barcelona_opendata,
    grandlyon_opendata,
    madrid_opendata,
    paris_opendata,
    valencia_opendata,
    zurich_opendata,
)
from city_data_tests.oracles.comparing import differences, hours_of_frame, parse_bytes
from city_data_tests.oracles.months import barcelona_opendata as barcelona_months
from city_data_tests.oracles.months import grandlyon_opendata as lyon_months
from city_data_tests.oracles.months import madrid_opendata as madrid_months
from city_data_tests.oracles.months import paris_opendata as paris_months
from city_data_tests.oracles.months import valencia_opendata as valencia_months
from city_data_tests.oracles.months import zurich_opendata as zurich_months
from city_data_tests.oracles.received import Received
from city_data_tests.providers.cases import Case, cases
from city_data_tests.providers.wire import FIXTURES

ORACLES = {
    "madrid_opendata": madrid_opendata.month,
    "barcelona_opendata": barcelona_opendata.month,
    "valencia_opendata": valencia_opendata.month,
    "paris_opendata": paris_opendata.month,
    "grandlyon_opendata": grandlyon_opendata.month,
    "zurich_opendata": zurich_opendata.month,
}
COLUMNS = {
    "madrid_opendata": ["traffic_volume", "congestion_level", "average_speed"],
    "barcelona_opendata": ["congestion_level"],
    "valencia_opendata": ["traffic_volume"],
    "paris_opendata": ["traffic_volume", "congestion_level"],
    "grandlyon_opendata": ["pedestrian_count"],
    "zurich_opendata": ["traffic_volume", "pedestrian_count"],
}
# Six days of a month without a change of clocks; in October and March up to the day after it.
MONTHS = [(2026, 6, 6), (2025, 10, 27), (2026, 3, 30)]
SEEDS = st.integers(0, 2**32 - 1)
# Few examples: `make fuzz` compares with the same oracles, as often as wanted. A seed cannot be made simpler.
PHASES = (Phase.explicit, Phase.generate)


def request(year: int, month: int) -> Request:
    place = Location("somewhere", 40.0, -3.0, "Europe/Madrid")
    return Request(place, Month(year, month), Settings(), datetime(2026, 11, 24, tzinfo=UTC))


def held_to_oracle(provider: str, asked: Request, payloads: list[Received]) -> int:
    """Compare, and return how many values there were."""
    month = parse_bytes(discover()[provider], asked, payloads)
    assert differences(month, ORACLES[provider](payloads, asked), COLUMNS[provider]) == []
    hours = hours_of_frame(month, COLUMNS[provider]).values()
    return sum(value is not None for hour in hours for value in hour.values())


@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@given(seed=SEEDS)
@settings(max_examples=3, phases=PHASES)
def test_madrid_equals_its_oracle(span: tuple[int, int, int], seed: int) -> None:
    year, month, days = span
    table = madrid_months.rows(Random(seed), year, month, days)
    body = Received.of(f"{month:02d}-{year}.zip", madrid_months.file(table, year, month))
    assert held_to_oracle("madrid_opendata", request(year, month), [body])


@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@given(seed=SEEDS)
@settings(max_examples=5, phases=PHASES)
def test_barcelona_equals_its_oracle(span: tuple[int, int, int], seed: int) -> None:
    year, month, days = span
    body = Received.of("trams.csv", barcelona_months.file(barcelona_months.rows(Random(seed), year, month, days)))
    assert held_to_oracle("barcelona_opendata", request(year, month), [body])


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@given(seed=SEEDS)
@settings(max_examples=5, phases=PHASES)
def test_paris_equals_its_oracle(span: tuple[int, int, int], local: bool, seed: int) -> None:
    year, month, days = span
    rows = paris_months.rows(Random(seed), year, month, days, local=local)
    first, second = rows[: len(rows) * 2 // 3], rows[len(rows) // 2 :]  # as weekly files of the archive overlap
    bodies = [Received.of(f"{n}.txt", paris_months.file(part)) for n, part in enumerate((first, second))]
    assert held_to_oracle("paris_opendata", request(year, month), bodies if local else bodies[:1])


@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@given(seed=SEEDS, write=st.sampled_from([lyon_months.page, lyon_months.file]))
@settings(max_examples=4, phases=PHASES)
def test_lyon_equals_its_oracle(
    span: tuple[int, int, int], seed: int, write: Callable[[Sequence[Sequence[str]]], bytes]
) -> None:
    year, month, days = span
    rows = lyon_months.rows(Random(seed), year, month, days)
    pages = [rows[: len(rows) // 2], rows[len(rows) // 2 - 20 :]]  # rows that came while the pages were fetched
    bodies = [Received.of(f"{n}", write(page)) for n, page in enumerate(pages)]
    assert held_to_oracle("grandlyon_opendata", request(year, month), [*bodies, lyon_months.CHANNELS])


@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@given(seed=SEEDS)
@settings(max_examples=5, phases=PHASES)
def test_zurich_equals_its_oracle(span: tuple[int, int, int], seed: int) -> None:
    zurich_held_to_oracle(span, seed)


def test_months_made_for_zurich_have_values() -> None:
    """Most of them: one without a motorway in its panel, and without one of the three sites, has none."""
    assert sum(zurich_held_to_oracle(MONTHS[0], seed) > 0 for seed in range(10)) > 5


def zurich_held_to_oracle(span: tuple[int, int, int], seed: int) -> int:
    rows, foot = zurich_months.rows(Random(seed), *span), zurich_months.foot_rows(Random(seed), *span)
    half = len(rows) // 2
    pages = [zurich_months.page(rows[half - 3 :], "2.json"), zurich_months.page(rows[:half], "1.json")]
    return held_to_oracle("zurich_opendata", request(*span[:2]), [*pages, zurich_months.foot_file(foot)])


@given(seed=SEEDS, cadence=st.sampled_from([3, 15, 30, 60]), start=st.sampled_from([(2025, 10, 25), (2026, 3, 28)]))
@settings(max_examples=8, phases=PHASES)
def test_valencia_equals_its_oracle(seed: int, cadence: int, start: tuple[int, int, int]) -> None:
    year, month, day = start
    polls = valencia_months.polls(Random(seed), datetime(year, month, day, 20, tzinfo=UTC), 36, cadence)
    payloads = [valencia_months.poll(taken, rows) for taken, rows in polls]
    assert held_to_oracle("valencia_opendata", request(year, month), payloads)


@pytest.mark.parametrize(
    "case", [c for c in cases(FIXTURES) if c.provider.name in ORACLES], ids=lambda c: c.folder.name
)
def test_every_fixture_equals_its_oracle(case: Case) -> None:
    payloads = [Received.of(payload.name, payload.path.read_bytes()) for payload in case.payloads()]
    held_to_oracle(case.provider.name, case.request, payloads)
