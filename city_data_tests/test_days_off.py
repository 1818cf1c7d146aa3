"""Distances to holidays and bridge days: what a calendar on the wall says, and nothing where a day is not known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from city_data.days_off import DayOff, Surroundings, surroundings

MONDAY = date(2026, 11, 30)
DAY = timedelta(days=1)


def around(holidays: Mapping[int, bool | None], days: int = 14) -> list[Surroundings]:
    """Of two weeks from a Monday on; `holidays` are known ordinary days but for those that it names by their place."""

    def day_off(day: date) -> DayOff:
        return DayOff(day.weekday() >= 5, holidays.get((day - MONDAY).days, False))

    return list(surroundings([MONDAY + n * DAY for n in range(days)], day_off).values())


def test_days_count_to_the_nearest_holiday_on_either_side() -> None:
    both = around({3: True, 9: True, -2: True})
    assert [one.days_to_holiday for one in both[:10]] == [3, 2, 1, 0, 5, 4, 3, 2, 1, 0]
    assert [one.days_since_holiday for one in both[:10]] == [2, 3, 4, 0, 1, 2, 3, 4, 5, 0]


def test_unknown_day_ends_a_count() -> None:
    one_unknown = around({2: None, 4: True, -1: True})
    assert [one.days_to_holiday for one in one_unknown[:5]] == [None, None, None, 1, 0]
    assert [one.days_since_holiday for one in one_unknown[:6]] == [1, 2, None, None, 0, 1]


def test_year_without_a_holiday_has_no_distance() -> None:
    assert {one.days_to_holiday for one in around({})} == {None}


def test_bridge_day_lies_between_a_holiday_and_a_weekend_or_another_holiday() -> None:
    thursday, tuesday, two_apart = around({3: True}), around({8: True}), around({1: True, 3: True})
    assert [n for n, one in enumerate(thursday) if one.is_bridge_day] == [4]
    assert [n for n, one in enumerate(tuesday) if one.is_bridge_day] == [7]
    assert [n for n, one in enumerate(two_apart) if one.is_bridge_day] == [0, 2, 4]
    assert not any(one.is_bridge_day for one in around({2: True}))  # a Wednesday's holiday leaves two days on each side


def test_bridge_day_is_unknown_only_where_an_unknown_day_decides() -> None:
    days = around({3: None, 8: True, 10: True, 11: None})
    assert [one.is_bridge_day for one in days] == [
        *(False, False, False, False, None, False, False),  # a Thursday that may be a holiday makes Friday a bridge
        *(True, False, True, False, None, False, False),  # the second Friday may itself be a holiday
    ]


@given(
    st.dictionaries(st.integers(-40, 60), st.sampled_from([True, None])),
    st.dictionaries(st.integers(0, 13), st.booleans()),
)
def test_learning_about_a_day_never_changes_a_known_answer(
    holidays: dict[int, bool | None], learned: dict[int, bool]
) -> None:
    """Otherwise a value was a guess, and a frame of tomorrow would contradict that of today."""
    news = {day: is_holiday for day, is_holiday in learned.items() if holidays.get(day, False) is None}
    for before, after in zip(around(holidays), around({**holidays, **news}), strict=True):
        assert before.days_to_holiday in (None, after.days_to_holiday)
        assert before.days_since_holiday in (None, after.days_since_holiday)
        assert before.is_bridge_day in (None, after.is_bridge_day)
