"""Zurich's pedestrians: recorded rows, both changes of clocks, the running hour, the panel of one street."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers import discover
from city_data.providers.base import ParsedMonth, PermanentError
from city_data_tests.providers.wire import RECORDED
from city_data_tests.providers.zurich_files import FOOT_HEADER, foot, parse, value, walked

HEAD = RECORDED / "zurich" / "hystreet_2025-03_head.RETYPED.json"
EXCERPT = RECORDED / "zurich" / "hystreet_330_2021-09_excerpt.DERIVED.csv"
RUNNING = "2026-11-27T23:00:00Z,329,Bahnhofstrasse,1,False,measured"


def persons(month: ParsedMonth, hour: str) -> float | None:
    return value(month, hour, "pedestrian_count")


def test_recorded_rows_are_of_the_test_phase_and_a_running_hour(tmp_path: Path) -> None:
    """Site 670 has rows since 2021, with 0 persons and no type of collection."""
    rows = json.loads(HEAD.read_bytes())["rows"]
    lines = [",".join(cell or "" for cell in row.values()) for row in rows]
    with pytest.raises(PermanentError, match=r"no row of 5 has a value; rejected: ") as caught:
        parse("2021-09", foot(tmp_path, lines, ",".join(rows[0])))
    assert all(word in str(caught.value) for word in ("'test_phase': 3", "'other_site': 1", "'running_hour': 1"))


def test_recorded_excerpt_is_refused_without_stamps_in_utc_and_types() -> None:
    with pytest.raises(PermanentError, match="lacks timestamp, collection_type"):
        parse("2022-03", EXCERPT)


def test_recorded_hours_have_their_own_counts(tmp_path: Path) -> None:
    """The real hours of one site, as all three sites'."""
    with EXCERPT.open(encoding="utf-8", newline="") as file:
        rows = {row["date"].replace(" ", "T") + "Z": int(row["pedestrians_count"]) for row in csv.DictReader(file)}
    march = {stamp: count for stamp, count in rows.items() if stamp >= "2022-03-03"}
    month = parse("2022-03", foot(tmp_path, [line for stamp in rows for line in walked(stamp, *[rows[stamp]] * 3)]))
    *whole, newest = march
    assert len(whole) > 250
    assert [persons(month, stamp) for stamp in whole] == pytest.approx([march[stamp] for stamp in whole])
    assert persons(month, newest) is None
    assert month.rejected["running_hour"] == 3
    assert month.rejected["test_phase"] == 3 * sum("2022-02-28T23" <= stamp < "2022-03-03" for stamp in rows)


# The last Sundays of March and October: the local hours around the change are these hours of UTC, whatever the clocks.
CHANGES = ["2024-03-31", "2024-10-27", "2025-03-30", "2025-10-26", "2026-03-29", "2026-10-25"]


@pytest.mark.parametrize("day", CHANGES)
def test_change_of_clocks_moves_no_hour(tmp_path: Path, day: str) -> None:
    hours = [f"{day}T0{n}:00:00Z" for n in range(4)]
    lines = [line for n, hour in enumerate(hours) for line in walked(hour, 100 + n, 200 + n, 300 + n)]
    month = parse(day[:7], foot(tmp_path, [*lines, RUNNING]))
    assert [persons(month, hour) for hour in hours] == pytest.approx([200, 201, 202, 203])
    local = [pd.Timestamp(hour).tz_convert("Europe/Zurich").hour for hour in hours[:2]]
    assert local == ([1, 3] if "-03-" in day else [2, 2])


def test_newest_hour_and_hours_that_are_not_over_do_not_count(tmp_path: Path) -> None:
    hours = [f"2026-11-27T{n:02d}:00:00Z" for n in range(8, 12)]
    path = foot(tmp_path, [line for hour in hours for line in walked(hour, 10, 10, 10)])
    late = parse("2026-11", path)
    assert [persons(late, hour) for hour in hours] == [10, 10, 10, None]
    early = parse("2026-11", path, as_of=datetime(2026, 11, 27, 10, 18, tzinfo=UTC))
    assert [persons(early, hour) for hour in hours] == [10, 10, None, None]
    assert (late.rejected, early.rejected) == ({"running_hour": 3}, {"running_hour": 6})


def test_only_measured_rows_of_the_street_count(tmp_path: Path) -> None:
    lines = [
        *walked("2026-09-01T10:00:00Z", 100, 200, 300),
        *walked("2026-09-01T11:00:00Z", 100, 200, 300, kind=""),
        *walked("2026-09-01T12:00:00Z", 100, 200, 300),
        "2026-09-01T10:00:00Z,670,Lintheschergasse,9000,False,measured",
        "2026-09-01T10:00:00Z,670,Lintheschergasse,0,False,",
        RUNNING,
    ]
    month = parse("2026-09", foot(tmp_path, lines))
    found = [persons(month, f"2026-09-01T{n}:00Z") for n in (10, 11, 12)]
    assert found == [pytest.approx(200), None, pytest.approx(200)]
    assert month.rejected == {"not_measured": 3, "other_site": 2, "outside_month": 1}


def test_unverified_is_no_filter(tmp_path: Path) -> None:
    lines = [line.replace("False", "True") for line in walked("2026-09-01T10:00:00Z", 100, 200, 300)]
    assert persons(parse("2026-09", foot(tmp_path, [*lines, RUNNING])), "2026-09-01T10:00Z") == pytest.approx(200)


def test_gap_of_one_site_keeps_the_level_of_three(tmp_path: Path) -> None:
    hours = pd.date_range("2026-09-01T00:00Z", periods=14 * 24, freq="h")
    lines = [
        line
        for n, hour in enumerate(hours)
        for line in walked(f"{hour:%Y-%m-%dT%H:%M:%SZ}", 100, 200, *([] if 100 <= n < 150 else [900]))
    ]
    counts = parse("2026-09", foot(tmp_path, [*lines, RUNNING])).frame["pedestrian_count"]
    # 300 of 1,200 are not half of the panel: no value, never the mean of the two quieter sites.
    assert set(counts.dropna().round(6)) == {400.0}
    assert counts.isna().sum() == 2 + 50  # two hours of the local 1 September are before the first row


def test_month_without_one_of_the_sites_has_no_pedestrians(tmp_path: Path) -> None:
    hours = [f"2026-09-01T{n:02d}:00:00Z" for n in range(10)]
    month = parse("2026-09", foot(tmp_path, [*(line for hour in hours for line in walked(hour, 100, 200)), RUNNING]))
    assert month.frame["pedestrian_count"].isna().all()
    assert month.nulled == {"no_panel:pedestrians_count": 20}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2026-09-01 10:00:00,329,x,5,False,measured", "not_a_time"),
        ("2026-09-01T10:30:00Z,329,x,5,False,measured", "off_the_hour"),
        ("2026-09-01T10:00:00Z,329,x,5,False", "broken_line"),
        ("2026-09-01T10:00:00Z,329,x,-5,False,measured", "negative"),
        ("2026-09-01T10:00:00Z,329,x,500000,False,measured", "implausible"),
        ('2026-09-01T10:00:00Z,329,"x,5,False,measured', "broken_line"),
        ("2026-09-01T10:00:00Z,329,x,many,False,measured", "unreadable"),
    ],
)
def test_line_without_a_usable_count_is_rejected_under_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    lines = [line for n in range(12, 20) for line in walked(f"2026-09-01T{n}:00:00Z", 10, 10, 10)]
    month = parse("2026-09", foot(tmp_path, [line, *lines, RUNNING]))
    assert month.rejected == {reason: 1, "outside_month": 1}


def test_missing_column_and_other_notation_are_refused(tmp_path: Path) -> None:
    lines = walked("2026-09-01T10:00:00Z", "1.034", 200, 300)
    with pytest.raises(PermanentError, match=r"'1.034' in row 2 of pedestrians.csv.* is ambiguous"):
        parse("2026-09", foot(tmp_path, [*lines, RUNNING]))
    with pytest.raises(PermanentError, match="lacks collection_type, or has it twice"):
        parse("2026-09", foot(tmp_path, lines, FOOT_HEADER.replace("collection_type", "kind")))


def test_scope_is_declared_with_the_column() -> None:
    meanings = discover()["zurich_opendata"].capabilities.meanings
    assert "one street, not the city" in meanings["pedestrian_count"].area
    assert not any(meaning.comparable for meaning in meanings.values())
