"""The drift watch: each kind of change of each source is named, and nothing else is."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from city_data.cities import load_registry
from city_data.payloads import Payload
from city_data.pipeline.feeds import Feed, enabled_feeds
from city_data.pipeline.payload_shape import describe
from city_data.pipeline.source_shape import ACCEPTED_AFTER, KnownShape, compare, next_shape, outcome, shape_of
from city_data.providers import discover
from city_data.sandbox import running
from city_data.sandbox.spoil import Spoil
from city_data.store.polls import PollArchive
from city_data.store.source_shapes import SourceShape
from city_data.window import Month
from city_data_tests.sandbox.asking import AS_OF, Asked

DAY = timedelta(days=1)
OCTOBER, SEPTEMBER = Month(2026, 10), Month(2026, 9)
SOURCES = ("aemet", "barcelona_opendata", "madrid_opendata", "meteo_france", "open_meteo", "openweather")
ROWS = 4_000


@dataclass
class Source:
    """One source's September and October of Madrid in the sandbox, fetched once; changes are made in the bytes."""

    name: str
    fetched: dict[str, list[Payload]]

    def shape(self, folder: Path, month: str = "2026-09", **spoil: Any) -> KnownShape:
        """From bytes that went through the archive."""
        folder = folder / f"{month}-{len(list(folder.iterdir()))}"
        folder.mkdir()
        payloads = [replace(payload, path=folder / payload.name) for payload in self.fetched[month]]
        for payload, original in zip(payloads, self.fetched[month], strict=True):
            payload.path.write_bytes(Spoil(**spoil).apply(original.path.read_bytes()))
        archive, dataset = PollArchive(str(folder / "raw")), discover()[self.name].capabilities.dataset
        manifest = archive.store(dataset, "madrid", Month.parse(month), self.name, payloads, AS_OF)
        return shape_of(feed(dataset), manifest, archive)


def feed(dataset: str) -> Feed:
    return next(f for f in enabled_feeds(load_registry(environ={})) if f.name == f"{dataset}/madrid")


def cut(payload: Payload) -> Payload:
    """The first rows of a large file: rewriting all of them costs seconds."""
    body = payload.path.read_bytes()
    if body[:2] == b"PK":
        with zipfile.ZipFile(payload.path) as archive:
            (name,) = archive.namelist()
            head = b"\n".join(archive.read(name).split(b"\n")[:ROWS]) + b"\n"
        with zipfile.ZipFile(payload.path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, head)
    elif payload.name.endswith("TRAMS.csv"):
        payload.path.write_bytes(b"\n".join(body.split(b"\n")[:ROWS]) + b"\n")
    return payload


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        running(tmp_path_factory.mktemp("sandbox"), as_of=AS_OF) as served,
    ):
        for name in ("AEMET_API_KEY", "OPENWEATHER_API_KEY"):
            monkeypatch.setenv(name, "good")
        monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path_factory.mktemp("downloads")))
        fetched = {
            month: [cut(one) for one in Asked(served, request.param, month).fetch(tmp_path_factory.mktemp("bytes"))]
            for month in ("2026-09", "2026-10")
        }
        yield Source(request.param, fetched)


def test_months_of_a_source_that_changes_nothing_have_one_shape(source: Source, tmp_path: Path) -> None:
    september = source.shape(tmp_path)
    assert compare(source.shape(tmp_path, "2026-10"), september) == []  # the clocks change in it
    assert september.shape.stamps is not None
    step = {"aemet": 86_400, "madrid_opendata": 900, "barcelona_opendata": 600}.get(source.name, 3_600)
    assert september.shape.stamps.step == pytest.approx(step, rel=0.5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_stamps_by_another_clock_are_named(source: Source, tmp_path: Path, sign: int) -> None:
    minutes = sign * (1_440 if source.name == "aemet" else 60)  # its days have no hours
    changes = compare(source.shape(tmp_path, shift_minutes=minutes), source.shape(tmp_path))
    assert changes == [f"stamps are shifted by {minutes / 60:+.2g} h"]


def test_columns_that_come_and_go_are_named(source: Source, tmp_path: Path) -> None:
    before = source.shape(tmp_path)
    added = source.shape(tmp_path, extra_column="novel")
    assert [change.partition(":")[0] for change in compare(added, before)] == ["new columns"]
    assert [change.partition(":")[0] for change in compare(before, added)] == ["columns gone"]


def test_numbers_in_another_spelling_are_named(source: Source, tmp_path: Path) -> None:
    column = {"aemet": "tmed", "open_meteo": "temperature_2m", "openweather": "main.temp", "meteo_france": "T"}
    changes = compare(source.shape(tmp_path, swap_decimals=True), source.shape(tmp_path))
    if source.name in column:
        assert any(change.startswith(f"{column[source.name]} is now a number with a ") for change in changes)
    else:
        assert changes == []  # the traffic of cities is counted in whole numbers


def test_size_that_doubles_is_named(source: Source, tmp_path: Path) -> None:
    changes = compare(source.shape(tmp_path, duplicates=True), source.shape(tmp_path))
    repeats_pack_well = source.name == "madrid_opendata"
    assert [" bytes, and were " in change for change in changes] == ([] if repeats_pack_well else [True])


def known(columns: str = "a;b", at: datetime = AS_OF, month: Month = OCTOBER) -> tuple[KnownShape, SourceShape]:
    """A fetch with these columns, and the row of a source whose first fetch it is."""
    shape = KnownShape(shape=describe([]).model_copy(update={"kind": f"CSV of {columns}"}), whole=True)
    return shape, SourceShape("madrid", "weather", "aemet", month, shape.model_dump(mode="json"), at, at)


def test_change_is_reported_for_a_week_and_then_is_the_good_shape() -> None:
    row: SourceShape | None = known()[1]
    reported = []
    for day in range(1, 12):
        current, first = known("a;b;c", AS_OF + day * DAY)
        row = next_shape(row, current, first)
        assert row is not None
        reported.append(bool(row.changes))
    assert reported == [True] * ACCEPTED_AFTER.days + [False] * (11 - ACCEPTED_AFTER.days)


def test_source_that_sends_the_good_shape_again_is_reported_no_more() -> None:
    row = next_shape(known()[1], *known("a", AS_OF + DAY))
    assert row is not None
    assert not outcome(row).passed
    assert "aemet has changed its shape: the bytes are CSV of a, and were CSV of a;b" in outcome(row).description
    healed = next_shape(row, *known("a;b", AS_OF + 2 * DAY))
    assert healed is not None
    assert outcome(healed).passed
    assert healed.first_at == AS_OF


def test_another_change_begins_a_week_of_its_own() -> None:
    row = next_shape(known()[1], *known("a", AS_OF + DAY))
    row = next_shape(row, *known("b", AS_OF + 5 * DAY))
    assert row is not None
    assert row.changed_at == AS_OF + 5 * DAY


def test_only_the_first_fetch_of_a_day_and_newer_months_are_compared() -> None:
    row = known("a;b", AS_OF - DAY)[1]
    assert next_shape(row, *known("a", AS_OF, SEPTEMBER)) is None
    again = next_shape(row, *known("a;b", AS_OF))
    assert next_shape(again, *known("a", AS_OF + timedelta(hours=3))) is None
    assert next_shape(again, *known("a", AS_OF + timedelta(hours=3), OCTOBER + 1)) is not None
    assert outcome(None).passed


def test_older_layouts_of_a_first_backfill_are_no_change() -> None:
    row = next_shape(known("old", AS_OF, SEPTEMBER)[1], *known("new", AS_OF + timedelta(hours=1)))
    assert row is not None
    assert (row.month, row.changes) == (OCTOBER, ())


def test_bytes_of_no_known_kind_have_a_size_and_a_kind(tmp_path: Path) -> None:
    kinds = {
        b"": "no table",
        b"<!DOCTYPE html><html>;</html>": "HTML",
        b"PK\x03\x04 rotten": "broken ZIP",
        b"\x1f\x8b rotten": "broken gzip",
        b'{"hourly": {"ti': "broken JSON",
        b'{"error": true}': "JSON without a table",
        b"[" * 100_000: "broken JSON",
        b"\x00\xff" * 100: "no table",
    }
    for number, (body, kind) in enumerate(kinds.items()):
        path = tmp_path / str(number)
        path.write_bytes(body)
        shape = describe([Payload(path.name, path, "https://example.org/")])
        assert (shape.kind, shape.bytes, shape.stamps) == (kind, len(body), None)
