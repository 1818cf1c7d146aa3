"""Changed bytes of every provider come to the oracle's month, a month that says what it lacks, or a typed outcome."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from city_data.providers import discover
from city_data.providers.barcelona_opendata import BarcelonaOpenData
from city_data.providers.base import ParsedMonth, Payload, Request
from city_data_tests.fuzz import judging, running
from city_data_tests.fuzz.__main__ import main
from city_data_tests.fuzz.seeds import seeds_of

CASES, SEED = 60, 20261124  # a fixed few; `make fuzz` runs any number


@pytest.mark.parametrize("provider", sorted(discover()))
def test_mutated_bytes_give_a_correct_month_a_finding_or_a_typed_error(provider: str) -> None:
    tally = running.run(provider, CASES, SEED)
    faults = [(failure.seed.name, failure.verdict, failure.payloads) for failure in tally.failures]
    assert faults == []
    assert sum(tally.kinds.values()) == CASES
    assert tally.kinds["month"] > CASES / 20, "most changes are refused: nothing is compared"


@pytest.mark.parametrize("provider", sorted(discover()))
def test_unmutated_seeds_pass_their_oracle(provider: str) -> None:
    for seed in seeds_of(provider):
        assert not (verdict := judging.judged(seed, seed.payloads, {})).is_fault, (seed.name, verdict)


def test_equal_arguments_generate_equal_cases() -> None:
    one, two = (running.run("barcelona_opendata", 20, 5) for _ in range(2))
    assert one.kinds == two.kinds


class Spoilt(BarcelonaOpenData):
    """Barcelona's parser with a fault in one of five sizes of a file, which the fuzzer must find."""

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        month = super().parse(request, payloads)
        if payloads[0].path.stat().st_size % 5:
            return month
        if self.fault == "untyped":
            raise KeyError("a fault")
        month.frame["congestion_level"] = "severe"
        return month


@pytest.mark.parametrize(("fault", "cases"), [("silent", 160), ("untyped", 60)])
def test_planted_fault_is_detected_minimised_and_saved(
    fault: str, cases: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("city_data_tests.fuzz.seeds.discover", lambda: {"barcelona_opendata": Spoilt(fault)})
    arguments = ["--cases", str(cases), "--provider", "barcelona_opendata", "--seed", "1", "--folder", str(tmp_path)]
    assert main(arguments) == 1
    told = [json.loads(path.read_bytes()) for path in tmp_path.glob("*/case.json")]
    assert {case["kind"] for case in told} == {fault}
    assert f": {fault}: " in capsys.readouterr().out
