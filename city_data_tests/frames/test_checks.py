"""Each check refuses what it is there to refuse, and passes a whole plausible month."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from city_data.datasets import TRAFFIC, Column, expected_stamps
from city_data.frames import canonical, checks
from city_data.window import Month

MONTH = Month(2026, 10)
STAMPS = expected_stamps(MONTH, "Europe/Madrid", "hourly")


def month(rows: int = len(STAMPS), **columns: object) -> pd.DataFrame:
    values = {"traffic_volume": 200.0, "congestion_level": "low", "average_speed": 60.0, "source": "test"} | columns
    return canonical.canonical_frame(pd.DataFrame({"date": pd.DatetimeIndex(STAMPS[:rows]), **values}), TRAFFIC)


def failed(frame: pd.DataFrame, ended: bool = True) -> dict[str, str]:
    outcomes = checks.evaluate(frame, TRAFFIC, MONTH, "Europe/Madrid", len(STAMPS), ended)
    assert [outcome.name for outcome in outcomes] == list(checks.BLOCKING)
    return {outcome.name: outcome.description for outcome in outcomes if not outcome.passed}


def test_a_whole_plausible_month_passes() -> None:
    assert failed(month()) == {}


@pytest.mark.parametrize(("ended", "refused"), [(True, {"coverage"}), (False, set())])
def test_a_third_of_a_month_is_refused_once_the_month_has_ended(ended: bool, refused: set[str]) -> None:
    assert set(failed(month(rows=250), ended=ended)) == refused


def test_rows_without_a_value_are_no_coverage() -> None:
    empty = month(traffic_volume=None, congestion_level=None, average_speed=None)
    assert "0.0% of 745" in failed(empty, ended=False)["coverage"]


@pytest.mark.parametrize(
    ("column", "value"), [("traffic_volume", -1.0), ("average_speed", 900.0), ("congestion_level", "jammed")]
)
def test_implausible_values_are_refused_by_name(column: str, value: object) -> None:
    text = failed(month(**{column: value}))["plausible_ranges"]
    assert column in text
    assert str(value) in text


def test_repeated_dates_and_rows_outside_the_month_are_refused() -> None:
    frame = month()
    twice = canonical.canonical_frame(pd.concat([frame, frame.iloc[:2]]), TRAFFIC)
    assert "2 repeated dates" in failed(twice)["unique_dates"]
    moved = frame.assign(date=frame["date"] - pd.Timedelta(hours=1))
    assert "1 rows outside 2026-10" in failed(moved)["inside_month"]


def test_a_column_may_be_bounded_on_one_side_or_not_at_all() -> None:
    columns = (Column("noise", "number", "dB", "Noise", low=0), Column("balance", "number", None, "In minus out"))
    dataset = replace(TRAFFIC, columns=columns)
    frame = pd.DataFrame({"date": pd.DatetimeIndex(STAMPS), "noise": -1.0, "balance": -1e9, "source": "test"})
    outcomes = checks.evaluate(
        canonical.canonical_frame(frame, dataset), dataset, MONTH, "Europe/Madrid", len(STAMPS), True
    )
    assert [o.description for o in outcomes if not o.passed] == ["noise: 745 rows, such as -1.0"]
