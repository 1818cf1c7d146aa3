"""Whatever JSON tells is a number, or NULL and counted once."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from city_data.providers.shared.numbers import number

JSON = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-(10**400), 10**400), st.text(max_size=5))


@given(JSON)
def test_any_value_is_a_number_or_counted(value: object) -> None:
    nulled: Counter[str] = Counter()
    made = number(value, "humidity", nulled)
    assert made is None or 0 <= made < float("inf")
    assert nulled.total() == (made is None and value is not None)


def test_only_what_cannot_be_negative_is_refused_below_zero() -> None:
    nulled: Counter[str] = Counter()
    assert number(-3, "temperature", nulled) == -3
    assert [number(-3, name, nulled) for name in ("wind_speed", "precipitation", "average_speed")] == [None] * 3
    assert nulled == {"negative:wind_speed": 1, "negative:precipitation": 1, "negative:average_speed": 1}
