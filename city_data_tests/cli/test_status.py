"""The summary: two lines per feed, one symbol per month; every table fits a terminal of 80 columns."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

from rich.console import Console

from city_data.cli.days import print_days
from city_data.cli.progress import print_sizes
from city_data.cli.status import print_months, print_polls, print_summary
from city_data.store.ledger import read_months, record_state
from city_data.window import Month
from city_data_tests.world import AS_OF, World


def test_summary_has_one_symbol_per_month_and_the_sources_below(world: World) -> None:
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
    assert lines[lines.index(weather) + 1].split() == ["daily", "sandbox:aemet"]
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
    august, september = (line for line in console.export_text().splitlines() if line.startswith("2026-0"))
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


WIDTH = 80
REASON = "502 from https://opendata.aemet.es/opendata/sh/; the source's gateway is down, and was tried again four times"


def test_status_fits_80_columns(world: World, tmp_path: Path) -> None:
    """Whatever is wrong with a month, and with two sources in one window."""
    world.enable("madrid", "barcelona", "valencia")
    world.load("traffic", "2026-09", city_id="barcelona")
    world.load("weather", "2026-09")
    for month, state in (("2026-07", "not_available"), ("2026-08", "failed"), ("2026-11", "not_yet_published")):
        record_state(world.database, "barcelona", "traffic", Month.parse(month), state, at=AS_OF, message=REASON)  # type: ignore[arg-type]
    held = {(entry.city_id, entry.dataset, entry.month): entry for entry in read_months(world.database)}
    key = ("barcelona", "traffic", Month(2026, 9))
    worst = {"received": 1_000_000, "used": 900_000, "rejected": {"no_value": 100_000}, "nulled": {"implausible:x": 12}}
    held[key] = replace(held[key], rechecked_at=AS_OF, recheck="unchanged", last_error=REASON, **worst)  # type: ignore[arg-type]
    held["barcelona", "traffic", Month(2026, 10)] = replace(
        held[key], source="sandbox:open_meteo", month=Month(2026, 10)
    )
    console = Console(record=True, width=WIDTH, file=StringIO())
    print_summary(console, world.feeds, world.window, held)
    print_months(console, world.feeds, world.window.months(), world.window.open, held)
    print_days(console, world.feeds, world.window.months(), held)
    print_polls(console, world.feeds, AS_OF)
    (tmp_path / "home").mkdir()
    print_sizes(console, tmp_path / "home")
    text = console.export_text()
    assert [line for line in text.splitlines() if len(line) > WIDTH and str(tmp_path) not in line] == []
    assert "…" not in text
    words = " ".join(re.sub(r"[ \n]+", " ", text).split())
    for shown in ("sandbox:barcelona_opendata", "tried again four times", "not_yet_published", "rechecked 2026-11-24"):
        assert shown in words
