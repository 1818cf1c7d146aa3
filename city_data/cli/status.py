"""`city-data status`: every feed in one line, or every month of some feeds in tables.

Belongs here: stored months, for people. Does not: days and columns (days.py), running work (progress.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from city_data import environment
from city_data.operations.live_feed_metrics import read_polls
from city_data.pipeline.feeds import Feed
from city_data.store.ledger import MonthEntry, State
from city_data.store.polls import PollArchive
from city_data.window import Month, Window

StoredMonths = Mapping[tuple[str, str, Month], MonthEntry]
COLOURS: dict[State, str] = {
    "settled": "green",
    "provisional": "yellow",
    "not_yet_published": "cyan",
    "not_available": "bright_black",
    "failed": "bold red",
}
# A sign besides the colour, for log files and colour-blind readers.
SIGNS: dict[State, str] = {
    "settled": "█",
    "provisional": "▒",
    "not_yet_published": "○",
    "not_available": "-",
    "failed": "x",
}
NEVER_REQUESTED = "·"
STALE_POLL_HOURS = 3
EMPTY_COLUMN = "!"


def print_summary(console: Console, feeds: Sequence[Feed], window: Window, stored: StoredMonths) -> None:
    """Two lines a feed: a sign a month, oldest first, and the counts of its complete months; then its sources."""
    table = narrow_table("city", "dataset", f"{window.first} to {window.open}", "stored", "settled", "coverage")
    table.columns[2].min_width = len(window.months())
    for feed in feeds:
        entries = {month: stored.get(_key(feed, month)) for month in feed.months(window)}
        complete = [entry for month in window.complete_months() if (entry := entries[month]) is not None]
        there = [entry for entry in complete if entry.has_data]
        settled = sum(entry.state == "settled" for entry in complete)
        mean = sum(entry.coverage or 0.0 for entry in there) / len(there) if there else None
        table.add_row(
            feed.city.name,
            feed.dataset.name,
            _strip(entries[month] for month in window.months()),
            f"{len(there)} of {len(window.complete_months())}",
            str(settled),
            "" if mean is None else f"{mean:.1%}",
        )
        sources = ", ".join(sorted({entry.source for entry in there if entry.source}))
        name = feed.primary.provider.name
        origin = _strip(entry for month, entry in entries.items() if month > window.open)
        origin.append(f" ahead; {sources or name}" if origin else sources or name)
        table.add_row("", feed.resolution, origin, style="dim")
    console.print(table)
    signs = [f"{sign} {state}" for state, sign in SIGNS.items()]
    legend = [*signs, f"{EMPTY_COLUMN} stored with an empty column", f"{NEVER_REQUESTED} never requested"]
    console.print("one sign a month: " + ", ".join(legend), highlight=False)


def print_months(
    console: Console, feeds: Sequence[Feed], months: Sequence[Month], today: Month, stored: StoredMonths
) -> None:
    """One table a feed: the months, newest last, the capabilities of its sources, and a line of totals."""
    for feed in feeds:
        title = f"{feed.city.name}: {feed.dataset.name} ({feed.resolution})"
        table = narrow_table("month", "state", "coverage", "rows", "version", "details")
        table.title = title
        for column in table.columns[:5]:
            column.no_wrap = True
        reached = [month for month in months if month <= today + feed.dataset.months_ahead]
        entries = {month: stored.get(_key(feed, month)) for month in reached}
        for month, entry in entries.items():
            table.add_row(*_row(month, entry))
        console.print(table)
        for choice in feed.choices:
            console.print(f"{choice.provider.name}: {choice.provider.capabilities.summary}", highlight=False)
        complete = [entry for month, entry in entries.items() if month < today]
        there = sum(entry is not None and entry.has_data for entry in complete)
        settled = sum(entry is not None and entry.state == "settled" for entry in complete)
        gone = sum(entry is not None and entry.state == "not_available" for entry in complete)
        never = f", {gone} not available" if gone else ""
        console.print(f"{there} of {len(complete)} complete months stored, {settled} settled{never}\n")


def print_polls(console: Console, feeds: Sequence[Feed], moment: datetime) -> None:
    """One line a live feed: the newest poll with data, and the open month's polls by outcome."""
    live = [feed for feed in feeds if feed.live is not None]
    if not live:
        return
    archive = PollArchive(environment.RAW_URL.required())
    for feed in live:
        figures = read_polls(archive, feed, moment)
        hours = (moment.timestamp() - figures.last_stored) / 3600
        last = f"last poll with data {hours:.1f} h ago" if figures.last_stored else "no poll with data yet"
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(figures.polls.items()))
        text = f"{feed.city.name} {feed.dataset.name}: {last}; polls of the open month: {counts}"
        console.print(text, style="yellow" if hours > STALE_POLL_HOURS else None, highlight=False)


def narrow_table(*columns: str) -> Table:
    """Without lines, so that months fit into the 80 columns of a terminal."""
    table = Table(*columns, box=None, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left")
    for column in table.columns:
        column.overflow = "fold"  # a long word, such as an address in an error, goes on in the next line
    return table


def _strip(entries: Iterable[MonthEntry | None]) -> Text:
    text = Text()
    for entry in entries:
        if entry is None:
            text.append(NEVER_REQUESTED)
        else:
            text.append(EMPTY_COLUMN if entry.empty_columns else SIGNS[entry.state], COLOURS[entry.state])
    return text


def _row(month: Month, entry: MonthEntry | None) -> list[str]:
    if entry is None:
        return [str(month), "[dim]never requested[/]", *[""] * 4]
    coverage = "" if entry.coverage is None else f"{entry.coverage:.1%}"
    counts = [f"{entry.rows} of {entry.expected_rows}", str(entry.version or "")] if entry.has_data else ["", ""]
    state = f"[{COLOURS[entry.state]}]{entry.state}[/]"
    rechecked = f"rechecked {entry.rechecked_at:%Y-%m-%d}: {entry.recheck}" if entry.rechecked_at else ""
    error = escape(entry.last_error or _missing_at_source(entry))
    details = " | ".join(filter(None, [entry.source or "", rechecked, _findings(entry), error]))
    return [str(month), state, coverage, *counts, details]


def _findings(entry: MonthEntry) -> str:
    """What is odd in a stored month, in a few words; `--days` has the counts by reason and column."""
    findings = [f"[bold red]no {', '.join(entry.empty_columns)}[/]"] if entry.empty_columns else []
    if missing := entry.provenance.get("stations_without_data"):
        findings.append(f"[yellow]no data from {', '.join(missing)}[/]")
    if entry.used_share is not None and entry.used_share < 1:
        findings.append(f"{entry.used_share:.1%} of {entry.received:,} rows used")
    nulled = sum(entry.nulled.values())
    return "; ".join([*findings, *([f"{nulled:,} values nulled"] if nulled else [])])


def _missing_at_source(entry: MonthEntry) -> str:
    """Why the first source does not have the month, whether a fallback serves it or nothing does."""
    if entry.fallback_reason is not None:
        return f"fallback: {entry.fallback_reason}"
    return "" if entry.has_data else str(entry.provenance.get("reason", ""))


def _key(feed: Feed, month: Month) -> tuple[str, str, Month]:
    return (feed.city.city_id, feed.dataset.name, month)
