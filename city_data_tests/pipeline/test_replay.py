"""Replay after a parser was fixed: offline, reported before anything is published, and only changes are published."""

from __future__ import annotations

import io
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from rich.console import Console

from city_data.cli.replay import run_replay
from city_data.columns import Column
from city_data.datasets import TRAFFIC, WEATHER
from city_data.frames import canonical
from city_data.pipeline.replay import ColumnChange, compare, rebuild
from city_data.providers.aemet import Aemet
from city_data.providers.base import ParsedMonth, Payload, PermanentError, Request
from city_data.store.series import read_series
from city_data.window import Month
from city_data_tests.columns import add_column
from city_data_tests.world import World

MONTHS = ["2026-08", "2026-09"]
CONNECT = socket.socket.connect
Parse = Callable[[Any, Request, Sequence[Payload]], ParsedMonth]


@pytest.fixture
def no_network(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket of this process reaches anything: the database's driver has its own, in C, and Redis is convenience."""

    def refuse(_: socket.socket, address: object) -> None:
        raise ConnectionRefusedError(f"the network is cut: {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def served(world: World) -> World:
    """Two months of weather."""
    assert [done.error for done in world.load("weather", *MONTHS)] == [None, None]
    return world


def mend(monkeypatch: pytest.MonkeyPatch, parse: Callable[[ParsedMonth], ParsedMonth], month: str = "2026-09") -> None:
    """From now on AEMET's parser reads one month otherwise."""
    before: Parse = Aemet.parse

    def mended(self: Aemet, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        parsed = before(self, request, payloads)
        return parse(parsed) if str(request.month) == month else parsed

    monkeypatch.setattr(Aemet, "parse", mended)


def warmer(parsed: ParsedMonth) -> ParsedMonth:
    """Half a degree more on the first ten days, and two on the eleventh."""
    add = pd.Series([0.5] * 10 + [2.0] + [0.0] * (len(parsed.frame) - 11), index=parsed.frame.index)
    return replace(parsed, frame=parsed.frame.assign(temperature=parsed.frame["temperature"] + add))


def replay(world: World, apply: bool) -> tuple[list[str], str]:
    text = io.StringIO()
    months = [Month.parse(month) for month in [*MONTHS, "2026-10"]]
    world.monkeypatch.setattr(dg.DagsterInstance, "get", lambda: dg.DagsterInstance.from_ref(world.instance.get_ref()))
    failed = run_replay(Console(file=text, width=200), [world.feed("weather")], months, apply)
    return failed, text.getvalue()


def versions(world: World) -> list[int | None]:
    entries = [world.entry("weather", month) for month in MONTHS]
    return [entry.version for entry in entries if entry is not None]


def test_only_a_month_parsed_differently_gets_a_new_version(
    served: World, no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, output = replay(served, apply=True)
    assert failed == []
    assert "2 unchanged, 1 not archived" in output
    assert "nothing to publish" in output
    assert versions(served) == [1, 1]

    mend(monkeypatch, warmer)
    before, rows = served.entry("weather", "2026-09"), served.rows("weather", "2026-09")
    failed, output = replay(served, apply=False)
    assert failed == []
    assert "1 unchanged, 1 changed, 1 not archived" in output
    (line,) = [line for line in output.splitlines() if " temperature " in line]
    cells = [cell.strip() for cell in line.strip("│ ").split("│")]
    assert cells[:5] == ["2026-09", "changed", "30 to 30", "temperature", "11"]
    assert float(cells[6]) - float(cells[5]) == pytest.approx((0.5 * 10 + 2) / 30, abs=0.002)
    assert float(cells[7]) == pytest.approx(2, abs=0.01)
    assert "city-data replay --apply" in output
    assert versions(served) == [1, 1]
    assert served.rows("weather", "2026-09") == rows

    failed, output = replay(served, apply=True)
    assert failed == []
    assert "1 new versions published" in output
    assert versions(served) == [1, 2]
    after = served.entry("weather", "2026-09")
    assert before is not None
    assert after is not None
    assert (after.state, after.fetched_at) == (before.state, before.fetched_at)
    assert served.rows("weather", "2026-09") != rows
    key = dg.AssetKey(["madrid", "weather_monthly"])
    records = dg.AssetRecordsFilter(asset_key=key, asset_partitions=["2026-09"])
    materializations = served.instance.fetch_materializations(records, limit=5).records
    events = [record.asset_materialization for record in materializations]
    assert [event.metadata["version"].value for event in events if event] == [2, 1]
    raw = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["madrid", "weather_raw"]), asset_partitions=["2026-09"])
    assert len(served.instance.fetch_materializations(raw, limit=5).records) == 1  # nothing was fetched again
    assert "nothing to publish" in replay(served, apply=True)[1]


def test_replay_that_fails_or_is_refused_publishes_nothing(served: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: ParsedMonth) -> ParsedMonth:
        raise PermanentError("the parser has lost its way")

    mend(monkeypatch, breaks, "2026-08")
    mend(monkeypatch, lambda parsed: replace(parsed, frame=parsed.frame.assign(temperature=451.0)))
    failed, output = replay(served, apply=True)
    assert len(failed) == 2
    assert "weather/madrid 2026-08: broken" in failed[0]
    assert "lost its way" in failed[0]
    assert "refused: plausible_ranges" in failed[1]
    assert "1 refused, 1 broken" in output
    assert versions(served) == [1, 1]


def test_new_column_changes_no_month_until_its_source_provides_it(
    served: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_column(monkeypatch, served.database_url, "weather", Column("visibility", "number", "m", "Visibility", low=0))
    feed, month = served.feed("weather"), Month.parse("2026-09")
    assert "visibility" in feed.dataset.column_names
    assert rebuild(feed, month, served.archive, served.database).outcome == "unchanged"
    mend(monkeypatch, lambda parsed: replace(parsed, frame=parsed.frame.assign(visibility=9.0)))
    rebuilt = rebuild(feed, month, served.archive, served.database)
    assert (rebuilt.outcome, rebuilt.columns) == ("changed", {"visibility": ColumnChange(30, None, 9.0, None)})


def test_damaged_files_of_the_archive_are_named_and_the_other_months_go_on(served: World) -> None:
    folder = served.folder / "raw" / "weather" / "madrid"
    (manifest,) = (folder / "2026-08").glob("*.manifest.json")
    os.truncate(manifest, manifest.stat().st_size // 2)
    file = served.archive.latest("weather", "madrid", Month.parse("2026-09")).files[0]
    body = folder / "2026-09" / f"{file.sha256}.bin"
    body.write_bytes(b"[]")
    failed, output = replay(served, apply=True)
    causes = (
        f"{manifest} is damaged; materialize the raw asset again",
        f"{body} ({file.name}) holds other bytes than were fetched; materialize it again",
    )
    assert failed == [f"weather/madrid {month}: broken: {why}" for month, why in zip(MONTHS, causes, strict=True)]
    assert "1 not archived, 2 broken" in output
    assert versions(served) == [1, 1]


ADDED = ["temperature_min", "temperature_max", "sunshine_duration", "wind_gust"]


def test_months_of_the_release_before_get_the_columns_that_their_bytes_have(world: World, no_network: None) -> None:
    """The bytes were archived with every field; what the release did not read is filled in from them, offline."""
    with pytest.MonkeyPatch.context() as before:
        parse: Parse = Aemet.parse
        before.setattr(Aemet, "parse", lambda *a: replace(p := parse(*a), frame=p.frame.assign(**dict.fromkeys(ADDED))))
        before.setattr(socket.socket, "connect", CONNECT)
        assert [done.error for done in world.load("weather", *MONTHS)] == [None, None]
    feed, month = world.feed("weather"), Month.parse("2026-09")
    rebuilt = rebuild(feed, month, world.archive, world.database)
    assert rebuilt.outcome == "changed"
    assert set(rebuilt.columns) == set(ADDED)
    assert {change.mean_before for change in rebuilt.columns.values()} == {None}
    assert replay(world, apply=True)[0] == []
    assert versions(world) == [2, 2]
    month_of = read_series(world.database, "weather", "madrid", *month.bounds("Europe/Madrid"))
    assert (month_of["temperature_min"] < month_of["temperature"]).mean() > 0.9
    assert month_of["sunshine_duration"].between(0, 900).all()


def frame(**columns: list[Any]) -> pd.DataFrame:
    dates = pd.date_range("2026-09-01", periods=len(next(iter(columns.values()))), freq="h", tz="UTC")
    return canonical.canonical_frame(pd.DataFrame({"date": dates, "source": "test", **columns}), TRAFFIC)


def test_cells_are_compared_one_by_one() -> None:
    before = frame(traffic_volume=[1.0, 2.0, None, 4.0], congestion_level=["low", "low", None, "high"])
    after = frame(traffic_volume=[1.0, 2.5, 3.0, None, 9.0], congestion_level=["low", "medium", None, "high", None])
    assert compare(before, after, TRAFFIC) == {
        "traffic_volume": ColumnChange(4, pytest.approx(7 / 3), pytest.approx(15.5 / 4), 0.5),
        "congestion_level": ColumnChange(1),
        "source": ColumnChange(1),
    }
    assert compare(before, before, TRAFFIC) == {}
    assert compare(before.iloc[:0], before, TRAFFIC)["traffic_volume"] == ColumnChange(3, None, pytest.approx(7 / 3))
    assert (
        compare(
            canonical.canonical_frame(before.iloc[:0], WEATHER),
            canonical.canonical_frame(before.iloc[:0], WEATHER),
            WEATHER,
        )
        == {}
    )
