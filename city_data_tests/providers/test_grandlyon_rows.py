"""Rows of Lyon's measures that are left out, and formats that are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from city_data.providers.base import Payload, PermanentError, Request, Settings
from city_data.providers.grandlyon_opendata import GrandLyonOpenData
from city_data.providers.shared.mobility_counts.measures import moment_of
from city_data.window import Month
from city_data_tests.providers.grandlyon_files import HEADER, LYON, ONE, Measure, hourly, parse, value, written


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01", "2026-01-01T01:00:00+0100", "2026-01-01 01:00:00+01:00",
     "2026-01-01 01:00+01:00", " 2026-01-01T00:00:00.000Z ", "2025-12-31T20:00:00-0400"],
)  # fmt: skip
def test_offset_in_every_spelling_is_the_same_moment(text: str) -> None:
    assert moment_of(text) == 1_767_225_600


@pytest.mark.parametrize(
    ("text", "reason"),
    [("2026-01-01T00:00:00", "no_offset"), ("2026-01-01", "not_a_time"), ("2026-02-30T00:00:00Z", "not_a_time"),
     ("0001-01-01T00:00:00+02", "not_a_time"), ("", "not_a_time"), ("2026-01-01T24:00:00Z", "not_a_time")],
)  # fmt: skip
def test_other_stamps_have_a_reason(text: str, reason: str) -> None:
    assert moment_of(text) == reason


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("a", "2026-09-02T05:05:00Z", "2026-09-02T05:20:00Z", 1), "off_the_step"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T05:13:00Z", 1), "off_the_step"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-03T05:00:00Z", 1), "off_the_step"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T05:00:00Z", 1), "off_the_step"),
        (("a", "2026-08-31T21:00:00Z", "2026-08-31T22:00:00Z", 1), "outside_month"),
        (("a", "2026-09-30T22:00:00Z", "2026-09-30T23:00:00Z", 1), "outside_month"),
        (("a", "2026-09-02T05:00:00", "2026-09-02T06:00:00", 1), "no_offset"),
        (("a", 1_788_300_000, "2026-09-02T06:00:00Z", 1), "not_a_time"),
        (("a", "2026-09-02T05:00:00Z", "soon", 1), "not_a_time"),
        (("n", "2026-09-02T05:00:00Z", None, 1), "no_end"),
        (("z", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "unknown_channel"),
        (("", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "no_channel"),
        ((True, "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "no_channel"),
        (("t", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "contradicted_channel"),
        (("l", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "several_kinds"),
        (("u", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 1), "other_kind"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", -1), "negative"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", 20_001), "implausible"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T05:15:00Z", 5_001), "implausible"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", "1,5"), "unreadable"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", True), "unreadable"),
        (("a", "2026-09-02T05:00:00Z", "2026-09-02T06:00:00Z", ""), "no_value"),
    ],
)
def test_row_that_is_left_out_has_its_reason(tmp_path: Path, row: Measure, reason: str) -> None:
    channels = [*ONE, "n;A;PEDESTRIAN;0", "t;A;PEDESTRIAN;3600", "t;B;PEDESTRIAN;3600", 'l;A;"PEDESTRIAN,BIKE";3600',
                "u;A;UNDEFINED;3600"]  # fmt: skip
    month = parse("2026-09", *written(tmp_path, [*hourly("a", "2026-09-02", [10] * 4), row], channels))
    assert month.rejected == {reason: 1}
    assert value(month, "2026-09-02T05:00Z") is None
    assert value(month, "2026-09-02T00:00Z") == 10.0


def test_identifiers_of_digits_may_be_numbers(tmp_path: Path) -> None:
    rows: list[Measure] = [(101017787, "2026-09-02T00:00:00Z", "2026-09-02T01:00:00Z", 7.5)]
    month = parse("2026-09", *written(tmp_path, rows, [HEADER, "101017787;A;PEDESTRIAN;3600"]))
    assert value(month, "2026-09-02T00:00Z") == 7.5


@pytest.mark.parametrize("step", ["900.000", "900.5", "900,0", "9e2", "-900", "9" * 400, "", "soon"])
def test_step_that_is_not_whole_seconds_gives_no_end(tmp_path: Path, step: str) -> None:
    quarters: list[Measure] = [("b", f"2026-09-02T05:{n}:00Z", None, 15) for n in ("00", "15", "30", "45")]
    rows = [*hourly("a", "2026-09-02", [10] * 5), *quarters]
    month = parse("2026-09", *written(tmp_path, rows, [*ONE, f"b;B;PEDESTRIAN;{step}"]))
    assert month.rejected == {"no_end": 4}


@pytest.mark.parametrize("step", ["900", "900.0", "900.00", ' "900 '])
def test_step_of_whole_seconds_ends_an_interval(tmp_path: Path, step: str) -> None:
    quarters: list[Measure] = [("b", f"2026-09-02T05:{n}:00Z", None, 15) for n in ("00", "15", "30", "45")]
    month = parse("2026-09", *written(tmp_path, quarters, [HEADER, f"b;B;PEDESTRIAN;{step}"]))
    assert value(month, "2026-09-02T05:00Z") == 60.0


def test_lone_carriage_return_is_part_of_its_cell(tmp_path: Path) -> None:
    channels = [f"{HEADER};comment", "a;A;PEDESTRIAN;3600;x\ry", "b;B;PEDES\rTRIAN;3600;x"]
    rows = [*hourly("a", "2026-09-02", [10] * 5), *hourly("b", "2026-09-02", [70] * 5)]
    paths = written(tmp_path, rows)
    paths[0].write_bytes("\n".join(channels).encode())
    month = parse("2026-09", *paths)
    assert value(month, "2026-09-02T00:00Z") == 10.0
    assert month.rejected == {"other_kind": 5}


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("a", f"2026-09-02T0{n}:00:00", None, 1) for n in range(3)],
         "3 of 3 rows cannot be used, most of them no_offset, such as ('2026-09-02T00:00:00', None) in row 1"),
        ([("a", f"2026-09-02T0{n}:00:00Z", f"2026-09-02T0{n}:59:59Z", 1) for n in range(3)],
         "most of them off_the_step"),
        ([("z", f"2026-09-02T0{n}:00:00Z", None, 1) for n in range(3)], "most of them unknown_channel, such as 'z'"),
        (hourly("a", "2026-09-02", [10]) + hourly("a", "2026-09-03", [-1, -1, -1]), "most of them negative"),
        ([("a", "2026-09-02T00:00:00Z", None, "1.034")], "'1.034' in row 1 is ambiguous"),
        (hourly("a", "2026-10-02", [10]), "no row of 1 is of the month and kind"),
    ],
)  # fmt: skip
def test_another_format_is_refused_with_an_example(tmp_path: Path, rows: list[Measure], why: str) -> None:
    with pytest.raises(PermanentError) as caught:
        parse("2026-09", *written(tmp_path, rows))
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ('{"values": [{"channel_id": "a", "debut": "x", "count": 1}]}',
         "lacks start_datetime; its columns are channel_id, debut"),
        ('{"values": [["a", "2026-09-02T00:00:00Z"]]}', "no record among them"),
        ('{"features": []}', "no list of values"),
        ('{"values": [', "not a whole JSON document"),
        ('{"values": []}', "no row of 0 is of the month"),
        ("channel_id;start_datetime\na;b\n", "lacks count"),
        ("channel_id;count;COUNT;start_datetime\n", "has count more than once"),
    ],
)  # fmt: skip
def test_another_wire_is_refused_with_its_columns(tmp_path: Path, document: str, why: str) -> None:
    channels, measures = written(tmp_path, [])
    measures.write_text(document)
    with pytest.raises(PermanentError, match=why):
        parse("2026-09", channels, measures)


def test_month_of_empty_counts_has_no_value_and_is_no_fault(tmp_path: Path) -> None:
    paths = written(tmp_path, hourly("a", "2026-09-02", [None, None]))
    request = Request(LYON, Month(2026, 9), Settings(), datetime(2026, 11, 28, tzinfo=UTC))
    payloads = [Payload(path.name, path, "https://example.org/") for path in paths]
    assert GrandLyonOpenData().is_without_values(request, payloads)
