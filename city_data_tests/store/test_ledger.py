"""States without data, and the months they leave unchanged."""

from __future__ import annotations

from datetime import timedelta

from city_data.store.database import Database
from city_data.store.ledger import read_months, record_state
from city_data.store.months import replace_month
from city_data_tests.store.loads import MONTH, NOON, entry_of, month_load, visible

LATER = NOON + timedelta(days=1)


def test_a_month_with_data_outlives_failures(database: Database) -> None:
    replace_month(database, month_load(state="settled"))
    before = visible(database)
    record_state(database, "madrid", "traffic", MONTH, "failed", at=LATER, run_id="r2", message="HTTP 500")
    after = visible(database)

    assert after[1:] == before[1:]
    assert (after[0].state, after[0].version, after[0].run_id) == ("settled", 1, "run-0")
    assert (after[0].last_error, after[0].last_error_at, after[0].checked_at) == ("HTTP 500", LATER, LATER)
    later = LATER + timedelta(hours=1)
    assert replace_month(database, month_load(at=later, fetched_at=later)).entry.last_error is None


def test_a_month_without_data_takes_the_state(database: Database) -> None:
    record_state(database, "madrid", "traffic", MONTH, "not_yet_published", at=NOON, message="wait", expected_rows=744)
    first = entry_of(database)
    assert (first.state, first.has_data, first.rows, first.expected_rows) == ("not_yet_published", False, 0, 744)
    assert (first.provenance, first.last_error, first.coverage) == ({"reason": "wait"}, None, None)

    record_state(database, "madrid", "traffic", MONTH, "failed", at=LATER, run_id="r2", message="truncated ZIP")
    second = entry_of(database)
    assert (second.state, second.run_id, second.last_error) == ("failed", "r2", "truncated ZIP")
    assert replace_month(database, month_load(24)).version == 1
    assert entry_of(database).state == "provisional"


def test_months_are_read_in_order_and_filtered(database: Database) -> None:
    for city in ("rome", "madrid"):
        for month in (MONTH + 1, MONTH, MONTH - 1):
            record_state(database, city, "weather", month, "not_available", at=NOON)
    assert [(e.city_id, e.month) for e in read_months(database, first=MONTH)] == [
        (city, month) for city in ("madrid", "rome") for month in (MONTH, MONTH + 1)
    ]
    assert [e.month for e in read_months(database, city_id="rome", last=MONTH)] == [MONTH - 1, MONTH]
    assert read_months(database, dataset="traffic") == []
