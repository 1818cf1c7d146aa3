"""The canonical frame: order, rounding, null rows and a hash that depends on nothing but the content."""

from __future__ import annotations

import pandas as pd
import pytest

from city_data.columns import Column
from city_data.datasets import CALENDAR, TRAFFIC, Dataset, expected_stamps
from city_data.frames import canonical, checks
from city_data.store.versions import decode_frame, encode_batch, frame_batch
from city_data.window import Month

OCTOBER = Month(2026, 10)
STAMPS = expected_stamps(OCTOBER, "Europe/Madrid", "hourly")


def raw_frame(order: list[int] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "date": pd.DatetimeIndex(STAMPS[:4]),
            "traffic_volume": [10.123, float("nan"), 0.0, -0.0],
            "congestion_level": ["low", None, "high", float("nan")],
            "source": "test",
            "raw_data": [{"n": 1}, None, {"n": 3}, {"n": 4}],
        }
    )
    return frame.iloc[order].reset_index(drop=True) if order else frame


def digest(frame: pd.DataFrame) -> str:
    return canonical.content_sha256(canonical.records(frame, TRAFFIC))


def test_canonical_orders_rounds_and_keeps_missing_as_null() -> None:
    frame = canonical.canonical_frame(raw_frame([2, 0, 3, 1]), TRAFFIC)
    assert list(frame.columns) == TRAFFIC.frame_columns
    assert frame["date"].is_monotonic_increasing
    rows = canonical.records(frame, TRAFFIC)
    assert [row["traffic_volume"] for row in rows] == [10.12, None, 0.0, 0.0]
    assert [row["congestion_level"] for row in rows] == ["low", None, "high", None]
    assert rows[0]["pedestrian_count"] is None
    assert rows[0]["average_speed"] is None


def test_hash_depends_on_the_content_only() -> None:
    one, other = (canonical.canonical_frame(raw_frame(order), TRAFFIC) for order in (None, [3, 1, 0, 2]))
    assert digest(one) == digest(other)
    changed = one.assign(average_speed=[None, None, None, 30.0])
    assert digest(canonical.canonical_frame(changed, TRAFFIC)) != digest(one)


def test_complete_adds_a_null_row_for_every_hour_that_exists() -> None:
    frame = canonical.complete(canonical.canonical_frame(raw_frame(), TRAFFIC), TRAFFIC, STAMPS, "test")
    assert list(frame["date"]) == STAMPS
    assert len(frame) == 745
    assert canonical.observed(frame, TRAFFIC) == {
        "traffic_volume": 3,
        "pedestrian_count": 0,
        "congestion_level": 2,
        "average_speed": 0,
    }
    assert set(frame["source"]) == {"test"}


def test_day_without_a_holiday_is_known_and_one_of_a_missing_list_is_not() -> None:
    """Else a town whose list of holidays was lost would have as many as ever, and one of each month."""
    days = pd.date_range("2026-11-01", periods=3, tz="UTC")
    flags = {"town_holiday": ["La Almudena", None, None], "town_holiday_known": [True, True, False]}
    schools = {"school_vacation": [None, None, None], "school_free": [True, False, None]}
    frame = canonical.canonical_frame(pd.DataFrame({"date": days, "source": "test"} | flags | schools), CALENDAR)
    observed = canonical.observed(frame, CALENDAR)
    assert (observed["town_holiday"], observed["town_holiday_known"]) == (2, 3)
    assert (observed["school_vacation"], observed["school_free"]) == (1, 2)


def test_local_time_and_missing_source_are_refused() -> None:
    with pytest.raises(ValueError, match="must be in UTC"):
        canonical.canonical_frame(raw_frame().assign(date=lambda f: f["date"].dt.tz_convert("Europe/Madrid")), TRAFFIC)
    with pytest.raises(ValueError, match="source"):
        canonical.canonical_frame(raw_frame().drop(columns="source"), TRAFFIC)


def test_later_column_changes_the_hash_only_where_it_has_a_value() -> None:
    rows = [{"date": "a", "temperature": None, "source": "s"}, {"date": "b", "temperature": 1.0, "source": "s"}]
    named = [row | {"visibility": None} for row in rows]
    assert canonical.content_sha256(named) == canonical.content_sha256(rows)
    named[1]["visibility"] = 7.0
    assert canonical.content_sha256(named) != canonical.content_sha256(rows)
    assert canonical.content_sha256([{"date": "a", "source": "s"}, rows[1]]) != canonical.content_sha256(rows)


KINDS = Dataset(
    name="traffic",
    table="kinds",
    columns=(
        Column("length", "number", "m", "A length"),
        Column("name", "text", None, "A name"),
        Column("count", "integer", None, "A number of things", low=0, high=6),
        Column("is_open", "flag", None, "Whether it is open"),
    ),
    resolution="daily",
    example_source="test",
)


def frame_of_kinds(**values: object) -> pd.DataFrame:
    columns = {"length": [1.5, None], "name": ["a", None], "count": [3.0, float("nan")], "is_open": [True, None]}
    return pd.DataFrame({"date": pd.DatetimeIndex(STAMPS[:2]), "source": "test", **columns, **values})


def test_every_kind_of_value_is_the_same_after_it_was_stored_and_missing_ones_are_null() -> None:
    frame = canonical.canonical_frame(frame_of_kinds(), KINDS)
    rows = canonical.records(frame, KINDS)
    values = [(row["length"], row["name"], row["count"], row["is_open"]) for row in rows]
    assert repr(values) == "[(1.5, 'a', 3, True), (None, None, None, None)]"
    stored = decode_frame(encode_batch(frame_batch(frame, KINDS, STAMPS[0], STAMPS[0])), KINDS)
    assert [tuple(row[name] for name in KINDS.column_names) for row in stored.to_pylist()] == values
    assert checks.implausible(frame, KINDS) == {}
    assert checks.implausible(canonical.canonical_frame(frame_of_kinds(count=[7, 6]), KINDS), KINDS) == {"count": [0]}


@pytest.mark.parametrize("values", [{"count": [1.5, None]}, {"count": [True, None]}, {"is_open": [2, None]}])
def test_an_integer_or_flag_that_is_none_is_an_error(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"is not an integer|is neither true nor false"):
        canonical.canonical_frame(frame_of_kinds(**values), KINDS)
