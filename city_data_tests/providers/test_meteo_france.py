"""Meteo-France's department files: found by title, cached, cut to a month; and the states of a month."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd
import pytest

from city_data.providers.base import (
    Location,
    NotAvailable,
    NotYetPublished,
    PermanentError,
    TransientError,
)
from city_data.providers.meteo_france import MeteoFranceSettings
from city_data.providers.meteo_france import bulk_files as bulk
from city_data.providers.meteo_france.lines import stamp_text
from city_data.providers.shared.stations import NoData
from city_data.sandbox import Sandbox, running
from city_data.sandbox.meteo_france import CATALOGUE, DATASET
from city_data.sandbox.meteo_france import FILES as FILES_HOST
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


def test_24_months_need_one_download_per_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """The window's months lie in two files, since labels go by years; each comes over the network once."""
    months = rolling_window(AS_OF).complete_months()
    for month in months:
        assert Asked(sandbox, NAME, str(month)).fetch(tmp_path / str(month))
    counts = {path: (sandbox.answered[path, 200], sandbox.answered[path, 304]) for path in (LATEST, PREVIOUS)}
    assert counts == {LATEST: (1, 21), PREVIOUS: (1, 1)}
    assert len(months) == 24


def test_file_changed_at_the_source_is_downloaded_again(sandbox: Sandbox, tmp_path: Path) -> None:
    before = Asked(sandbox, NAME, "2026-11").month_of(tmp_path / "before").frame
    sandbox.publication.clock = lambda: AS_OF + timedelta(days=1)
    after = Asked(sandbox, NAME, "2026-11").month_of(tmp_path / "after").frame
    assert after["date"].iloc[-1] == before["date"].iloc[-1] + timedelta(days=1)
    assert sandbox.answered[LATEST, 200] == 2


def test_archive_stores_the_exact_lines_and_the_files_metadata(sandbox: Sandbox, tmp_path: Path) -> None:
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


def test_file_labels_change_in_january(sandbox: Sandbox, tmp_path: Path) -> None:
    january = datetime(2027, 1, 9, tzinfo=UTC)
    sandbox.publication.clock = lambda: january
    asked = Asked(sandbox, NAME, "2025-06", as_of=january)
    (payload,) = asked.fetch(tmp_path)
    assert payload.params["title"] == "HOR_departement_75_periode_2020-2025"
    assert len(asked.provider.parse(asked.request, [payload]).frame) > 600


def test_month_without_lines_is_a_state(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.publication.unpublished = {Month(2026, 10), Month(2026, 3)}
    with pytest.raises(NotYetPublished, match="has no line of 75114001"):
        Asked(sandbox, NAME, "2026-10").fetch(tmp_path)
    with pytest.raises(NotAvailable, match="its stations: 75114001"):
        Asked(sandbox, NAME, "2026-03").fetch(tmp_path)
    with pytest.raises(NotAvailable, match="no file covers 2012"):
        Asked(sandbox, NAME, "2012-05").fetch(tmp_path)


def test_unreadable_file_is_fetched_for_the_archive_and_refused_by_the_parse(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order("H_75_latest", without_column="RR1")
    asked = Asked(sandbox, NAME, "2026-09")
    payloads = asked.fetch(tmp_path)
    with pytest.raises(PermanentError, match="is not an hourly file: it lacks RR1"):
        asked.provider.parse(asked.request, payloads)


def test_a_foreign_host_in_the_catalogue_is_not_called(sandbox: Sandbox, tmp_path: Path) -> None:
    body = '{"resources": [{"title": "HOR_departement_75_periode_2025-2026", "url": "https://evil.example/H.gz"}]}'
    sandbox.faults.order("/datasets/", body=body)
    with pytest.raises(PermanentError, match=r"evil\.example"):
        Asked(sandbox, NAME, "2026-09").fetch(tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"resources": [{"title": "HOR", "url": "x"}]}', "lists no file named HOR_departement"),
        ('[{"title": 1}]', "lists no file"),
        (
            '{"resources": [{"title": "HOR_departement_13_periode_2025-2026", "url": "x"}]}',
            "no department '75'; it has 13",
        ),
    ],
)
def test_catalogue_with_other_titles_is_refused(sandbox: Sandbox, tmp_path: Path, body: str, said: str) -> None:
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
def test_invalid_settings_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MeteoFranceSettings.model_validate(settings)


def test_newer_of_two_files_with_the_same_year_is_read() -> None:
    files = [
        bulk.DepartmentFile("75", first, last, f"{first}-{last}", "https://example.org/")
        for first, last in ((2020, 2024), (2024, 2025), (2025, 2026))
    ]
    assert [f.title for f in bulk.covering(files, "75", [2024])] == ["2024-2025"]
    assert [f.title for f in bulk.covering(files, "75", [2025])] == ["2025-2026"]
    assert [f.title for f in bulk.covering(files, "75", [2023, 2024])] == ["2020-2024", "2024-2025"]
    with pytest.raises(NoData, match="no file covers 2027"):
        bulk.covering(files, "75", [2027])


def department_file(first: int, last: int, department: str = "75", modified: str = "", url: str = "") -> dict[str, str]:
    title = f"HOR_departement_{department}_periode_{first}-{last}"
    return {"title": title, "url": url or f"https://{FILES_HOST}/{title}.csv.gz", "last_modified": modified}


@pytest.mark.parametrize(
    "listed",
    [
        [department_file(2027, 2028), department_file(2020, 2025)],
        # Two departments: the first has lost its former period, which the other one shows to exist.
        [department_file(2027, 2028), department_file(2027, 2028, "69"), department_file(2020, 2026, "69")],
    ],
)
def test_hole_of_the_catalogue_at_new_year_is_transient_and_heals(
    sandbox: Sandbox, tmp_path: Path, listed: list[dict[str, str]]
) -> None:
    sandbox.faults.order("/datasets/", body=json.dumps({"resources": listed}))
    with pytest.raises(TransientError, match="the catalogue has a hole: no file covers 2026"):
        Asked(sandbox, NAME, "2026-09").fetch(tmp_path)
    sandbox.faults.clear()
    assert len(Asked(sandbox, NAME, "2026-09").month_of(tmp_path).frame) > 700


@pytest.mark.parametrize("newest_first", [True, False])
def test_of_two_files_by_one_title_the_one_modified_last_is_read(
    sandbox: Sandbox, tmp_path: Path, newest_first: bool
) -> None:
    document = httpx.get(f"{sandbox.base_url}/{CATALOGUE}/api/1/datasets/{DATASET}/").json()
    (current,) = [r for r in document["resources"] if r["title"] == "HOR_departement_75_periode_2025-2026"]
    stale = department_file(2025, 2026, modified="2026-06-25T03:00:00+00:00", url=f"https://{FILES_HOST}/gone.csv.gz")
    both = [current | {"last_modified": "2026-11-20T04:00:00+00:00"}, stale]
    sandbox.faults.order("/datasets/", body=json.dumps({"resources": both if newest_first else both[::-1]}))
    (payload,) = Asked(sandbox, NAME, "2026-09").fetch(tmp_path)
    assert payload.url == current["url"]


def test_overseas_january_needs_two_files(sandbox: Sandbox, tmp_path: Path) -> None:
    """La Réunion's January begins at 20 UTC: three of its stamps are of the old year, and in the file before."""
    base = Asked(sandbox, NAME, "2025-01")
    request = replace(base.request, location=Location("saint_denis", -20.9, 55.4, "Indian/Reunion"))
    payloads = base.provider.fetch(request, base.http, tmp_path)
    assert [payload.name for payload in payloads] == ["HOR_75_2020-2024.csv", "HOR_75_2025-2026.csv"]
    frame = base.provider.parse(request, payloads).frame
    assert frame["date"].iloc[0] == pd.Timestamp("2024-12-31T20:00Z")
    assert len(frame) > 730
