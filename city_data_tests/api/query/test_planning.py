"""The cache of plans: plans over the same months share slices, so that many ranges cost little more than one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from api.query.planning import Plans
from city_data.cities import load_registry
from city_data.store.database import Database
from city_data.store.ledger import MonthEntry, read_months
from city_data.window import Interval, Month
from city_data_tests.api.conftest import Load

MADRID = next(city for city in load_registry().all() if city.city_id == "madrid")


@pytest.fixture
def months(database: Database, load: Load) -> dict[Month, MonthEntry]:
    for month in ("2025-10", "2025-11", "2025-12"):
        load("traffic", month)
    return {entry.month: entry for entry in read_months(database, city_id="madrid", dataset="traffic")}


def interval(first: int, last: int) -> Interval:
    return Interval(datetime(2025, 10, first, tzinfo=UTC), datetime(2025, 12, last, tzinfo=UTC))


def test_plans_share_whole_months_but_not_cut_ones(months: dict[Month, MonthEntry]) -> None:
    plans = Plans()
    one, other = (plans.plan(MADRID, "traffic", interval(*days), months) for days in ((3, 20), (4, 21)))
    assert one.slices[1] is other.slices[1]
    assert [month_slice.whole for month_slice in one.slices] == [False, True, False]
    assert len({month_slice.name for plan in (one, other) for month_slice in plan.slices}) == 5
    assert {month_slice.stored_name for month_slice in one.slices} == {
        month_slice.stored_name for month_slice in other.slices
    }


def test_changed_ledger_row_makes_a_new_slice(months: dict[Month, MonthEntry]) -> None:
    plans = Plans()
    before = plans.plan(MADRID, "traffic", interval(3, 20), months)
    assert plans.plan(MADRID, "traffic", interval(3, 20), months) is before
    newer = {month: replace(entry, coverage=0.5) for month, entry in months.items()}
    after = plans.plan(MADRID, "traffic", interval(3, 20), newer)
    assert after.slices[1].entry is newer[Month(2025, 11)]
    assert (before.coverage, after.coverage) == (pytest.approx(0.9), pytest.approx(0.5))


def test_frame_of_a_city_at_another_place_has_another_tag(months: dict[Month, MonthEntry]) -> None:
    """Its hours of daylight are others."""
    north = MADRID.model_copy(update={"latitude": 41.0})
    tags = {
        Plans().frame(city, interval(3, 20), "daily", None, {"traffic": ("traffic", months)}).tag
        for city in (MADRID, MADRID.model_copy(), north)
    }
    assert len(tags) == 2
