"""The rules for settling a month and for requesting it again, in one place.

Belongs here: pure decisions on times, contents and the ledger's row. Does not: requests (defs/schedules.py,
defs/assets/raw.py).

- Before its source's lag has passed a month is provisional: its source is still adding to it.
- First fetched after lag and settling time, it is settled at once. In between, it is settled when two fetches, well
  apart and both after the lag, have the same parsed values or the same bytes.
- A settled month whose source sends other bytes with other values is revised: a new version, and provisional until two
  fetches agree again, since a source that has just revised a month may not be done with it.
- Other values of the same bytes are our parser's doing, not the source's: the state stays.
- A month that its first source does not have, whether nobody has it or a fallback serves it, is requested again at
  growing intervals: each as long as the time since it was first missing, from a day to four weeks. Only what lies
  before a source's first month, or in the past of a live feed, is final.
- Unsettled months are requested daily, settled ones rechecked every four weeks, a quarter of them each week.
"""

from __future__ import annotations

import errno
import os
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
# So much earlier than a whole number of days, so that a daily tick finds an earlier fetch due again.
_EARLY = timedelta(hours=4)
REFETCH_AFTER = timedelta(days=1) - _EARLY
NO_SPACE = os.strerror(errno.ENOSPC)
RECHECK_AFTER = timedelta(days=28)
LONGEST_INTERVAL = timedelta(days=28)
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
    if _provider_of(current) != choice.provider.name:
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
    """Whether the source has other values than it had: other bytes, and other rows made of them."""
    known_bytes = sorted(str(file.get("sha256")) for file in current.raw_files)
    if _provider_of(current) != manifest.provider:
        return False  # another source, not another answer of the same
    return current.content_sha256 != content_sha256 and known_bytes != manifest.digest


def is_due(feed: Feed, month: Month, entry: MonthEntry | None, moment: datetime) -> bool:
    """Whether a month should be requested again: not where it is settled by its first source, nor where it is final."""
    if entry is None:
        return (month - feed.dataset.months_ahead).bounds(feed.city.timezone)[0] <= moment
    missing = not entry.has_data and entry.state == "not_available"
    if missing and all(is_final(feed, choice, month, moment) for choice in feed.choices):
        return False
    if entry.state == "settled" and (is_from_primary(feed, entry) or is_final(feed, feed.primary, month, moment)):
        return False
    return entry.checked_at is None or moment - entry.checked_at >= _interval(feed, entry)


def is_final(feed: Feed, choice: ProviderBinding, month: Month, moment: datetime) -> bool:
    """Whether a provider never will have the month: before its first one, or in the past of a live feed."""
    capabilities = choice.provider.capabilities
    before_the_first = capabilities.earliest is not None and month < capabilities.earliest
    return before_the_first or (capabilities.forward_only and moment >= month.bounds(feed.city.timezone)[1])


def is_from_primary(feed: Feed, entry: MonthEntry) -> bool:
    """Whether the month's rows are from the feed's first provider."""
    return entry.has_data and _provider_of(entry) == feed.primary.provider.name


def choices_to_ask(feed: Feed, entry: MonthEntry | None) -> list[ProviderBinding]:
    """The providers to ask for a month: the first alone where it gave the month, so that a passing fault does not
    replace observed rows by modelled ones, or where the fallback's rows are settled."""
    if entry is not None and entry.has_data and (is_from_primary(feed, entry) or entry.state == "settled"):
        return [feed.primary]
    return feed.choices


def _interval(feed: Feed, entry: MonthEntry) -> timedelta:
    """The least time between two tries: a day, or for a stored month the source's own pace; of a month missing at its
    first source, the time it has been missing; none after a full disk, which is not the source's fault."""
    if NO_SPACE in (entry.last_error or ""):
        return timedelta()
    if entry.state == "provisional" and not entry.last_error and is_from_primary(feed, entry):
        return feed.primary.provider.capabilities.pace - _EARLY
    if entry.last_error or entry.checked_at is None or entry.state not in ("settled", "not_available"):
        return REFETCH_AFTER
    missing_for = entry.checked_at - (entry.unavailable_since or entry.checked_at)
    return min(max(missing_for, REFETCH_AFTER), LONGEST_INTERVAL)


def _provider_of(entry: MonthEntry) -> str:
    """A stand-in's name goes before the provider's."""
    return (entry.source or "").rpartition(":")[2]


def due_months(feeds: list[Feed], entries: Iterable[MonthEntry], window: Window, moment: datetime) -> list[Task]:
    """Every month of the window that is due, oldest first, as far as a day's budget of each provider goes.

    Months never requested come first, then those with the oldest request: months that do not fit today are first in
    line tomorrow.
    """
    by_task = _by_task(entries)
    due = [
        (feed, month)
        for feed in feeds
        for month in feed.months(window)
        if is_due(feed, month, by_task.get(_key(feed, month)), moment)
    ]
    due.sort(key=lambda task: task[1])

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
    """The first of `tasks`, as many as a day's share of each provider's calls has room for, and at least one."""
    left: dict[str, float] = {}
    affordable: list[Task] = []
    for feed, month in tasks:
        provider = feed.primary.provider
        rate = provider.rate_limit()
        limits = [(rate.calls, rate.seconds), *((quota.calls, quota.seconds) for quota in rate.quotas)]
        left.setdefault(provider.name, BUDGET_SHARE * min(calls * DAY_S / seconds for calls, seconds in limits))
        left[provider.name] -= provider.calls(feed.primary.settings)
        # Of a plan that is smaller than a month's calls, one month a day is asked for, or none ever would be.
        first = all(other.primary.provider.name != provider.name for other, _ in affordable)
        if left[provider.name] >= 0 or first:
            affordable.append((feed, month))
    return affordable


def _last_checked(entry: MonthEntry) -> datetime:
    return max(moment for moment in (entry.rechecked_at, entry.fetched_at, _LONG_AGO) if moment is not None)


def _key(feed: Feed, month: Month) -> tuple[str, str, Month]:
    return (feed.city.city_id, feed.dataset.name, month)


def _by_task(entries: Iterable[MonthEntry]) -> dict[tuple[str, str, Month], MonthEntry]:
    return {(entry.city_id, entry.dataset, entry.month): entry for entry in entries}
