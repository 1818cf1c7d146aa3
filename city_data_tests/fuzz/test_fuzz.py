"""Mutated bytes of every provider give the oracle's month, a month with a finding, or a typed error."""

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


def test_time_of_the_processor_alone_makes_a_case_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = seeds_of("barcelona_opendata")[0]
    monkeypatch.setattr("time.process_time", iter((0.0, 20.1, 0.0, 19.9)).__next__)
    assert judging.judged(seed, seed.payloads, {}) == judging.Verdict("slow", "20.1 s")
    assert judging.judged(seed, seed.payloads, {}).kind == "month"


def test_failure_that_does_not_come_again_keeps_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = iter([judging.Verdict("large", "401 MB")])
    monkeypatch.setattr(running, "judged", lambda *_: next(verdicts, judging.Verdict("month")))
    (failure,) = running.run("barcelona_opendata", 2, SEED).failures
    assert (failure.number, failure.verdict) == (0, judging.Verdict("large", "401 MB"))
