"""Traffic providers equal their oracles: on generated months, on clock-change months, on every fixture."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from city_data.providers import discover
from city_data.providers.base import Location, Request, Settings
from city_data.window import Month
from city_data_tests.oracles.comparing import differences, hours_of_frame, parse_bytes
from city_data_tests.oracles.months.base import forms, traffic_providers
from city_data_tests.oracles.received import Received
from city_data_tests.providers.cases import Case, cases
from city_data_tests.providers.wire import FIXTURES

# Six days of a month without a change of clocks; in October and March up to the day after it.
MONTHS = [(2026, 6, 6), (2025, 10, 27), (2026, 3, 30)]
SEEDS = st.integers(0, 2**32 - 1)
# Few examples: `make fuzz` compares with the same oracles, as often as wanted. A seed cannot be made simpler.
PHASES = (Phase.explicit, Phase.generate)
FORMS = forms()


def request(year: int, month: int) -> Request:
    place = Location("somewhere", 40.0, -3.0, "Europe/Madrid")
    return Request(place, Month(year, month), Settings(), datetime(2026, 11, 24, tzinfo=UTC))


def columns_of(provider: str) -> Sequence[str]:
    return list(discover()[provider].capabilities.columns)


def held_to_oracle(provider: str, asked: Request, payloads: list[Received]) -> int:
    """Compare, and return how many values there were."""
    oracle, columns = importlib.import_module(f"city_data_tests.oracles.{provider}"), columns_of(provider)
    month = parse_bytes(discover()[provider], asked, payloads)
    assert differences(month, oracle.month(payloads, asked), columns) == []
    return sum(value is not None for hour in hours_of_frame(month, columns).values() for value in hour.values())


def values_of_generated(label: str, span: tuple[int, int, int], seed: int) -> int:
    provider, form = FORMS[label]
    return held_to_oracle(provider, request(*span[:2]), form.payloads(Random(seed), *span))


@pytest.mark.parametrize("span", MONTHS, ids=lambda span: f"{span[0]}-{span[1]:02d}")
@pytest.mark.parametrize("label", FORMS)
def test_generated_month_equals_its_oracle(label: str, span: tuple[int, int, int]) -> None:
    _, form = FORMS[label]

    @given(seed=SEEDS)
    @settings(max_examples=form.examples, phases=PHASES)
    def one(seed: int) -> None:
        assert values_of_generated(label, span, seed) or form.is_sparse

    one()


@pytest.mark.parametrize("label", [label for label, (_, form) in FORMS.items() if form.is_sparse])
def test_most_of_the_sparse_months_have_values(label: str) -> None:
    assert sum(values_of_generated(label, MONTHS[0], seed) > 0 for seed in range(10)) > 5


@pytest.mark.parametrize(
    "case", [c for c in cases(FIXTURES) if c.provider.name in traffic_providers()], ids=lambda c: c.folder.name
)
def test_every_fixture_equals_its_oracle(case: Case) -> None:
    payloads = [Received.of(payload.name, payload.path.read_bytes()) for payload in case.payloads()]
    held_to_oracle(case.provider.name, case.request, payloads)
