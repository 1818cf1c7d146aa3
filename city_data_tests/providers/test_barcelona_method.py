"""Barcelona's city-hour, method version 1: gaps, silence, closures, dead segments, weights, and the clocks."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median_low

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city_data.providers.barcelona_opendata.hours import (
    CARRY_LIMIT,
    LEVELS,
    MINIMUM_COVERAGE,
    PANEL_SHARE,
    CityHours,
    city_hours,
    level,
)
from city_data.providers.barcelona_opendata.rows import Rows
from city_data.providers.shared.local_hours import Clock
from city_data.window import Month
from city_data_tests.providers.barcelona_files import detail, parsed, states

MONTH = Month(2026, 9)
CLOCK = Clock.of(MONTH, "Europe/Madrid")
Row = tuple[int, int, int]  # segment, second of the month, state


def made_of(rows: list[Row], clock: Clock = CLOCK) -> CityHours:
    segment, second, state = (np.array(column) for column in zip(*rows, strict=True))
    told = Rows(segment.astype(np.int32), second.astype(np.int32), state.astype(np.int8), {}, len(rows))
    return city_hours(told, clock)


def second_by_second(rows: list[Row], hours: int) -> list[tuple[float, float | None, float | None]]:
    """Coverage, mean state and closed share of each hour, by asking every segment at every ten seconds."""
    said: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for segment, second, state in rows:
        said[segment][second].append(state)
    told = {
        segment: {second: median_low({state for state in states if state} or {0}) for second, states in changes.items()}
        for segment, changes in said.items()
    }
    reach = max(second for _, second, _ in rows)
    found: dict[int, list[list[int]]] = {segment: [[] for _ in range(hours)] for segment in told}
    for segment, changes in told.items():
        for now in range(0, reach, 10):
            before = [second for second in changes if second <= now]
            if before and now - max(before) < CARRY_LIMIT and changes[max(before)] != 0:
                found[segment][now // 3600].append(changes[max(before)])
    best = max(sum(map(len, by_hour)) for by_hour in found.values())
    panel = [by_hour for by_hour in found.values() if best and sum(map(len, by_hour)) >= PANEL_SHARE * best]
    result: list[tuple[float, float | None, float | None]] = []
    for hour in range(hours):
        known = [state for by_hour in panel for state in by_hour[hour]]
        driven = [state for state in known if state != 6]
        result.append(
            (
                len(known) / (360 * len(panel)) if panel else 0,
                sum(driven) / len(driven) if driven else None,
                (len(known) - len(driven)) / len(known) if known else None,
            )
        )
    return result


@given(
    st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 5 * 360).map(lambda n: n * 10), st.integers(0, 6)),
        min_size=1,
        max_size=40,
    )
)
@settings(max_examples=60, deadline=None)
def test_result_equals_a_second_by_second_computation(rows: list[Row]) -> None:
    made = made_of(rows)
    expected = second_by_second(rows, len(made.state))
    assert made.coverage.tolist() == pytest.approx([coverage for coverage, _, _ in expected])
    for found, values in ((made.state, [s for _, s, _ in expected]), (made.closed, [c for _, _, c in expected])):
        assert [None if value != value else pytest.approx(value) for value in found.tolist()] == values


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 9000), st.integers(0, 6)), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_repeated_state_changes_nothing(rows: list[Row], random: object) -> None:
    """A row that repeats the state in force is a gap filled: it must not move a value that is known without it."""
    once = {(segment, second): state for segment, second, state in reversed(rows)}
    plain = [(segment, second, state) for (segment, second), state in once.items()]
    often = list(plain)
    for segment, second, state in plain:
        following = min((s for n, s, _ in plain if n == segment and s > second), default=None)
        if following is not None and following - second <= CARRY_LIMIT:
            often += [(segment, at, state) for at in range(second + 600, following, 600)]
    one, two = made_of(plain), made_of(often)
    np.testing.assert_allclose(one.state, two.state, equal_nan=True)
    np.testing.assert_allclose(one.coverage, two.coverage)


def test_state_persists_through_a_gap_up_to_the_limit(tmp_path: Path) -> None:
    made = parsed(states(tmp_path, [(1, "2026-09-01 00:00:00", 2), (1, "2026-09-01 06:00:00", 2)]), "2026-09")
    assert made.frame["congestion_level"].tolist() == ["medium", "medium", None, None, None, None]
    assert [row["coverage"] for row in made.frame["raw_data"]] == [1, 1, 0, 0, 0, 0]


def test_no_data_ends_the_previous_state(tmp_path: Path) -> None:
    rows = [(1, "2026-09-01 00:00:00", 3), (1, "2026-09-01 00:30:00", 0)]
    rows += [(1, f"2026-09-01 0{hour}:00:00", 1) for hour in range(2, 7)]
    rows += [(2, f"2026-09-01 0{hour}:00:00", 1) for hour in range(7)]
    made = parsed(states(tmp_path, rows), "2026-09")
    assert detail(made, "2026-08-31T22:00Z")["coverage"] == 0.75
    assert detail(made, "2026-08-31T22:00Z")["mean_state"] == pytest.approx((3 * 30 + 1 * 60) / 90, abs=1e-4)
    assert detail(made, "2026-08-31T23:00Z")["segments"] == 1
    assert (made.received, made.used, made.rejected) == (14, 13, {"no_value": 1})


def test_closed_is_not_congestion(tmp_path: Path) -> None:
    rows = [(n, f"2026-09-01 0{hour}:00:00", 6 if n < 4 else 1) for hour in range(3) for n in range(1, 5)]
    made = parsed(states(tmp_path, rows), "2026-09")
    assert made.frame["congestion_level"].tolist() == ["low", "low"]
    assert detail(made, "2026-08-31T22:00Z") == {
        "level": "low", "coverage": 1.0, "mean_state": 1.0, "closed_share": 0.75, "segments": 4, "method_version": 1,
        "levels_version": 1,
    }  # fmt: skip
    shut = parsed(states(tmp_path, [(1, "2026-09-01 00:00:00", 6), (1, "2026-09-01 01:00:00", 6)]), "2026-09")
    assert detail(shut, "2026-08-31T22:00Z")["closed_share"] == 1
    assert detail(shut, "2026-08-31T22:00Z")["level"] is None


def test_dead_and_rare_segments_are_excluded(tmp_path: Path) -> None:
    rows = [(n, f"2026-09-01 {hour:02d}:00:00", 1) for hour in range(11) for n in (1, 2)]
    rows += [(3, f"2026-09-01 {hour:02d}:00:00", 0) for hour in range(11)]
    rows += [(4, "2026-09-01 05:00:00", 5), (4, "2026-09-01 05:30:00", 0)]
    made = parsed(states(tmp_path, rows), "2026-09")
    assert [row["coverage"] for row in made.frame["raw_data"]] == [1] * 10
    assert [row["mean_state"] for row in made.frame["raw_data"]] == [1] * 10
    assert (made.provenance["segments"], made.provenance["panel"]) == (4, 2)


def test_hour_less_than_half_known_has_no_level() -> None:
    rows = [(n, hour * 3600, 2) for hour in range(9) for n in range(1, 5)]
    rows = [row for row in rows if row not in {(1, 14400, 2), (2, 14400, 2), (3, 14400, 2)}]
    rows += [(n, 14400, 0) for n in (1, 2, 3)] + [(1, 16200, 2), (2, 18000 - 1, 2)]
    made = made_of(rows)
    assert made.coverage[4] == pytest.approx((3600 + 1800 + 1) / 14400)
    assert made.coverage[4] < MINIMUM_COVERAGE
    assert made.levels == ["medium"] * 4 + [None] + ["medium"] * 3


def test_level_table_is_that_of_method_version_1() -> None:
    """Whoever changes the table must change its version, and this."""
    assert LEVELS == {"low": 1.5, "medium": 2.5, "high": 3.5, "severe": 5.0}
    assert [level(state) for state in (1, 1.5, 1.51, 2.5, 3, 3.5, 3.6, 4, 5)] == [
        "low", "low", "medium", "medium", "high", "high", "severe", "severe", "severe",
    ]  # fmt: skip
    assert level(float("nan")) is None


def test_open_month_ends_at_its_last_row_and_closed_month_at_its_end(tmp_path: Path) -> None:
    part = parsed(states(tmp_path, [(1, "2026-09-20 10:00:00", 1), (1, "2026-09-20 10:45:00", 1)]), "2026-09")
    assert str(part.frame["date"].iloc[-1]) == "2026-09-20 08:00:00+00:00"
    assert part.frame["raw_data"].iloc[-1]["coverage"] == 0.75
    whole = parsed(states(tmp_path, [(1, f"2026-09-30 {hour}:10:00", 1) for hour in (21, 22)]), "2026-09")
    assert len(whole.frame) == 720
    assert whole.frame["raw_data"].iloc[-1]["coverage"] == 1
    assert str(whole.frame["date"].iloc[-1]) == "2026-09-30 21:00:00+00:00"


def snapshots(first: str, count: int, state: int, minutes: int = 10) -> list[tuple[int, str, int]]:
    """Three segments every ten minutes, by the wall clock."""
    start = datetime.fromisoformat(first)
    stamps = [f"{start + timedelta(minutes=minutes * n):%Y%m%d%H%M%S}" for n in range(count)]
    return [(segment, stamp, state) for stamp in stamps for segment in (1, 2, 3)]


def october(*hours: list[tuple[int, str, int]]) -> list[tuple[int, str, int]]:
    return [
        *snapshots("2025-10-26 00:00:00", 12, 1),
        *(row for hour in hours for row in hour),
        *snapshots("2025-10-26 03:00:00", 12, 1),
    ]


def test_repeated_october_hour_is_split_where_the_clock_goes_back(tmp_path: Path) -> None:
    first, second = snapshots("2025-10-26 02:00:51", 6, 3), snapshots("2025-10-26 02:00:44", 6, 5)
    made = parsed(states(tmp_path, october(first, second)), "2025-10")
    stamps = [f"2025-10-26T0{hour}:00Z" for hour in (0, 1, 2)]
    assert [detail(made, stamp)["level"] for stamp in stamps] == ["high", "severe", "low"]
    assert not any("flag" in row for row in made.frame["raw_data"])
    assert made.used == made.received
    assert len(made.frame) == 25 * 24 + 6


@pytest.mark.parametrize(
    "hours",
    [
        [snapshots("2025-10-26 02:00:51", 6, 3)],  # one pass: which?
        # Sorted by the clock, so that the passes are shuffled together.
        [sorted(snapshots("2025-10-26 02:00:51", 6, 3) + snapshots("2025-10-26 02:05:44", 6, 3), key=lambda r: r[1])],
        [snapshots("2025-10-26 02:00:51", 6, 3)] * 3,  # back twice: no clock does that
    ],
)
def test_ambiguous_october_hour_is_flagged(tmp_path: Path, hours: list[list[tuple[int, str, int]]]) -> None:
    made = parsed(states(tmp_path, october(*hours)), "2025-10")
    one, two = detail(made, "2025-10-26T00:00Z"), detail(made, "2025-10-26T01:00Z")
    assert (one["level"], two["level"], two["coverage"]) == ("high", None, 0)
    flagged = [str(date)[:16] for date, row in made.frame.set_index("date")["raw_data"].items() if "flag" in row]
    assert flagged == ["2025-10-26 00:00", "2025-10-26 01:00"]
    assert detail(made, "2025-10-26T02:00Z")["level"] == "low"


def test_repeated_october_hour_without_rows_is_a_gap(tmp_path: Path) -> None:
    made = parsed(states(tmp_path, october()), "2025-10")
    hours = [detail(made, f"2025-10-26T0{hour}:00Z") for hour in (0, 1)]
    assert [hour["level"] for hour in hours] == ["low", "low"]
    assert not any("flag" in hour for hour in hours)


def test_file_sorted_by_segment_is_not_mistaken_for_a_clock_change(tmp_path: Path) -> None:
    rows = [row for row in october(snapshots("2025-10-26 02:00:51", 6, 3)) if row[0] < 3]
    made = parsed(states(tmp_path, sorted(rows)), "2025-10")
    assert detail(made, "2025-10-26T01:00Z")["flag"] == "doubled_hour_unresolved"


def test_skipped_march_hour_has_no_row(tmp_path: Path) -> None:
    made = parsed(states(tmp_path, snapshots("2026-03-29 00:00:00", 31, 2)), "2026-03")
    assert made.rejected == {"nonexistent_local_hour": 18}
    assert [detail(made, f"2026-03-{day}:00Z")["coverage"] for day in ("28T23", "29T00", "29T01")] == [1, 1, 1]
    assert made.frame["date"].is_unique
