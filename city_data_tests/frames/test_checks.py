"""Each check refuses its own fault and passes a whole plausible month."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from city_data.columns import Column
from city_data.datasets import TRAFFIC, WEATHER, expected_stamps
from city_data.frames import canonical, checks
from city_data.frames.checks import Odd
from city_data.window import Month

MONTH = Month(2026, 10)
STAMPS = expected_stamps(MONTH, "Europe/Madrid", "hourly")


def month(rows: int = len(STAMPS), **columns: object) -> pd.DataFrame:
    values = {"traffic_volume": 200.0, "congestion_level": "low", "average_speed": 60.0, "source": "test"} | columns
    return canonical.canonical_frame(pd.DataFrame({"date": pd.DatetimeIndex(STAMPS[:rows]), **values}), TRAFFIC)


def covered(frame: pd.DataFrame, ended: bool = True, forward_only: bool = False) -> checks.Outcome:
    return checks.month_coverage(frame, TRAFFIC, len(STAMPS), ended, forward_only)


def test_a_whole_month_is_covered() -> None:
    assert covered(month()).passed
    assert covered(month()).blocking


@pytest.mark.parametrize(("ended", "passed"), [(True, False), (False, True)])
def test_a_third_of_a_month_is_refused_once_the_month_has_ended(ended: bool, passed: bool) -> None:
    assert covered(month(rows=250), ended=ended).passed == passed


@pytest.mark.parametrize("forward_only", [False, True])
def test_month_without_a_value_is_refused_for_files_and_live_feeds(forward_only: bool) -> None:
    empty = month(traffic_volume=None, congestion_level=None, average_speed=None)
    outcome = covered(empty, ended=False, forward_only=forward_only)
    assert not outcome.passed
    assert "0.0% of 745" in outcome.description


def test_partial_month_of_a_live_feed_is_accepted() -> None:
    assert covered(month(rows=10), forward_only=True).passed


@pytest.mark.parametrize(
    ("column", "value"), [("traffic_volume", -1.0), ("average_speed", 900.0), ("congestion_level", "jammed")]
)
def test_implausible_values_are_reported_by_column_and_date(column: str, value: object) -> None:
    frame = month()
    frame.loc[[3, 7], column] = value
    assert checks.implausible(frame, TRAFFIC) == {column: [3, 7]}
    assert checks.implausible(month(), TRAFFIC) == {}


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([0.4, 0.55, 0.7, 1.0, 0.0, *[0.5] * 21, None], 26),
        ([0.4, 0.55, 0.7, 1.1, *[0.5] * 21], 0),
        ([0.0, *[1.0] * 26], 0),
        ([0.2, 0.4, 0.3], 0),  # clouds of the first days of July
    ],
)
def test_percent_column_of_nothing_but_shares_of_one_is_implausible(values: list[float | None], cells: int) -> None:
    frame = pd.DataFrame({"date": pd.DatetimeIndex(STAMPS[: len(values)]), "humidity": values, "source": "test"})
    found = checks.implausible(canonical.canonical_frame(frame, WEATHER), WEATHER)
    assert found == ({"humidity": list(range(cells))} if cells else {})


def test_infinity_is_implausible_even_in_an_unbounded_column() -> None:
    columns = (Column("noise", "number", "dB", "Noise", low=0), Column("balance", "number", None, "In minus out"))
    dataset = replace(TRAFFIC, columns=columns)
    values = {"noise": [-1.0, 5.0, float("inf")], "balance": [-1e9, float("-inf"), None]}
    frame = pd.DataFrame({"date": pd.DatetimeIndex(STAMPS[:3]), "source": "test", **values})
    assert checks.implausible(canonical.canonical_frame(frame, dataset), dataset) == {"noise": [0, 2], "balance": [1]}


@pytest.mark.parametrize(
    ("cells", "of", "passed"), [(1, 30, True), (3, 30, True), (4, 30, False), (7, 744, True), (8, 744, False)]
)
def test_few_implausible_values_are_tolerated_and_many_refuse_the_month(cells: int, of: int, passed: bool) -> None:
    outcome = checks.ranges({"temperature": Odd(cells, of, "-999.0")}, share=0.01)
    assert (outcome.passed, outcome.blocking) == (passed, True)
    assert f"temperature: {cells} of {of}, such as -999.0" in outcome.description
    assert outcome.metadata["implausible_temperature"] == cells


def test_repeated_dates_and_rows_outside_the_month_are_refused() -> None:
    frame = month()
    twice = canonical.canonical_frame(pd.concat([frame, frame.iloc[:2]]), TRAFFIC)
    assert checks.unique(frame, TRAFFIC).passed
    assert "2 repeated dates" in checks.unique(twice, TRAFFIC).description
    assert not checks.unique(twice, TRAFFIC).passed
    moved = frame.assign(date=frame["date"] - pd.Timedelta(hours=1))
    outcome = checks.inside(moved, MONTH, "Europe/Madrid")
    assert not outcome.passed
    assert "1 rows outside 2026-10" in outcome.description
    assert checks.inside(frame, MONTH, "Europe/Madrid").passed


def test_timestamps_off_the_grid_are_refused() -> None:
    frame = month()
    assert checks.stamps(frame, TRAFFIC, STAMPS, Odd(0, 0)).passed
    halves = pd.concat([frame, frame.assign(date=frame["date"] + pd.Timedelta(minutes=30))])
    outcome = checks.stamps(canonical.canonical_frame(halves, TRAFFIC), TRAFFIC, STAMPS, Odd(0, 0))
    assert not outcome.passed
    assert outcome.metadata["off_grid"] == 745


@pytest.mark.parametrize(
    ("nulled", "observed", "said"),
    [
        ({"unreadable:temperature": 1}, 0, "temperature is empty, and 1 of its cells could not be read"),
        ({"not_a_number:tmed": 46}, 30, "tmed: 46 cells of 90 used rows could not be read"),
        ({"ambiguous:tmed": 40, "unreadable:tmed": 40}, 30, "tmed: 80 cells"),
        ({"not_a_number:tmed": 45}, 30, None),
        ({"doubtful:temperature": 90, "no_hourly_sum:precipitation": 90}, 0, None),
        ({}, 0, None),
    ],
)
def test_column_whose_cells_do_not_parse_refuses_the_month(
    nulled: dict[str, int], observed: int, said: str | None
) -> None:
    outcome = checks.readable(nulled, 90, {"temperature": observed})
    assert outcome.passed == (said is None)
    assert said is None or said in outcome.description


@pytest.mark.parametrize(
    ("received", "used", "rejected", "ended", "passed"),
    [
        (100, 50, {"other_month": 50}, True, True),
        (100, 49, {"other_month": 51}, True, False),
        (100, 9, {"no_value": 91}, False, True),  # hours that the source has yet to fill
        (400, 100, {"duplicate": 300}, True, True),  # the same file four times lacks nothing
        (391, 3, {"other_station": 388}, True, True),
        (400, 100, {"disagreeing": 300}, True, True),  # each time has its value: `agreement` judges these rows
        (0, 0, {}, True, True),  # judged by its coverage
    ],
)
def test_too_small_a_share_of_used_rows_is_refused(
    received: int, used: int, rejected: dict[str, int], ended: bool, passed: bool
) -> None:
    outcome = checks.used_rows(received, used, rejected, 0.5, ended)
    assert (outcome.passed, outcome.blocking) == (passed, True)
    assert f"{used} of {received} rows used" in outcome.description


@pytest.mark.parametrize(
    ("rejected", "passed"),
    [
        ({"not_a_state": 7}, True),
        ({"not_a_state": 5, "no_segment": 4}, False),
        ({"unreadable": 9}, False),
        ({"no_value": 500, "outside_month": 100, "duplicate": 90, "negative": 9}, True),
    ],
)
def test_unreadable_rows_are_a_finding_however_many_rows_are_without_data(
    rejected: dict[str, int], passed: bool
) -> None:
    outcome = checks.readable_rows(720, rejected)
    assert (outcome.passed, outcome.blocking) == (passed, False)
    assert passed or "9 of 720" in outcome.description


@pytest.mark.parametrize(
    ("disagreeing", "forward_only", "published", "silent"),
    [
        (0, False, True, True),
        (7, False, True, True),  # 1 % of 720
        (8, False, True, False),
        (360, False, True, False),
        (361, False, False, False),  # two stations under one name, or two versions of each day
        (4_000, True, True, False),  # a live feed revises the reading of a stamp from poll to poll
    ],
)
def test_rows_that_disagree_are_a_finding_and_refuse_the_month_where_most_do(
    disagreeing: int, forward_only: bool, published: bool, silent: bool
) -> None:
    most, many = checks.agreement(720, {"disagreeing": disagreeing, "duplicate": 9}, forward_only)
    assert [(most.passed, most.blocking), (many.passed, many.blocking)] == [(published, True), (silent, False)]
    assert f"{disagreeing:,} of 720" in many.description


@pytest.mark.parametrize(("swapped", "published", "silent"), [(0, True, True), (1, True, True), (40, True, False),
                                                              (500, False, False)])  # fmt: skip
def test_extremes_beyond_their_mean_are_a_finding_and_refuse_the_month_where_most_are(
    swapped: int, published: bool, silent: bool
) -> None:
    """Two columns that change places lie in the same range."""
    low, high = ([value] * len(STAMPS) for value in (9.0, 19.0))
    low[:swapped], high[:swapped] = high[:swapped], low[:swapped]
    values = {"temperature": 14.0, "temperature_min": low, "temperature_max": high, "source": "test"}
    frame = canonical.canonical_frame(pd.DataFrame({"date": pd.DatetimeIndex(STAMPS), **values}), WEATHER)
    most, many = checks.extremes(frame, WEATHER)
    assert [(most.passed, most.blocking), (many.passed, many.blocking)] == [(published, True), (silent, False)]
    assert ("temperature_min: 500 of 745, such as 19.0 and a temperature of 14.0" in many.description) == (
        not published
    )


def test_empty_promised_column_and_many_nulled_cells_warn_without_refusing() -> None:
    empty = checks.promised({"temperature": 30, "pressure": 0, "description": 0})
    assert (empty.passed, empty.blocking) == (False, False)
    assert empty.metadata["empty_columns"] == "description, pressure"
    assert checks.promised({"temperature": 1}).passed
    many = checks.nulled_values({"unreadable:tmed": 4, "implausible:prec": 3, "doubtful:T": 90}, 90)
    assert (many.passed, many.blocking) == (False, False)
    assert many.description == "tmed: 4 of 90"
    assert many.metadata["nulled"] == 97
    assert set(checks.REPORTED) == {empty.name, many.name, "agreeing_rows", "agreeing_extremes", "readable_rows"}


def test_a_column_may_be_bounded_on_one_side_or_not_at_all() -> None:
    columns = (Column("noise", "number", "dB", "Noise", low=0), Column("balance", "number", None, "In minus out"))
    dataset = replace(TRAFFIC, columns=columns)
    frame = pd.DataFrame({"date": pd.DatetimeIndex(STAMPS), "noise": -1.0, "balance": -1e9, "source": "test"})
    places = checks.implausible(canonical.canonical_frame(frame, dataset), dataset)
    assert places == {"noise": list(range(len(STAMPS)))}
