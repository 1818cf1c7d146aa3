"""`city-data status --days`: observed values of each column by month and day, and counts of used and rejected rows.

Belongs here: tables for people. Does not: counting (frames/coverage.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from city_data.cli.status import narrow_table
from city_data.datasets import DATASETS
from city_data.frames import coverage
from city_data.pipeline.feeds import Feed
from city_data.store.ledger import MonthEntry
from city_data.window import Month

LEGEND = "one sign a day: █ whole, ▓ at least three quarters, ▒ at least half, ░ less, · nothing"


def print_days(
    console: Console,
    feeds: Sequence[Feed],
    months: Sequence[Month],
    stored: Mapping[tuple[str, str, Month], MonthEntry],
) -> None:
    """One table a feed, one line a month and column; then the rows that were rejected, by month and reason."""
    for feed in feeds:
        title = f"{feed.city.name}: {feed.dataset.name}, values by column and day"
        table = narrow_table("month", "column", "observed", "percent", "days")
        table.title = title
        rows = []
        for month in months:
            entry = stored.get((feed.city.city_id, feed.dataset.name, month))
            if entry is None or not entry.days:
                continue
            for line in _lines(month, entry):
                table.add_row(*line)
            rows.append(_rows(month, entry))
        console.print(table)
        console.print(LEGEND)
        for text in rows:
            console.print(text, highlight=False)
        console.print()


def _lines(month: Month, entry: MonthEntry) -> list[list[str]]:
    lines = []
    for name, of in coverage.of_month(entry.days, DATASETS[entry.dataset]).items():
        percent = "not given" if of.percent is None else f"{of.percent:.2f}%"
        if name in entry.empty_columns:
            percent = "[bold red]empty[/]"
        lines.append([str(month), name, f"{of.observed} of {of.expected}", percent, _strip(entry, name)])
    return lines


def _strip(entry: MonthEntry, column: str) -> str:
    days = (columns.get(column) for _, columns in coverage.of_days(entry.days, DATASETS[entry.dataset], entry.month))
    return "".join(_sign(of) for of in days if of is not None)


def _sign(of: coverage.Coverage) -> str:
    if not of.observed:
        return "·"
    share = of.observed / of.expected
    return "█" if share >= 1 else "▓" if share >= 0.75 else "▒" if share >= 0.5 else "░"


def _rows(month: Month, entry: MonthEntry) -> str:
    def listed(counts: Mapping[str, int]) -> str:
        return ", ".join(f"{reason} {count:,}" for reason, count in sorted(counts.items())) or "none"

    nulled = f"; values made NULL: {listed(entry.nulled)}" if entry.nulled else ""
    share = "" if entry.used_share is None else f" ({entry.used_share:.1%} without repeats)"
    rows = f"{entry.received:,} rows received = {entry.used:,} used{share}"
    return f"{month}: {rows} + rejected: {listed(entry.rejected)}{nulled}"
