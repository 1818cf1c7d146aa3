"""Meteo-France's department files: found by title, kept, cut to a month; and the states of a month."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from city_data.providers.base import (
    Location,
    NotAvailable,
    NotYetPublished,
    PermanentError,
)
from city_data.providers.meteo_france import MeteoFranceSettings
from city_data.providers.meteo_france import bulk_files as bulk
from city_data.providers.meteo_france.lines import stamp_text
from city_data.providers.shared.stations import NoData
from city_data.sandbox import Sandbox, running
from city_data.window import Month, rolling_window
from city_data_tests.sandbox.asking import AS_OF, Asked

NAME = "meteo_france"
FILES = "/meteofrance.s3.sbg.io.cloud.ovh.net/data/synchro_ftp/BASE/HOR/"
LATEST, PREVIOUS = f"{FILES}H_75_latest-2025-2026.csv.gz", f"{FILES}H_75_previous-2020-2024.csv.gz"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("sandbox"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    served.answered.clear()
    clock = served.publication.clock
    yield served
    served.faults.clear()
    served.publication.clock, served.publication.unpublished = clock, set()


def test_24_months_cost_one_download_a_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """The window's months lie in two files, since labels go by years; each comes over the network once."""
    months = rolling_window(AS_OF).complete_months()
    for month in months:
        assert Asked(sandbox, NAME, str(month)).fetch(tmp_path / str(month))
    counts = {path: (sandbox.answered[path, 200], sandbox.answered[path, 304]) for path in (LATEST, PREVIOUS)}
    assert counts == {LATEST: (1, 21), PREVIOUS: (1, 1)}
    assert len(months) == 24


def test_a_file_that_changed_at_the_source_is_noticed(sandbox: Sandbox, tmp_path: Path) -> None:
    before = Asked(sandbox, NAME, "2026-11").month_of(tmp_path / "before").frame
    sandbox.publication.clock = lambda: AS_OF + timedelta(days=1)
    after = Asked(sandbox, NAME, "2026-11").month_of(tmp_path / "after").frame
    assert after["date"].iloc[-1] == before["date"].iloc[-1] + timedelta(days=1)
    assert sandbox.answered[LATEST, 200] == 2


def test_the_archive_gets_the_exact_lines_and_the_papers_of_the_file(sandbox: Sandbox, tmp_path: Path) -> None:
    (payload,) = Asked(sandbox, NAME, "2026-09").fetch(tmp_path)
    kept = next((tmp_path / "downloads").rglob("entry.json")).parent / payload.params["file_sha256"]
    whole = gzip.decompress(kept.read_bytes()).splitlines(keepends=True)
    lines = payload.path.read_bytes().splitlines(keepends=True)
    assert lines[0] == whole[0]
    start, end = (stamp_text(moment).encode() for moment in (datetime(2026, 8, 31, 23), datetime(2026, 9, 30, 22)))
    assert lines[1:] == [line for line in whole[1:] if start <= line.split(b";")[5] <= end]
    assert payload.params["title"] == "HOR_departement_75_periode_2025-2026"
    assert int(payload.params["file_bytes"]) == kept.stat().st_size
    assert payload.url.endswith("H_75_latest-2025-2026.csv.gz")
    assert "file_etag" in payload.params


def test_labels_shift_in_january_and_are_never_assumed(sandbox: Sandbox, tmp_path: Path) -> None:
    january = datetime(2027, 1, 9, tzinfo=UTC)
    sandbox.publication.clock = lambda: january
    asked = Asked(sandbox, NAME, "2025-06", as_of=january)
    (payload,) = asked.fetch(tmp_path)
    assert payload.params["title"] == "HOR_departement_75_periode_2020-2025"
    assert len(asked.provider.parse(asked.request, [payload]).frame) > 600


def test_a_month_without_lines(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.publication.unpublished = {Month(2026, 10), Month(2026, 3)}
    with pytest.raises(NotYetPublished, match="has no line of 75114001"):
        Asked(sandbox, NAME, "2026-10").fetch(tmp_path)
    with pytest.raises(NotAvailable, match="its stations: 75114001"):
        Asked(sandbox, NAME, "2026-03").fetch(tmp_path)
    with pytest.raises(NotAvailable, match="no file covers 2012"):
        Asked(sandbox, NAME, "2012-05").fetch(tmp_path)


def test_a_foreign_host_in_the_catalogue_is_not_called(sandbox: Sandbox, tmp_path: Path) -> None:
    body = '{"resources": [{"title": "HOR_departement_75_periode_2025-2026", "url": "https://evil.example/H.gz"}]}'
    sandbox.faults.order("/datasets/", body=body)
    with pytest.raises(PermanentError, match=r"evil\.example"):
        Asked(sandbox, NAME, "2026-09").fetch(tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"resources": []}', "lists no file named HOR_departement"),
        ('[{"title": 1}]', "lists no file"),
        (
            '{"resources": [{"title": "HOR_departement_13_periode_2025-2026", "url": "x"}]}',
            "no department '75'; it has 13",
        ),
    ],
)
def test_a_catalogue_of_other_words(sandbox: Sandbox, tmp_path: Path, body: str, said: str) -> None:
    sandbox.faults.order("/datasets/", body=body)
    with pytest.raises(PermanentError, match=said):
        Asked(sandbox, NAME, "2026-09").fetch(tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"department": "75", "stations": ["69029001"]}, "not of department 75: 69029001"),
        ({"department": "75", "stations": []}, "at least 1"),
        ({"department": "75", "stations": ["7511400"]}, "pattern"),
        ({"department": "7", "stations": ["75114001"]}, "pattern"),
    ],
)
def test_settings_that_cannot_be_meant(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MeteoFranceSettings.model_validate(settings)


def test_of_two_files_that_hold_a_year_the_newer_is_read() -> None:
    files = [
        bulk.DepartmentFile("75", first, last, f"{first}-{last}", "https://example.org/")
        for first, last in ((2020, 2024), (2024, 2025), (2025, 2026))
    ]
    assert [f.title for f in bulk._covering(files, "75", [2024])] == ["2024-2025"]
    assert [f.title for f in bulk._covering(files, "75", [2025])] == ["2025-2026"]
    assert [f.title for f in bulk._covering(files, "75", [2023, 2024])] == ["2020-2024", "2024-2025"]
    with pytest.raises(NoData, match="no file covers 2027"):
        bulk._covering(files, "75", [2027])


def test_overseas_clocks_need_two_files_at_new_year(sandbox: Sandbox, tmp_path: Path) -> None:
    """La Réunion's January begins at 20 UTC: three of its stamps are of the old year, and in the file before."""
    base = Asked(sandbox, NAME, "2025-01")
    request = replace(base.request, location=Location("saint_denis", -20.9, 55.4, "Indian/Reunion"))
    payloads = base.provider.fetch(request, base.http, tmp_path)
    assert [payload.name for payload in payloads] == ["HOR_75_2020-2024.csv", "HOR_75_2025-2026.csv"]
    frame = base.provider.parse(request, payloads).frame
    assert frame["date"].iloc[0] == pd.Timestamp("2024-12-31T20:00Z")
    assert len(frame) > 730
