"""Zurich's motor counts: recorded rows, changes of clocks, strata, what is measured, unusable cells."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pandas as pd
import pytest

from city_data.providers.base import PermanentError
from city_data.providers.zurich_opendata import datastore
from city_data.providers.zurich_opendata.hours import MOTORWAY_SITES
from city_data_tests.providers.wire import RECORDED
from city_data_tests.providers.zurich_files import MOTORWAY, STREET, counted, flags, page, parse, record, value

HEAD = RECORDED / "zurich" / "miv_2020_head.RETYPED.json"
SITES = RECORDED / "zurich" / "miv_2020_sites.RETYPED.json"
MANIFEST = RECORDED / "zurich" / "gleislicht_manifest_zurich_rows.RETYPED.json"


def rows_of(path: Path, key: str = "rows") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_bytes())[key]
    return rows


def test_recorded_rows_are_counts_at_the_start_of_their_local_hours(tmp_path: Path) -> None:
    """`Unbekannt` is the text of columns that are not read."""
    rows = rows_of(HEAD)
    month = parse("2020-01", page(tmp_path, rows + [row | {"MSID": MOTORWAY, "ZSID": "Z024"} for row in rows]))
    hours = pd.date_range("2019-12-31T23:00Z", periods=5, freq="h")
    assert [value(month, str(hour)) for hour in hours] == pytest.approx([247.0, 364.0, 159.0, 108.0, 87.0])
    assert (month.used, month.rejected) == (10, {})
    assert month.fields[:2] == ["MSID", "MSName"]


def test_recorded_series_alone_is_no_city(tmp_path: Path) -> None:
    month = parse("2020-01", page(tmp_path, rows_of(HEAD)))
    assert month.frame["traffic_volume"].isna().all()
    assert month.nulled == {"no_panel_motorways:AnzFahrzeuge": 5}


def test_retyped_rows_are_no_answer_of_the_datastore() -> None:
    for path in (HEAD, SITES, MANIFEST):
        with pytest.raises(PermanentError, match=r"zurich_opendata: zurich 2020-01: .* is no answer of the DataStore"):
            parse("2020-01", path)


def test_recorded_streets_are_no_motorways() -> None:
    sites = {row["ZSID"] for row in rows_of(SITES)}
    assert not sites & MOTORWAY_SITES
    assert all(row["MSID"].partition("M")[0] == row["ZSID"] for row in rows_of(SITES))


def test_question_for_a_count_is_the_recorded_one() -> None:
    counts = [entry for entry in rows_of(MANIFEST, "files") if entry["role"] == "count"]
    span = datastore.Span("e9af01b4-a18a-4076-b0a4-a88708f6f6e2", date(2026, 9, 4), date(2026, 9, 5))
    assert [entry["url"] for entry in counts] == [
        f"{datastore.SQL}?sql={quote_plus(f'SELECT count(*) AS n {span.rows}')}"
    ]
    entries = [entry for entry in rows_of(MANIFEST, "files") if entry.get("serviceDate") == "2026-09-04"]
    observed = [entry["rows"] for entry in entries if entry["role"] == "observations"]
    assert observed == [datastore.PAGE, 217 * 24 - datastore.PAGE]


# The last Sundays of March and October; local stamps, and the hours in UTC by hand.
SPRING = {2020: "29", 2024: "31", 2025: "30", 2026: "29"}
AUTUMN = {2024: ("27", "26"), 2025: ("26", "25"), 2026: ("25", "24")}


@pytest.mark.parametrize("year", SPRING)
def test_spring_by_hand_and_the_hour_that_no_clock_showed(tmp_path: Path, year: int) -> None:
    day = f"{year}-03-{SPRING[year]}"
    hours = [("00", 100), ("01", 200), ("02", 999), ("03", 300), ("04", 400)]
    month = parse(f"{year}-03", counted(tmp_path, [(f"{day}T{hour}:00:00", count) for hour, count in hours]))
    before = str(pd.Timestamp(f"{day}T00:00Z") - pd.Timedelta(hours=1))
    found = [value(month, hour) for hour in (before, f"{day}T00:00Z", f"{day}T01:00Z", f"{day}T02:00Z")]
    assert found == pytest.approx([100, 200, 300, 400])
    assert month.rejected == {"nonexistent_local_hour": 2}


@pytest.mark.parametrize("year", AUTUMN)
def test_autumn_by_hand_of_two_rows_that_follow_each_other(tmp_path: Path, year: int) -> None:
    day, before = (f"{year}-10-{text}" for text in AUTUMN[year])
    hours = [("00", 100), ("01", 200), ("02", 300), ("02", 400), ("03", 500)]
    month = parse(f"{year}-10", counted(tmp_path, [(f"{day}T{hour}:00:00", count) for hour, count in hours]))
    utc = (f"{before}T22:00Z", f"{before}T23:00Z", f"{day}T00:00Z", f"{day}T01:00Z", f"{day}T02:00Z")
    assert [value(month, hour) for hour in utc] == pytest.approx([100, 200, 300, 400, 500])
    assert flags(month) == []


@pytest.mark.parametrize(
    ("hours", "rejected"),
    [
        (["01", "02", "03"], 2),
        (["01", "02", "02", "02", "03"], 6),
        (["01", "02", "03", "02"], 4),
        (["02", "01", "02", "03"], 4),
    ],
    ids=["one", "three", "apart", "apart the other way"],
)
def test_doubled_hour_is_never_guessed(tmp_path: Path, hours: list[str], rejected: int) -> None:
    stamps = [(f"2026-10-25T{hour}:00:00", 100) for hour in hours]
    month = parse("2026-10", counted(tmp_path, [*stamps, ("2026-10-25T04:00:00", 100)]))
    assert month.rejected == {"unresolved_doubled_hour": rejected}
    assert [value(month, f"2026-10-25T0{n}:00Z") for n in (0, 1)] == [None, None]
    assert flags(month) == [pd.Timestamp("2026-10-25T00:00Z"), pd.Timestamp("2026-10-25T01:00Z")]


def test_pair_is_told_apart_by_the_table_s_order_whatever_the_order_of_pages(tmp_path: Path) -> None:
    """One hour of the pair is missing: the other is still the second."""
    pair = [("2026-10-25T01:00:00", 50), ("2026-10-25T02:00:00", None), ("2026-10-25T02:00:00", 400)]
    path = counted(tmp_path, pair)
    records = json.loads(path.read_bytes())["result"]["records"]
    backwards = [page(tmp_path, records[n : n + 1], f"{n}.json") for n in reversed(range(len(records)))]
    for paths in ([path], backwards):
        month = parse("2026-10", *paths)
        assert value(month, "2026-10-25T00:00Z") is None
        assert value(month, "2026-10-25T01:00Z") == pytest.approx(400)


def test_rows_of_overlapping_pages_count_once(tmp_path: Path) -> None:
    path = counted(tmp_path, [("2026-10-25T02:00:00", 100), ("2026-10-25T02:00:00", 300)])
    month = parse("2026-10", path, path)
    assert [value(month, f"2026-10-25T0{n}:00Z") for n in (0, 1)] == pytest.approx([100, 300])
    assert month.rejected == {"duplicate": 4}


def test_only_measured_hours_count(tmp_path: Path) -> None:
    statuses = ["Gemessen", "Imputiert", "Fehlend", "gemessen ", "Gemessen", "Unbekannt"]
    records = [
        record(100 * n + hour, series, f"2026-09-01T{hour:02d}:00:00", None if status == "Fehlend" else "50", status)
        for n, series in enumerate((STREET, MOTORWAY))
        for hour, status in enumerate(statuses)
    ]
    month = parse("2026-09", page(tmp_path, records))
    assert month.rejected == {"imputed": 2, "no_value": 2, "unknown_status": 2}
    volumes = [value(month, str(hour)) for hour in pd.date_range("2026-08-31T22:00Z", periods=5, freq="h")]
    assert volumes == pytest.approx([50, None, None, 50, 50])


def test_strata_have_their_fixed_weights_however_many_series_count(tmp_path: Path) -> None:
    names = {"Z001M001": 100, "Z001M002": 300, "Z002M001": 200, MOTORWAY: 3_000, "Z033M001": 1_000}
    records = [record(n, name, "2026-09-01T10:00:00", count) for n, (name, count) in enumerate(names.items())]
    month = parse("2026-09", page(tmp_path, records))
    assert value(month, "2026-09-01T08:00Z") == pytest.approx((208 * 200 + 9 * 2_000) / 217)
    assert month.provenance["panel"] == {"streets": 3, "motorways": 2, "sites": 0}


def test_motorway_that_dies_does_not_look_like_falling_traffic(tmp_path: Path) -> None:
    hours = pd.date_range("2026-09-01", periods=28 * 24, freq="h")
    records = [
        record(10_000 * n + row, series, f"{hour:%Y-%m-%dT%H:%M:%S}", count)
        for n, (series, count) in enumerate([(STREET, 400), ("Z033M001", 1_000), (MOTORWAY, 3_000)])
        for row, hour in enumerate(hours[: 24 * 25 if series == MOTORWAY else None])
    ]
    volumes = parse("2026-09", page(tmp_path, records)).frame["traffic_volume"].dropna()
    assert set(volumes.round(6)) == {round((208 * 400 + 9 * 2_000) / 217, 6)}


@pytest.mark.parametrize(
    ("stamp", "reason"),
    [
        ("yesterday", "not_a_time"),
        ("2026-09-31T01:00:00", "not_a_time"),
        ("2026-09-01T01:00:00Z", "not_a_time"),
        ("2026-09-01T01:15:00", "off_the_hour"),
        ("2026-08-31T23:00:00", "outside_month"),
        ("2026-10-01T00:00:00", "outside_month"),
    ],
)
def test_stamp_of_no_hour_of_the_month_is_rejected_under_its_reason(tmp_path: Path, stamp: str, reason: str) -> None:
    good = [(f"2026-09-01T0{n}:00:00", 10) for n in range(4)]
    assert parse("2026-09", counted(tmp_path, [*good, (stamp, 10)])).rejected == {reason: 2}


def test_unusable_counts_are_rejected_and_of_two_the_usable_one_counts(tmp_path: Path) -> None:
    cells = ["10", "247.0", 12, "-1", "20001", "x", "", None, "10", ""]
    hours = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    path = counted(tmp_path, [(f"2026-09-01T{n:02d}:00:00", cell) for n, cell in zip(hours, cells, strict=True)])
    month = parse("2026-09", path)
    assert month.rejected == {"negative": 2, "implausible": 2, "unreadable": 2, "no_value": 6}
    assert [value(month, f"2026-08-31T2{n}:00Z") for n in (2, 3)] == pytest.approx([10, 247])
    assert value(month, "2026-09-01T06:00Z") == 10


def test_series_is_of_the_site_that_most_of_its_rows_name(tmp_path: Path) -> None:
    """The first row alone decided whether a series is a street or a motorway, which weigh otherwise."""
    stamps = [f"2026-09-01T0{n}:00:00" for n in range(4)]
    series = ((STREET, 10), (MOTORWAY, 1000))
    rows = [record(len(stamps) * n + k, name, stamp, count)
            for n, (name, count) in enumerate(series) for k, stamp in enumerate(stamps)]  # fmt: skip
    month = parse("2026-09", page(tmp_path, [rows[0] | {"ZSID": "Z024"}, *rows[1:]]))
    assert month.frame["traffic_volume"].equals(parse("2026-09", page(tmp_path, rows)).frame["traffic_volume"])
    assert month.provenance["rows_of_another_site"] == 1


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("1.034", "'1.034' in row .* is ambiguous"),
        ("1'034", "is ambiguous"),
        ("1034,0", "6 of 6 cells of 'AnzFahrzeuge' cannot be used, such as"),
    ],
)
def test_other_notation_of_counts_is_refused_with_the_cell(tmp_path: Path, cell: str, text: str) -> None:
    with pytest.raises(PermanentError, match=text):
        parse("2026-09", counted(tmp_path, [(f"2026-09-01T0{n}:00:00", cell) for n in range(3)]))


def test_other_columns_status_words_and_months_are_refused(tmp_path: Path) -> None:
    good = record(1, STREET, "2026-09-01T00:00:00", "10")
    with pytest.raises(PermanentError, match="a row lacks AnzFahrzeuge"):
        parse("2026-09", page(tmp_path, [{k: v for k, v in good.items() if k != "AnzFahrzeuge"}]))
    with pytest.raises(PermanentError, match=r"3 of 3 rows cannot be read, most of them unknown_status"):
        parse("2026-09", page(tmp_path, [good | {"_id": n, "AnzFahrzeugeStatus": "measured"} for n in range(3)]))
    with pytest.raises(PermanentError, match=r"page.json has no row of the month among 1"):
        parse("2026-10", page(tmp_path, [good]))
    with pytest.raises(PermanentError, match=r"no row of 1 has a value; rejected: {'no_value': 1}"):
        parse("2026-09", page(tmp_path, [good | {"AnzFahrzeuge": None}]))
