"""The bench itself: figures are printed as they come, and a part that fails costs its own figures alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from city_data_tests.bench.__main__ import BENCHES, main
from city_data_tests.bench.figure import Figure


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path) -> Iterator[Figure]:
        yield Figure("before the failure", 1.0, 2.0, "s")
        raise RuntimeError("a peer\nfell over")

    for name in list(BENCHES):
        monkeypatch.delitem(BENCHES, name)
    monkeypatch.setitem(BENCHES, "broken", broken)
    monkeypatch.setitem(BENCHES, "whole", lambda _: [Figure("after the failure", 1.0, 2.0, "s")])
    monkeypatch.setitem(BENCHES, "slow", lambda _: [Figure("beyond its limit", 3.0, 2.0, "s")])


@pytest.mark.usefixtures("parts")
def test_part_that_fails_is_named_at_the_end_and_the_others_are_measured(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["broken", "whole"]) == 1
    text = capfd.readouterr().out
    assert text.index("before the failure") < text.index("Traceback") < text.index("after the failure")
    assert text.count("before the failure") == text.count("after the failure") == 2  # at once, and in the table
    assert text.splitlines()[-1] == "failed broken: RuntimeError: a peer fell over"


@pytest.mark.usefixtures("parts")
def test_figure_is_printed_before_the_next_one_is_measured(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    printed: list[str] = []

    def two(folder: Path) -> Iterator[Figure]:
        yield Figure("the first", 1.0, 2.0, "s")
        printed.append(capfd.readouterr().out)
        yield Figure("the second", 1.0, 2.0, "s")

    monkeypatch.setitem(BENCHES, "two", two)
    assert main(["two"]) == 0
    assert "the first: 1 s True" in printed[0]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(("names", "code"), [(["whole"], 0), (["slow"], 1), (["slow", "whole"], 1)])
def test_figure_beyond_its_limit_exits_with_1(names: list[str], code: int) -> None:
    assert main(names) == code
