"""A dataset whose rows are named by more than their date: from frame to table, version, record and day."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from city_data.columns import Column
from city_data.datasets import DATASETS, Dataset
from city_data.frames import canonical, checks, coverage
from city_data.frames.daily import daily
from city_data.pipeline.build import _known
from city_data.pipeline.replay import compare
from city_data.store.database import Database
from city_data.store.months import MonthLoad, replace_month
from city_data.store.record_formats import parquet
from city_data.store.record_tables import Shape, cut, month_table
from city_data.store.schema import DATA, data_table
from city_data.store.segments import cut as cut_records
from city_data.store.segments import read_segments
from city_data.store.series import read_series
from city_data.store.versions import decode_frame, read_frames
from city_data_tests.store.loads import END, MONTH, STAMPS, START, ZONE, month_load

DEPTHS = (1, 2, 3)
SOIL = Dataset(
    name="soil",  # type: ignore[arg-type]  a dataset of these tests alone
    table="city_soil_data",
    columns=(
        Column("warmth", "number", "°C", "Temperature of the soil", -60, 60),
        Column("water", "number", "mm", "Water that seeped", 0, 100, day_rule="sum"),
    ),
    resolution="hourly",
    example_source="soil_opendata",
    records_have_ids=True,
    key_columns=(Column("depth", "integer", "dm", "Depth below the surface", 1, 3),),
)


def soil() -> pd.DataFrame:
    """The order is neither that of hours nor of depths."""
    rows = [
        {"date": pd.Timestamp(stamp), "depth": depth, "warmth": stamp.day + depth / 10, "water": depth / 4}
        for depth in (2, 1, 3)
        for stamp in reversed(STAMPS)
    ]
    return pd.DataFrame(rows).assign(source="soil_opendata")


def load(number: int = 0, frame: pd.DataFrame | None = None) -> MonthLoad:
    return month_load(number, frame=soil() if frame is None else frame, dataset=SOIL.name)


@pytest.fixture
def table(database: Database, monkeypatch: pytest.MonkeyPatch) -> sa.Table:
    """The dataset's table, as a migration would add it."""
    monkeypatch.setitem(DATASETS, SOIL.name, SOIL)
    monkeypatch.setitem(DATA, SOIL.name, data_table(SOIL, sa.MetaData()))
    with database.write() as connection:
        DATA[SOIL.name].create(connection)
    return DATA[SOIL.name]


def test_frame_is_sorted_by_its_key_and_completed_with_every_row_of_a_date() -> None:
    frame = canonical.canonical_frame(soil(), SOIL)
    assert list(frame.columns) == ["date", "depth", "warmth", "water", "source", "raw_data"]
    keys = list(zip(frame["date"], frame["depth"], strict=True))
    assert keys == sorted(keys)
    assert len(keys) == len(STAMPS) * len(DEPTHS) == SOIL.expected_rows(MONTH, ZONE, "hourly")

    holes = frame.drop(index=[0, 4, 5]).reset_index(drop=True)
    whole = canonical.complete(holes, SOIL, STAMPS, "soil_opendata")
    assert list(zip(whole["date"], whole["depth"], strict=True)) == keys
    assert whole.index[whole["warmth"].isna()].tolist() == [0, 4, 5]
    assert whole["depth"].dtype == "int64"
    with pytest.raises(ValueError, match="depth"):
        canonical.canonical_frame(soil().drop(columns="depth"), SOIL)


def test_month_under_way_is_completed_as_far_as_every_depth_has_come() -> None:
    frame = canonical.canonical_frame(soil(), SOIL)
    deep = frame[(frame["depth"] == 3) | (frame["date"] <= STAMPS[5])]
    assert _known(STAMPS, deep, SOIL) == STAMPS[:6]
    assert _known(STAMPS, deep[deep["depth"] != 1], SOIL) == []
    assert _known(STAMPS, frame.iloc[:0], SOIL) == []


def test_checks_find_repeated_keys_and_unknown_values_of_a_key() -> None:
    frame = canonical.canonical_frame(soil(), SOIL)
    assert checks.unique(frame, SOIL).passed, "dates repeat, with other depths"
    assert checks.stamps(frame, SOIL, STAMPS, checks.Odd(0, 0)).passed
    twice = canonical.canonical_frame(pd.concat([frame, frame.iloc[[7]]]), SOIL)
    assert not checks.unique(twice, SOIL).passed
    deeper = frame.assign(depth=frame["depth"] + 1)
    assert "depth such as 4" in checks.stamps(deeper, SOIL, STAMPS, checks.Odd(0, 0)).description


def test_days_count_the_rows_of_every_depth() -> None:
    frame = canonical.canonical_frame(soil(), SOIL).drop(index=[0])
    days = coverage.by_day(frame, SOIL, SOIL.column_names, MONTH, STAMPS, ZONE)
    assert days["expected"] == [24 * 3] * 31
    assert days["observed"]["warmth"] == [71] + [72] * 30


def test_days_made_of_hours_are_one_a_depth() -> None:
    days = daily(soil(), SOIL, ZONE)
    assert list(zip(days["date"], days["depth"], strict=True))[:4] == [
        *((pd.Timestamp(START), depth) for depth in DEPTHS),
        (pd.Timestamp(START) + pd.Timedelta(days=1), 1),
    ]
    assert days["water"].tolist()[:3] == [6.0, 12.0, 18.0]
    assert {detail["hours"] for detail in days["raw_data"]} == {24}


def test_load_is_read_back_by_key_and_a_rerun_changes_nothing(database: Database, table: sa.Table) -> None:
    published = replace_month(database, load())
    frame = read_series(database, SOIL.name, "madrid", START, END)
    pd.testing.assert_frame_equal(frame.drop(columns=["created_at", "updated_at"]), load().frame)
    assert (published.rows, published.entry.first_date) == (len(STAMPS) * 3, STAMPS[0])
    assert not replace_month(database, load(1)).changed
    colder = soil().assign(warmth=lambda rows: rows["warmth"].where(rows["depth"] != 2, -5.0))
    changes = compare(load().frame, load(2, colder).frame, SOIL)
    assert {name: change.cells for name, change in changes.items()} == {"warmth": len(STAMPS)}
    assert replace_month(database, load(2, colder)).version == 2


def test_two_rows_of_one_key_are_refused_by_the_database(database: Database, table: sa.Table) -> None:
    replace_month(database, load())
    with database.write() as connection:
        row = dict(connection.execute(sa.select(table).limit(1)).mappings().one())
        with pytest.raises(IntegrityError, match="duplicate key"), connection.begin_nested():
            connection.execute(table.insert().values(row))
        connection.execute(table.delete().where(table.c.date == row["date"], table.c.depth == row["depth"]))
        connection.execute(table.insert().values(row))


def test_records_name_their_key_and_are_cut_by_date(database: Database, table: sa.Table) -> None:
    replace_month(database, load())
    segment = read_segments(database, SOIL.name, "madrid", [(MONTH, 1)])[MONTH, 1]
    begin = STAMPS[30]
    records = [json.loads(text) for text in cut_records(segment, begin, begin + timedelta(hours=2))]
    assert [(one["date"], one["depth"]) for one in records] == [
        (f"{stamp:%Y-%m-%dT%H:%M:%SZ}", depth) for stamp in STAMPS[30:32] for depth in DEPTHS
    ]
    assert list(records[0]) == [
        *("id", "location_id", "date", "depth", "warmth", "water", "source", "created_at", "updated_at")
    ]
    every = [json.loads(text) for text in cut_records(segment, None, None)]
    assert len({one["id"] for one in every}) == len(every) == len(STAMPS) * 3


def test_tables_and_files_have_the_key_in_every_shape(database: Database, table: sa.Table) -> None:
    replace_month(database, load())
    (stored,) = read_frames(database, SOIL.name, "madrid", [(MONTH, 1)]).values()
    frame = decode_frame(stored, SOIL)
    (segment,) = read_segments(database, SOIL.name, "madrid", [(MONTH, 1)]).values()
    whole = month_table(frame, SOIL, "madrid", ZONE, Shape())
    ids = [json.loads(text)["id"] for text in cut_records(segment, None, None)]
    assert whole["id"].to_pylist() == ids, "the same record has one id in every format"
    chosen = month_table(frame, SOIL, "madrid", ZONE, Shape(columns=("water",)))
    assert chosen.column_names == ["date", "depth", "water"]
    days = month_table(frame, SOIL, "madrid", ZONE, Shape(daily=True))
    assert days.num_rows == 31 * 3
    assert days["depth"].to_pylist()[:4] == [1, 2, 3, 1]
    assert len(set(days["id"].to_pylist())) == 31 * 3
    part = cut(whole, STAMPS[10], STAMPS[12])
    assert part["depth"].to_pylist() == [1, 2, 3, 1, 2, 3]
    assert pq.read_table(io.BytesIO(parquet([whole], whole.schema))).equals(whole)


def test_hash_depends_on_the_key_where_values_are_equal() -> None:
    shuffled = soil().sample(frac=1.0, random_state=1)
    swapped = soil().assign(depth=lambda rows: rows["depth"].map({1: 2, 2: 1, 3: 3}))
    frames = [canonical.canonical_frame(frame, SOIL) for frame in (soil(), shuffled, swapped)]
    digests = [canonical.content_sha256(canonical.records(frame, SOIL)) for frame in frames]
    assert digests[0] == digests[1] != digests[2]


def test_columns_of_the_key_are_part_of_the_name_of_served_bytes() -> None:
    assert SOIL.columns_digest != replace(SOIL, key_columns=()).columns_digest
    assert all(a < b for a, b in pairwise(SOIL.key_values))
