"""The rules for settling a month and for requesting it again, in one place.

Belongs here: pure decisions on times, contents and the ledger's row. Does not: requests (defs/schedules.py,
defs/assets/raw.py).

- Before its source's lag has passed a month is provisional: its source is still adding to it.
- First fetched after lag and settling time, it is settled at once. In between, it is settled when two fetches, well
  apart and both after the lag, have the same parsed values or the same bytes.
- A settled month whose source sends other bytes with other values is revised: a new version, and provisional until two
  fetches agree again, since a source that has just revised a month may revise it again.
- Other values of the same bytes come from a change of our parser: the state stays.
- Unsettled months are requested daily, settled ones rechecked every four weeks, a quarter of them each week.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from city_data.pipeline.feeds import Feed, ProviderBinding
from city_data.window import Month, Window

if TYPE_CHECKING:
    from city_data.store.ledger import MonthEntry
    from city_data.store.raw import Manifest

Task = tuple[Feed, Month]
# Two equal fetches are evidence only if the source had time to change between them.
AGREEMENT_GAP = timedelta(hours=20)
# A little under a day, so that a daily tick finds yesterday's fetch due again.
REFETCH_AFTER = timedelta(hours=20)
RECHECK_AFTER = timedelta(days=28)
RECHECK_WEEKS = 4
DAY_S = 86_400.0
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
# Refreshes leave the rest of a source's day to backfills and to retries.
BUDGET_SHARE = 0.5


def settled_state(
    choice: ProviderBinding,
    month: Month,
    timezone: str,
    manifest: Manifest,
    content_sha256: str,
    current: MonthEntry | None,
) -> Literal["provisional", "settled"]:
    """The state of a month that is published from `manifest`; `current` is its ledger row so far."""
    capabilities = choice.provider.capabilities
    published = month.bounds(timezone)[1] + capabilities.lag
    final = published + capabilities.settling
    in_time: Literal["provisional", "settled"] = "settled" if manifest.fetched_at >= final else "provisional"
    if current is None or not current.has_data or current.fetched_at is None:
        return in_time
    was_settled = current.state == "settled"
    if manifest.fetched_at == current.fetched_at:
        return "settled" if was_settled else in_time
    revised_before = current.loaded_at is not None and current.loaded_at >= final
    if is_revision(manifest, content_sha256, current):
        return "provisional" if was_settled or revised_before else in_time
    agree = current.fetched_at >= published and manifest.fetched_at - current.fetched_at >= AGREEMENT_GAP
    return "settled" if was_settled or agree else ("provisional" if revised_before else in_time)


def is_revision(manifest: Manifest, content_sha256: str, current: MonthEntry) -> bool:
    """Whether the source has changed its values: other bytes, and other rows built from them."""
    known_bytes = sorted(str(file.get("sha256")) for file in current.raw_files)
    return current.content_sha256 != content_sha256 and known_bytes != manifest.digest


def is_due(feed: Feed, month: Month, entry: MonthEntry | None, moment: datetime) -> bool:
    """Whether to request a month again: not if it is settled, or was requested within the day."""
    if entry is None:
        return month.bounds(feed.city.timezone)[0] <= moment
    if entry.state in ("settled", "not_available"):
        return False
    return entry.checked_at is None or moment - entry.checked_at >= REFETCH_AFTER


def due_months(feeds: list[Feed], entries: Iterable[MonthEntry], window: Window, moment: datetime) -> list[Task]:
    """Every month of the window that is due, oldest first, as far as a day's budget of each provider goes.

    Months never requested come first, then those with the oldest request: months that do not fit today are first in
    line tomorrow.
    """
    by_task = _by_task(entries)
    due = [
        (feed, month)
        for month in window.months()
        for feed in feeds
        if is_due(feed, month, by_task.get(_key(feed, month)), moment)
    ]

    def waiting_since(task: Task) -> float:
        entry = by_task.get(_key(*task))
        return entry.checked_at.timestamp() if entry and entry.checked_at else 0.0

    wanted = within_budget(sorted(due, key=waiting_since))
    return [task for task in due if task in wanted]


def recheck_due(feeds: list[Feed], entries: Iterable[MonthEntry], window: Window, moment: datetime) -> list[Task]:
    """The settled months to recheck this week: those not checked for four weeks, the oldest check first, and those
    whose last recheck failed; at most a quarter of each feed's."""
    by_task = _by_task(entries)
    due: list[Task] = []
    for feed in feeds:
        if feed.primary.provider.capabilities.forward_only:
            continue  # its source has no history to compare with
        candidates = [(by_task.get(_key(feed, month)), month) for month in window.complete_months()]
        settled = [(entry, month) for entry, month in candidates if entry is not None and entry.state == "settled"]
        old = [(_last_checked(e), m) for e, m in settled if moment - _last_checked(e) >= RECHECK_AFTER or e.last_error]
        share = -(-len(settled) // RECHECK_WEEKS)
        due += [(feed, month) for _, month in sorted(old)[:share]]
    return within_budget(due)


def within_budget(tasks: list[Task]) -> list[Task]:
    """The first of `tasks`, as many as a day's share of each provider's calls has room for."""
    left: dict[str, float] = {}
    affordable = []
    for feed, month in tasks:
        provider = feed.primary.provider
        rate = provider.capabilities.rate_limit
        limits = [(rate.calls, rate.seconds), *((quota.calls, quota.seconds) for quota in rate.quotas)]
        left.setdefault(provider.name, BUDGET_SHARE * min(calls * DAY_S / seconds for calls, seconds in limits))
        left[provider.name] -= provider.calls(feed.primary.settings)
        if left[provider.name] >= 0:
            affordable.append((feed, month))
    return affordable


def _last_checked(entry: MonthEntry) -> datetime:
    return max(moment for moment in (entry.rechecked_at, entry.fetched_at, _LONG_AGO) if moment is not None)


def _key(feed: Feed, month: Month) -> tuple[str, str, Month]:
    return (feed.city.city_id, feed.dataset.name, month)


def _by_task(entries: Iterable[MonthEntry]) -> dict[tuple[str, str, Month], MonthEntry]:
    return {(entry.city_id, entry.dataset, entry.month): entry for entry in entries}
