"""Metamorphic relations of Zurich's counts: other orders, pages and notations change no value without a mark."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import pytest

from city_data.providers import discover
from city_data.providers.base import ParsedMonth, PermanentError
from city_data_tests.oracles.comparing import Hours, hours_of_frame, parse_bytes
from city_data_tests.oracles.months import zurich_opendata as months
from city_data_tests.oracles.months.base import Table
from city_data_tests.oracles.received import Received
from city_data_tests.providers.test_traffic_oracles import columns_of, request
from city_data_tests.relations.traffic import OTHER_NUMBERS, SAME_ROWS, in_column, same_bytes, times_two

SPAN = (2026, 6, 4)
ROWS, FOOT = months.rows(Random(5), *SPAN), months.foot_rows(Random(7), *SPAN)
VEHICLES, PERSONS = 4, 2


def month_of(rows: Table = ROWS, foot: Table = FOOT) -> ParsedMonth:
    return parsed(months.page(rows), months.foot_file(foot))


def parsed(*payloads: Received) -> ParsedMonth:
    return parse_bytes(discover()["zurich_opendata"], request(*SPAN[:2]), payloads)


def values(month: ParsedMonth) -> Hours:
    return hours_of_frame(month, columns_of("zurich_opendata"))


BEFORE = month_of()


def test_month_has_both_columns() -> None:
    assert BEFORE.frame[columns_of("zurich_opendata")].notna().sum().min() > 40


@pytest.mark.parametrize("change", SAME_ROWS)
def test_rows_in_another_order_or_twice_are_the_same_month(change: str) -> None:
    changed = SAME_ROWS[change]
    after = month_of(changed(Random(1), ROWS), changed(Random(2), FOOT))
    assert values(after) == values(BEFORE)
    assert after.used == BEFORE.used


@pytest.mark.parametrize("spelling", same_bytes(","))
def test_pedestrians_file_in_another_notation_is_the_same_month(spelling: str) -> None:
    body = same_bytes(",")[spelling](bytes(months.foot_file(FOOT)))
    after = parsed(months.page(ROWS), Received.of("pedestrians.csv", body))
    assert values(after) == values(BEFORE)
    assert (after.used, after.rejected, after.nulled) == (BEFORE.used, BEFORE.rejected, BEFORE.nulled)


PAGES: dict[str, Callable[[bytes], bytes]] = {
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "indented": lambda body: json.dumps(json.loads(body), indent=1).encode(),
    "escapes": lambda body: json.dumps(json.loads(body), ensure_ascii=True).encode(),
    "an unknown column": lambda body: body.replace(b'"MSID"', b'"Kname": "x", "MSID"'),
    "numbers in place of texts": lambda body: body.replace(b'"AnzFahrzeuge": "9000"', b'"AnzFahrzeuge": 9000'),
}


@pytest.mark.parametrize("spelling", PAGES)
def test_page_in_another_notation_is_the_same_month(spelling: str) -> None:
    body = PAGES[spelling](bytes(months.page(ROWS)))
    after = parsed(Received.of("page.json", body), months.foot_file(FOOT))
    assert values(after) == values(BEFORE)
    assert after.rejected == BEFORE.rejected


def test_more_and_overlapping_pages_are_the_same_month() -> None:
    pages = [months.page(ROWS[n : n + 60], f"{n}.json") for n in range(0, len(ROWS), 50)]
    after = parsed(*Random(3).sample(pages, len(pages)), months.foot_file(FOOT))
    assert values(after) == values(BEFORE)
    assert sum(after.rejected.values()) > sum(BEFORE.rejected.values())


@pytest.mark.parametrize("spelling", OTHER_NUMBERS)
@pytest.mark.parametrize("column", [VEHICLES, PERSONS])
def test_numbers_in_another_notation_are_equal_or_refused(column: int, spelling: str) -> None:
    change = in_column(column, OTHER_NUMBERS[spelling])
    try:
        after = month_of(change(Random(), ROWS)) if column == VEHICLES else month_of(foot=change(Random(), FOOT))
    except PermanentError:
        return
    wrong = [stamp for stamp, row in values(after).items() if values(BEFORE).get(stamp) != row]
    assert not wrong or after.used < BEFORE.used


def test_twice_the_counts_are_twice_the_values() -> None:
    rows, foot = ([row for row in table if not {"27943", "9000", "1000000"} & set(row)] for table in (ROWS, FOOT))
    one = values(month_of(rows, foot))
    two = values(month_of(times_two(VEHICLES)(Random(), rows), times_two(PERSONS)(Random(), foot)))
    assert one.keys() == two.keys()
    for stamp, row in two.items():
        for column, found in row.items():
            single = one[stamp][column]
            assert found == (None if single is None else pytest.approx(2 * float(single), rel=1e-12))


def test_rows_of_another_month_change_nothing_and_are_counted() -> None:
    other = [["9" + row[0], *row[1:3], row[3].replace("2026-06", "2026-07"), *row[4:]] for row in ROWS[:50]]
    after = month_of(other + ROWS)
    assert values(after) == values(BEFORE)
    assert sum(after.rejected.values()) == sum(BEFORE.rejected.values()) + 50
