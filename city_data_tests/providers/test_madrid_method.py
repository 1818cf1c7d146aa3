"""The city-hour, method version 1: dying sensors, growing networks, outages, repeated rows, and the clocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from city_data.providers.base import PermanentError
from city_data.providers.madrid_opendata.hours import STRATA_WEIGHTS
from city_data.providers.shared import city_hours
from city_data.window import Month
from city_data_tests.providers.madrid_files import HEADER, hour, parsed, rows, zipped

M30 = {"kind": "M30", "rest": "1;0;80;N;5"}
WEEK = 168
NO_SPEED = {"kind": "M30", "rest": "1;0;0;N;5"}
Floats = NDArray[np.float64]


def both(stamp: str, flow: object) -> list[str]:
    """An hour of an urban point and of one on the M30, without which there is no volume."""
    return hour(3001, stamp, flow) + hour(1001, stamp, flow, **NO_SPEED)


def days(month: str, first: int, last: int) -> Iterator[str]:
    """Every hour's stamp on the clock's face, `2026-09-01 00`."""
    for day in range(first, last + 1):
        for clock in range(24):
            yield f"{month}-{day:02d} {clock:02d}"


def estimate(
    flow: NDArray[np.float64], m30: list[bool] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volume and coverage; of one stratum, where nothing is said of the M30."""
    motorway = np.array(m30 or [False] * len(flow))
    strata = {"urban": ~motorway, "m30": motorway} if m30 else {"city": ~motorway}
    weights = STRATA_WEIGHTS if m30 else {"city": 1.0}
    made = city_hours.estimate(flow, strata, weights, np.arange(flow.shape[1]) % WEEK)
    return made.volume, made.coverage


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_losing_sensors_does_not_shift_the_city(seed: int) -> None:
    """Where every point keeps its own weekly profile, no pattern of losses changes the city: only its coverage."""
    random = np.random.default_rng(seed)
    profile = random.uniform(20, 2000, (12, 1)) * random.uniform(0.2, 1.5, (1, WEEK))
    whole = np.tile(profile, 4)
    m30 = [n < 3 for n in range(12)]
    expected, full = estimate(whole, m30)
    lost = whole.copy()
    lost[random.random(whole.shape) < 0.25] = np.nan
    seen = random.integers(0, 4, (12, WEEK)) * WEEK + np.arange(WEEK)  # each hour of the week at least once
    np.put_along_axis(lost, seen, profile, axis=1)
    volume, coverage = estimate(lost, m30)
    known = ~np.isnan(volume)
    assert known.mean() > 0.9
    assert np.allclose(volume[known], expected[known], rtol=1e-5)
    assert (full == 1).all()
    assert ((coverage >= 0.5) | ~known).all()
    urban, motorway = whole[3:].mean(axis=0), whole[:3].mean(axis=0)
    assert np.allclose(expected, STRATA_WEIGHTS["urban"] * urban + STRATA_WEIGHTS["m30"] * motorway, rtol=1e-5)


def test_growing_network_does_not_shift_the_city() -> None:
    """Points that come in the last week are outside the panel, however busy."""
    flow = np.full((4, 4 * WEEK), 100.0)
    flow[3] = np.where(np.arange(4 * WEEK) < 3 * WEEK, np.nan, 5000)
    volume, coverage = estimate(flow)
    assert np.allclose(volume, 100)
    assert (coverage == 1).all()


def test_below_half_coverage_there_is_no_value() -> None:
    flow = np.full((4, 4 * WEEK), 100.0)
    flow[:2, 10] = np.nan
    flow[:3, 11] = np.nan
    flow[:, 12] = np.nan
    volume, coverage = estimate(flow)
    assert coverage[10:13].tolist() == [0.5, 0.25, 0]
    assert volume[10] == 100
    assert np.isnan(volume[11:13]).all()


def test_missing_stratum_leaves_no_value() -> None:
    """The motorway counts ten times what a street does: an hour without it must not look like an empty city."""
    flow = np.full((10, 4 * WEEK), 100.0)
    flow[0] = 900
    flow[0, 5] = np.nan
    volume, coverage = estimate(flow, [True] + [False] * 9)
    assert coverage[5] >= 0.5
    assert np.isnan(volume[5])
    assert volume[4] == pytest.approx(0.9 * 100 + 0.1 * 900)


def test_young_month_does_not_drop_where_a_sensor_has_no_profile_yet() -> None:
    flow = np.full((10, 48), 100.0)
    flow[0, 7] = np.nan
    volume, coverage = estimate(flow)
    assert volume[7] == 100
    assert coverage[7] == pytest.approx(0.9)


def test_open_month_is_judged_on_its_elapsed_hours(tmp_path: Path) -> None:
    lines = [
        line for stamp in days("2026-09", 1, 2) for line in hour(3001, stamp, 100) + hour(1001, stamp, 1000, **M30)
    ]
    made = parsed(rows(tmp_path, "2026-09", lines), "2026-09")
    assert len(made.frame) == 48
    assert made.frame["traffic_volume"].unique().tolist() == [190]
    assert made.provenance["panel"] == {"urban": 1, "m30": 1}


def test_zero_counts_and_missing_does_not(tmp_path: Path) -> None:
    flows = ("0", "NaN", "50", "50")
    lines = [line for clock, flow in enumerate(flows) for line in both(f"2026-09-01 {clock:02d}", flow)]
    frame = parsed(rows(tmp_path, "2026-09", lines), "2026-09").frame
    assert frame["traffic_volume"].tolist() == pytest.approx([0, float("nan"), 50, 50], nan_ok=True)
    assert frame["congestion_level"].tolist() == [None, None, "low", "low"]  # weighted by no flow
    assert frame["average_speed"].isna().all()


def test_rows_are_rejected_by_reason(tmp_path: Path) -> None:
    good = [line for clock in range(8) for line in hour(3001, f"2026-09-01 {clock:02d}", 100)]
    bad = [
        "3001;2026-09-01 08:00:00;URB;100;1;20;0;S;15",
        "3001;2026-09-01 08:15:00;URB;-1;1;20;0;N;15",
        "3001;2026-09-01 08:30:00;URB;NaN;1;20;0;N;15",
        "3001;2026-09-01 08:45:00;URB;;1;20;0;N;15",
        "3001;2026-09-01 09:00:00;URB;27943;1;20;0;N;15",
        "3001;2026-09-01 09:15:00;URB;100;1;20;0;N;0",
        "3001;2026-08-31 23:45:00;URB;100;1;20;0;N;15",
        ";2026-09-01 09:30:00;URB;100;1;20;0;N;15",
        "0;2026-09-01 09:45:00;URB;100;1;20;0;N;15",
    ]
    doubtful = ["3002;2026-09-01 00:00:00;URB;100;1;20;0;E;15", "3002;2026-09-01 00:15:00;URB;100;1;20;0;;15"]
    made = parsed(rows(tmp_path, "2026-09", [*good, *bad, *doubtful]), "2026-09")
    assert made.rejected == {
        "error_s": 1, "negative": 1, "not_a_number": 2, "spike": 1, "no_samples": 1, "other_month": 3
    }  # fmt: skip
    assert made.provenance["valid_rows"] == {"doubtful": 1, "unmarked": 1, "clean": 32}
    assert made.received == 43


@given(
    st.lists(st.sampled_from(["100", "NaN", "-1", "27943", "", "x"]), min_size=1, max_size=6),
    st.lists(st.sampled_from([*range(18, 34), 44]), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["2025-10", "2026-03", "2026-06"]),
)
@settings(max_examples=40, deadline=None)
def test_row_counts_add_up_for_any_file(flows: list[str], clocks: list[int], times: int, month: str) -> None:
    """Hours around the change of clocks, repeated in whole or in part, valid or not: no row is counted twice or never.

    Clock 18 is the evening before, 33 the morning after, and 44 an evening that June does not have.
    """
    good = [line for stamp in days(month, 1, 2) for line in hour(3001, stamp, 100)]
    odd = []
    for n, clock in enumerate(clocks):
        day = {"2025-10": 25, "2026-03": 28, "2026-06": 30}[month] + clock // 24
        odd += hour(3001 + n % 2, f"{month}-{day:02d} {clock % 24:02d}", flows[n % len(flows)])
    with TemporaryDirectory() as folder:
        made = parsed(rows(Path(folder), month, good + odd * times), month)
    assert made.received == len(good) + len(odd) * times


@pytest.mark.parametrize("times", [2, 4, 5, 12])
def test_repeated_rows_count_once(tmp_path: Path, times: int) -> None:
    once = [line for clock in range(4) for line in both(f"2026-09-01 {clock:02d}", 100 * clock)]
    made = parsed(rows(tmp_path, "2026-09", once * times), "2026-09")
    assert made.frame["traffic_volume"].tolist() == pytest.approx([0, 100, 200, 300])
    assert made.rejected == {"duplicate": 32 * (times - 1)}


def test_rows_per_minute_are_refused_as_another_format(tmp_path: Path) -> None:
    lines = [f"3001;2026-09-01 00:{minute:02d}:00;URB;100;1;20;0;N;15" for minute in range(60)]
    with pytest.raises(PermanentError, match="60 different times in one hour"):
        parsed(rows(tmp_path, "2026-09", lines), "2026-09")


@pytest.mark.parametrize(
    ("stamps", "said"),
    [
        ([f"{day:02d}/06/2023 05:00" for day in range(1, 29)], None),
        ([f"06/{day:02d}/2023 05:00" for day in range(1, 29)], "could be month first"),
        ([f"06/{day:02d}/2023 05:00" for day in range(1, 13)], "not of the month"),
        (["01/06/2023 05:00", "2023-06-02 05:00:00"], "neither"),
        ([f"2023-05-{day:02d} 05:00:00" for day in range(1, 29)], "not of the month"),
        (["yesterday"], "neither"),
    ],
)
def test_day_first_dates_are_read_and_ambiguous_ones_refused(
    tmp_path: Path, stamps: list[str], said: str | None
) -> None:
    path = rows(
        tmp_path, "2023-06", [f"{3001 + n % 2};{stamp};URB;{n};1;20;0;N;15" for n, stamp in enumerate(stamps * 2)]
    )
    if said is None:
        made = parsed(path, "2023-06")
        assert made.frame["date"].iloc[-1] == Month(2023, 6).bounds("Europe/Madrid")[0].replace(month=6, day=28, hour=3)
        assert made.received == 56
    else:
        with pytest.raises(PermanentError, match=said):
            parsed(path, "2023-06")


def october(doubled: bool) -> list[str]:
    """Up to the 26th of October 2025, when two o'clock comes twice, with 200 and then 300 vehicles/h."""
    lines = []
    for stamp in days("2025-10", 1, 26):
        first = stamp == "2025-10-26 02"
        lines += both(stamp, 200 if first else 100)
        lines += both(stamp, 300) if first and doubled else []
    return lines


def test_repeated_october_hour_is_split_by_row_order(tmp_path: Path) -> None:
    frame = parsed(rows(tmp_path, "2025-10", october(doubled=True)), "2025-10").frame.set_index("date")
    assert frame.loc["2025-10-26T00:00Z", "traffic_volume"] == 200
    assert frame.loc["2025-10-26T01:00Z", "traffic_volume"] == 300
    assert frame.loc["2025-10-26T02:00Z", "traffic_volume"] == 100
    assert not any("flag" in detail for detail in frame["raw_data"])
    assert len(frame) == 26 * 24 + 1


def test_ambiguous_october_hour_is_flagged(tmp_path: Path) -> None:
    frame = parsed(rows(tmp_path, "2025-10", october(doubled=False)), "2025-10").frame.set_index("date")
    assert frame.loc["2025-10-26T00:00Z", "traffic_volume"] == 200
    assert np.isnan(frame.loc["2025-10-26T01:00Z", "traffic_volume"])
    flagged = [date for date, detail in frame["raw_data"].items() if "flag" in detail]
    assert [str(date) for date in flagged] == ["2025-10-26 00:00:00+00:00"]


def test_skipped_march_hour_has_no_row(tmp_path: Path) -> None:
    lines = [line for stamp in days("2026-03", 28, 29) for line in hour(3001, stamp, 100)]
    made = parsed(rows(tmp_path, "2026-03", lines), "2026-03")
    assert made.rejected == {"nonexistent_local_hour": 4}
    assert len(made.frame) == 743 - 2 * 24
    assert made.frame["date"].is_unique


def test_columns_may_be_added_and_removed(tmp_path: Path) -> None:
    text = "\n".join([f"{HEADER};nuevo", *(f"{line};7" for line in both("2026-09-01 00", 100))])
    made = parsed(zipped(tmp_path, "2026-09", text), "2026-09")
    assert made.provenance["unknown_fields"] == ["nuevo"]
    assert made.frame["traffic_volume"].tolist() == [100]
    for column in ("id", "fecha", "intensidad", "error", "tipo_elem"):
        with pytest.raises(PermanentError, match=f"lacks {column}"):
            parsed(zipped(tmp_path, "2026-09", text.replace(column, "otro", 1)), "2026-09")
