"""The rules of settling and of what is due, on times and contents alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.cities import load_registry
from city_data.pipeline.feeds import Feed, ProviderBinding, enabled_feeds
from city_data.pipeline.settling import (
    choices_to_ask,
    due_months,
    is_due,
    is_revision,
    recheck_due,
    settled_state,
    within_budget,
)
from city_data.providers.base import Quota, RateLimit
from city_data.store.ledger import MonthEntry
from city_data.store.raw import Manifest, RawFile
from city_data.window import Month, Window

MONTH = Month(2026, 9)
ZONE = "Europe/Madrid"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
FEED = next(f for f in enabled_feeds(load_registry(environ={})) if f.name == "traffic/madrid")
CAPABILITIES = FEED.primary.provider.capabilities
PUBLISHED = MONTH.bounds(ZONE)[1] + CAPABILITIES.lag
FINAL = PUBLISHED + CAPABILITIES.settling
WINDOW = Window(Month(2024, 11), Month(2026, 11))
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


def manifest(at: datetime, content: str) -> Manifest:
    file = RawFile(
        name="a.zip", sha256=content, bytes=1, url="", params={}, media_type=None, last_modified=None, origin=None
    )
    return Manifest(
        dataset="traffic", city_id="madrid", month=str(MONTH), provider="madrid_opendata", fetched_at=at, seconds=0,
        files=[file],
    )  # fmt: skip


def entry(month: Month = MONTH, **values: Any) -> MonthEntry:
    known: dict[str, Any] = dict.fromkeys(MonthEntry.__dataclass_fields__)
    known |= {"city_id": "madrid", "dataset": "traffic", "month": month, "version": 1, "raw_files": [], "days": {}}
    known |= {"source": "sandbox:madrid_opendata"}
    return MonthEntry(**known | values)


@dataclass
class Ledger:
    """The month as a row of loads leaves it: `a`, `b`, ... name both bytes and values."""

    held: MonthEntry | None = None

    def load(self, at: datetime, content: str, values: str | None = None) -> tuple[str, int]:
        values = values or content
        told = manifest(at, content)
        state = settled_state(FEED.primary, MONTH, ZONE, told, values, self.held)
        changed = self.held is None or self.held.content_sha256 != values
        version = (self.held.version or 0 if self.held else 0) + changed
        self.held = entry(
            state=state, version=version, content_sha256=values, raw_files=[{"sha256": content}], fetched_at=at,
            loaded_at=at if changed or self.held is None else self.held.loaded_at, settled_at=at,
        )  # fmt: skip
        return state, version


@pytest.mark.parametrize(
    ("loads", "states"),
    [
        ([(PUBLISHED - 2 * DAY, "a"), (PUBLISHED - DAY, "a")], ["provisional", "provisional"]),  # still adding
        ([(PUBLISHED, "a"), (PUBLISHED + HOUR, "a")], ["provisional", "provisional"]),  # too close together
        ([(PUBLISHED, "a"), (PUBLISHED + DAY, "a")], ["provisional", "settled"]),
        ([(PUBLISHED, "a"), (PUBLISHED + DAY, "b"), (PUBLISHED + 2 * DAY, "b")], ["provisional"] * 2 + ["settled"]),
        ([(FINAL, "a")], ["settled"]),
        ([(PUBLISHED, "a"), (FINAL, "b")], ["provisional", "settled"]),
        ([(FINAL, "a"), (FINAL + 30 * DAY, "a")], ["settled", "settled"]),
        ([(FINAL, "a"), (FINAL + 30 * DAY, "b")], ["settled", "provisional"]),  # revised
        ([(FINAL, "a"), (FINAL + 30 * DAY, "b"), (FINAL + 31 * DAY, "b")], ["settled", "provisional", "settled"]),
        ([(FINAL, "a"), (FINAL + 30 * DAY, "b"), (FINAL + 31 * DAY, "c")], ["settled", "provisional", "provisional"]),
        ([(FINAL, "a"), (FINAL + 30 * DAY, "b"), (FINAL + 30 * DAY + HOUR, "b")], ["settled"] + ["provisional"] * 2),
        ([(PUBLISHED, "a"), (PUBLISHED + DAY, "a"), (PUBLISHED + 9 * DAY, "b")],
         ["provisional", "settled", "provisional"]),
    ],
)  # fmt: skip
def test_states_follow_from_fetches(loads: list[tuple[datetime, str]], states: list[str]) -> None:
    ledger = Ledger()
    assert [ledger.load(at, content)[0] for at, content in loads] == states


def test_new_parser_result_of_the_same_bytes_is_no_revision() -> None:
    ledger = Ledger()
    assert ledger.load(FINAL, "a") == ("settled", 1)
    assert ledger.load(FINAL, "a", values="a, read better") == ("settled", 2)
    assert ledger.load(FINAL + 30 * DAY, "a", values="a, read best") == ("settled", 3)
    assert ledger.held is not None
    assert not is_revision(manifest(FINAL, "a"), "other values", ledger.held)
    assert not is_revision(manifest(FINAL, "other bytes"), "a, read best", ledger.held)
    assert is_revision(manifest(FINAL, "other bytes"), "other values", ledger.held)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.sampled_from("ab")), min_size=1, max_size=12), st.integers(-400, 2000)
)
def test_nothing_settles_before_the_lag_nor_changes_while_settled(steps: list[tuple[int, str]], first: int) -> None:
    """Whatever is fetched, hour by hour: settled only after the lag, and never settled at once with other values."""
    ledger, at, before = Ledger(), PUBLISHED + first * HOUR, None
    for hours, content in steps:
        at += hours * HOUR
        held = ledger.held
        state, version = ledger.load(at, content)
        assert state == "provisional" or at >= PUBLISHED
        if before == "settled" and held is not None:
            assert state == ("settled" if version == held.version else "provisional")
        before = state


def test_settled_and_recently_fetched_months_are_not_due() -> None:
    assert is_due(FEED, MONTH, None, NOW)
    assert not is_due(FEED, Month(2026, 12), None, NOW)
    for state in ("provisional", "not_yet_published", "failed"):
        assert is_due(FEED, MONTH, entry(state=state, checked_at=NOW - DAY), NOW)
        assert not is_due(FEED, MONTH, entry(state=state, checked_at=NOW - HOUR), NOW)
    assert not is_due(FEED, MONTH, entry(state="settled", checked_at=NOW - 300 * DAY), NOW)


def missing(checked_at: datetime, since: datetime, **values: Any) -> MonthEntry:
    known = {"state": "not_available", "version": None, "checked_at": checked_at, "unavailable_since": since}
    return entry(**known | values)


def test_month_that_a_full_disk_has_failed_is_due_at_once() -> None:
    full = entry(state="failed", checked_at=NOW, last_error="OSError: [Errno 28] No space left on device: 'a.bin.part'")
    assert is_due(FEED, MONTH, full, NOW)
    assert not is_due(FEED, MONTH, replace(full, last_error="503"), NOW)


def test_missing_month_is_due_after_as_long_as_it_has_been_missing_from_a_day_to_four_weeks() -> None:
    for waited, interval in ((0 * DAY, 20 * HOUR), (4 * DAY, 4 * DAY), (90 * DAY, 28 * DAY)):
        held = missing(NOW, NOW - waited)
        assert not is_due(FEED, MONTH, held, NOW + interval - HOUR)
        assert is_due(FEED, MONTH, held, NOW + interval)
    of_an_old_ledger = missing(NOW, NOW, unavailable_since=None)
    assert is_due(FEED, MONTH, of_an_old_ledger, NOW + DAY)


def test_month_before_its_source_s_first_one_and_a_live_feed_s_past_are_final() -> None:
    earliest = CAPABILITIES.earliest
    assert earliest is not None
    assert not is_due(FEED, earliest - 1, missing(NOW - 300 * DAY, NOW - 301 * DAY), NOW)
    assert is_due(FEED, earliest, missing(NOW - 300 * DAY, NOW - 301 * DAY), NOW)
    live = next(f for f in enabled_feeds(load_registry(environ={})) if f.name == "traffic/valencia")
    assert not is_due(live, MONTH, missing(NOW - 300 * DAY, NOW - 301 * DAY), NOW)


def test_fallback_s_month_is_due_for_its_first_source_and_its_rows_are_not_of_it() -> None:
    weather = next(f for f in enabled_feeds(load_registry(environ={})) if f.name == "weather/madrid")
    substitute = entry(
        state="settled", dataset="weather", source="open_meteo", checked_at=NOW, unavailable_since=NOW - 4 * DAY
    )
    assert not is_due(weather, MONTH, substitute, NOW + 3 * DAY)
    assert is_due(weather, MONTH, substitute, NOW + 4 * DAY)
    assert is_due(weather, MONTH, replace(substitute, last_error="503"), NOW + DAY)
    assert choices_to_ask(weather, substitute) == [weather.primary]
    assert choices_to_ask(weather, replace(substitute, state="provisional")) == weather.choices
    assert choices_to_ask(weather, replace(substitute, source="sandbox:aemet")) == [weather.primary]
    assert choices_to_ask(weather, None) == weather.choices


class Slow(type(FEED.primary.provider)):  # type: ignore[misc]
    """Madrid with a budget of ten calls a day, of which refreshes have five, and a month takes two."""

    name = "slow"
    capabilities = replace(CAPABILITIES, rate_limit=replace(CAPABILITIES.rate_limit, calls=10, seconds=86_400))


def slow_feed() -> Feed:
    return replace(FEED, primary=ProviderBinding(Slow(), FEED.primary.settings))


def test_months_beyond_the_budget_come_first_the_next_day() -> None:
    feed, ledger, asked = slow_feed(), dict[Month, MonthEntry](), list[Month]()
    months = WINDOW.months()
    for day in range(13):
        moment = NOW + day * DAY
        due = [month for _, month in due_months([feed], ledger.values(), WINDOW, moment)]
        assert len(due) == 2
        assert due == sorted(due)
        asked += due
        for month in due:
            ledger[month] = entry(month, state="provisional", checked_at=moment)
    assert set(asked) == set(months)  # 25 months in 13 days of two: each was asked before any was asked twice
    assert within_budget([(FEED, month) for month in months]) == [(FEED, month) for month in months]


@given(
    plan=st.integers(1, 60),
    states=st.lists(
        st.sampled_from(["settled", "provisional", "not_yet_published", "not_available", "failed"]), min_size=1
    ),
    days=st.integers(1, 60),
)
def test_refresh_of_any_states_keeps_to_its_share_of_a_day_s_quota(plan: int, states: list[str], days: int) -> None:
    """Ticked once a day, as the schedule is; a month costs two calls."""

    class Planned(type(FEED.primary.provider)):  # type: ignore[misc]
        def rate_limit(self) -> RateLimit:
            return RateLimit(60, 60, quotas=(Quota(plan, 86_400),))

    feed, ledger = replace(FEED, primary=ProviderBinding(Planned(), FEED.primary.settings)), dict[Month, MonthEntry]()
    for tick in range(days):
        moment = NOW + tick * DAY
        due = [month for _, month in due_months([feed], ledger.values(), WINDOW, moment)]
        for number, month in enumerate(due):
            state = states[(tick + number) % len(states)]
            error = "503" if state == "failed" else None
            ledger[month] = entry(
                month, state=state, checked_at=moment, last_error=error, version=1 if state == "settled" else None
            )
        assert 2 * len(due) <= max(plan / 2, 2)


def test_a_quarter_of_settled_months_is_rechecked_each_week() -> None:
    ledger = {month: entry(month, state="settled", fetched_at=NOW - 30 * DAY) for month in WINDOW.complete_months()}
    seen: list[Month] = []
    for week in range(4):
        moment = NOW + week * 7 * DAY
        due = [month for _, month in recheck_due([FEED], ledger.values(), WINDOW, moment)]
        assert len(due) == 6
        seen += due
        for month in due:
            ledger[month] = replace(ledger[month], rechecked_at=moment, recheck="unchanged")
    assert sorted(seen) == WINDOW.complete_months()
    next_moment = NOW + 28 * DAY
    again = [month for _, month in recheck_due([FEED], ledger.values(), WINDOW, next_moment)]
    assert again == seen[:6]


def test_live_source_is_not_rechecked() -> None:
    provider = type("Present", (Slow,), {"capabilities": replace(CAPABILITIES, forward_only=True)})()
    old = entry(state="settled", fetched_at=NOW - 60 * DAY)
    assert recheck_due([FEED], [old], WINDOW, NOW) == [(FEED, MONTH)]
    assert (
        recheck_due([replace(FEED, primary=ProviderBinding(provider, FEED.primary.settings))], [old], WINDOW, NOW) == []
    )


def test_failed_recheck_is_repeated_and_unsettled_months_are_not_rechecked() -> None:
    fresh = entry(state="settled", fetched_at=NOW - DAY)
    assert recheck_due([FEED], [fresh], WINDOW, NOW) == []
    assert recheck_due([FEED], [replace(fresh, last_error="503")], WINDOW, NOW) == [(FEED, MONTH)]
    old = entry(state="provisional", fetched_at=NOW - 60 * DAY)
    assert recheck_due([FEED], [old], WINDOW, NOW) == []


def ahead(months: int, **capabilities: Any) -> Feed:
    """The feed, of a dataset that reaches so many months ahead."""

    class Reaching(type(FEED.primary.provider)):  # type: ignore[misc]
        pass

    Reaching.capabilities = replace(CAPABILITIES, **capabilities)
    binding = ProviderBinding(Reaching(), FEED.primary.settings)
    return replace(FEED, dataset=replace(FEED.dataset, months_ahead=months), primary=binding)


def test_months_ahead_are_due_as_far_as_the_dataset_reaches() -> None:
    due = [month for feed, month in due_months([ahead(2), FEED], [], WINDOW, NOW) if feed != FEED]
    assert due == [*WINDOW.months(), Month(2026, 12), Month(2027, 1)]
    assert not is_due(ahead(2), Month(2027, 2), None, NOW)


@pytest.mark.parametrize(("pace", "days"), [(DAY, [1, 2, 3]), (7 * DAY, [7, 14]), (28 * DAY, [28])])
def test_month_that_may_still_change_is_fetched_again_at_its_sources_pace(pace: timedelta, days: list[int]) -> None:
    feed, month, checked, fetched = ahead(2, pace=pace), Month(2026, 12), NOW, []
    for day in range(1, days[-1] + 1):
        tick = NOW + day * DAY - timedelta(minutes=1)  # a fetch takes a while, and the next tick comes on time
        if is_due(feed, month, entry(month, state="provisional", checked_at=checked), tick):
            checked, fetched = tick, [*fetched, day]
    assert fetched == days
    failed = entry(month, state="provisional", checked_at=NOW, last_error="503")
    assert is_due(feed, month, failed, NOW + DAY)
