"""The summary: one line per feed, one sign per month, and no truncation without a terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from city_data.cli.days import print_days
from city_data.cli.status import print_months, print_summary
from city_data.store.ledger import read_months, record_state
from city_data.window import Month
from city_data_tests.world import AS_OF, World


def test_summary_has_one_line_per_feed_and_one_symbol_per_month(world: World) -> None:
    world.enable("madrid")
    world.load("weather", "2026-09", "2026-10")
    for month, state in (("2024-11", "not_available"), ("2026-08", "failed"), ("2026-11", "not_yet_published")):
        record_state(world.database, "madrid", "weather", Month.parse(month), state, at=AS_OF)  # type: ignore[arg-type]
    entries = {(entry.city_id, entry.dataset, entry.month): entry for entry in read_months(world.database)}
    console = Console(record=True, width=160)
    print_summary(console, world.feeds, world.window, entries)
    lines = console.export_text().splitlines()
    weather, traffic = (next(line for line in lines if f" {name} " in line) for name in ("weather", "traffic"))
    assert "-" + "·" * 20 + "x█▒○" in weather
    assert "2 of 24" in weather
    assert "sandbox:aemet" in weather
    assert "·" * 25 in traffic
    assert "0 of 24" in traffic
    assert "█ settled" in lines[-1]


def test_month_with_an_emptied_column_is_marked(world: World) -> None:
    world.load("weather", "2026-08")
    world.sandbox.faults.order("/opendata/sh/", empty_column="hrMedia", outlier_column="prec", outliers=1)
    world.load("weather", "2026-09")
    held = {(entry.city_id, entry.dataset, entry.month): entry for entry in read_months(world.database)}
    feeds, months = [world.feed("weather")], [Month(2026, 8), Month(2026, 9)]
    console = Console(record=True, width=300)
    print_summary(console, feeds, world.window, held)
    text = console.export_text()
    assert "█!" in text
    assert "! stored with an empty column" in text
    print_months(console, feeds, months, Month(2026, 11), held)
    august, september = (line for line in console.export_text().splitlines() if line.startswith("│ 2026-0"))
    assert "no humidity" in september
    assert "values nulled" in september
    assert "80.0%" in september
    assert "no humidity" not in august
    assert "100.0%" in august
    fewer = replace(held["madrid", "weather", Month(2026, 8)], received=200, used=90, rejected={"other_month": 110})
    print_months(console, feeds, months[:1], Month(2026, 11), {("madrid", "weather", Month(2026, 8)): fewer})
    assert "45.0% of 200 rows used" in console.export_text()
    print_days(console, feeds, months, held)
    lines = [line for line in console.export_text().splitlines() if " humidity " in line]
    assert ["empty" in line for line in lines] == [False, True]
