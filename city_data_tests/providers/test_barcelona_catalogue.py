"""Barcelona's catalogue: names of months, and the month's file found, fetched and verified."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.providers.barcelona_opendata import BarcelonaOpenData, months_of
from city_data.providers.base import NotAvailable, NotYetPublished, Payload, PermanentError, Request, TransientError
from city_data.providers.http import HttpClient, HttpSettings
from city_data.window import Month
from city_data_tests.providers.barcelona_files import BARCELONA, GOOD, HEADER, parsed, question, written
from city_data_tests.providers.wire import Answer, Site
from city_data_tests.sandbox.asking import StillClock

HOST = "opendata-ajuntament.barcelona.cat"
CATALOGUE = f"/{HOST}/data/api/3/action/package_show"
DATASET = f"https://{HOST}/data/dataset/trams/resource"
NAMES = ("Gener", "Febrer", "Marc", "Abril", "Maig", "Juny", "Juliol", "Agost", "Setembre", "Octubre", "Novembre")


@pytest.mark.parametrize(
    ("resource", "month"),
    [
        ({"name": "2019_01_Gener_TRAMS_TRAMS"}, "2019-01"),
        ({"name": "2026_01_GENER_TRAMS_TRAMS.csv"}, "2026-01"),
        ({"name": "2024_03_Marc_TRAMS_TRAMS.csv"}, "2024-03"),
        ({"name": "2024_03_març_TRAMS_TRAMS.csv"}, "2024-03"),
        ({"name": "2021_09_Setembe_TRAMS_TRAMS.csv"}, "2021-09"),
        ({"name": "2021_09_Sep_TRAMS_TRAMS.csv"}, "2021-09"),  # the number alone
        ({"name": "Trams", "url": f"{DATASET}/x/download/2025_04_Abril_TRAMS_TRAMS.csv"}, "2025-04"),
        ({"name": "2025_04_Abril_TRAMS_TRAMS", "url": f"https://{HOST}/resources/auto/transit/x.csv"}, "2025-04"),
        ({"name": "TRAMS_TRAMS.dat", "url": f"{DATASET}/x/download"}, None),
        ({"name": "2025_04_Abril_ITINERARIS_ITINERARIS.csv"}, None),
        ({"name": "2025_13_Abril_TRAMS_TRAMS.csv"}, None),
        ({"name": None, "url": None}, None),
    ],
)
def test_month_is_read_from_the_resource_name(resource: dict[str, Any], month: str | None) -> None:
    assert months_of(resource) == ({Month.parse(month)} if month else set())


@given(st.integers(1, 11), st.integers(2017, 2026), st.data())
def test_month_name_in_any_case_or_with_one_typo_is_understood(number: int, year: int, data: st.DataObject) -> None:
    word = NAMES[number - 1]
    place = data.draw(st.integers(1, len(word) - 1))
    slip = data.draw(st.sampled_from([word, word[:place] + word[place - 1 :], word[:place] + word[place + 1 :]]))
    spell = data.draw(st.sampled_from([str.lower, str.upper, str.title, str]))
    assert months_of({"name": spell(f"{year}_{number:02d}_{slip}_TRAMS_TRAMS.csv")}) == {Month(year, number)}


class Portal:
    """A catalogue of the test's own, and the real client."""

    def __init__(self, web: Site, into: Path) -> None:
        self.web, self.into, self.clock = web, into, StillClock()

    def lists(self, *resources: dict[str, str]) -> None:
        self.web.on(CATALOGUE, Answer(json.dumps({"success": True, "result": {"resources": resources}}).encode()))

    def has(self, name: str, *bodies: bytes) -> None:
        self.lists({"name": name, "url": f"https://{HOST}/{name}"})
        self.web.on(f"/{HOST}/{name}", *(Answer(body, headers={"Last-Modified": "yesterday"}) for body in bodies))

    def fetch(self, asked: Request) -> Payload:
        provider = BarcelonaOpenData()
        http = HttpClient(
            provider.name,
            provider.capabilities,
            settings=HttpSettings(attempts=2),
            clock=self.clock,
            routes={HOST: f"{self.web.url}/{HOST}"},
        )
        (payload,) = provider.fetch(asked, http, self.into)
        return payload


@pytest.fixture
def portal(web: Site, tmp_path: Path) -> Portal:
    (tmp_path / "into").mkdir()
    return Portal(web, tmp_path / "into")


MAY = "2023_05_Maig_TRAMS_TRAMS.csv"


def test_month_file_is_stored_unchanged(portal: Portal) -> None:
    portal.has(MAY, GOOD)
    payload = portal.fetch(question("2023-05"))
    assert (payload.url, payload.media_type, payload.last_modified) == (
        f"https://{HOST}/{MAY}",
        "text/csv",
        "yesterday",
    )
    assert payload.path.read_bytes() == GOOD


def test_calls_are_one_at_a_time_and_three_seconds_apart() -> None:
    limit = BarcelonaOpenData.capabilities.rate_limit
    assert limit.spacing >= 3


def test_a_month_must_be_listed_exactly_once(portal: Portal) -> None:
    one, other = ({"name": MAY, "url": f"https://{HOST}/{n}.csv"} for n in (1, 2))
    portal.lists(one, other)
    with pytest.raises(PermanentError, match=r"barcelona_opendata: barcelona 2023-05: .* 2 times"):
        portal.fetch(question("2023-05"))
    for name, url in (("2023_05_Juny_TRAMS_TRAMS", "x.csv"), (MAY, "2023_06_Juny_TRAMS_TRAMS.csv")):
        portal.lists({"name": name, "url": f"https://{HOST}/{url}"})
        with pytest.raises(PermanentError, match="2023-05 and 2023-06"):
            portal.fetch(question("2023-05"))


def test_unlisted_month_is_not_yet_published_and_later_not_available(portal: Portal) -> None:
    portal.lists({"name": MAY, "url": f"https://{HOST}/1.csv"})
    end = Month(2023, 7).bounds(BARCELONA.timezone)[1]
    for days, kind in ((60, NotYetPublished), (70, NotAvailable)):
        with pytest.raises(kind, match="not among the 1 months"):
            portal.fetch(question("2023-07", end + timedelta(days=days)))


APRIL = "2020_04_Abril_TRAMS_TRAMS.csv"
ZEROS = f"{HEADER}\n1,20200401000054,0,0\n2,20200401000054,0,0\n".encode()


@pytest.mark.parametrize(
    ("body", "said", "soon"),
    [
        (b"", "the file is empty", TransientError),
        (f"{HEADER}\n".encode(), "no rows of the month", NotYetPublished),
        (ZEROS, "all 2 rows are 0, no data", NotYetPublished),
    ],
)
def test_a_month_without_states_is_not_available(portal: Portal, body: bytes, said: str, soon: type[Exception]) -> None:
    """As April and May 2020. While the month can still be filled it is awaited."""
    portal.has(APRIL, body)
    with pytest.raises(NotAvailable, match=f"barcelona_opendata: barcelona 2020-04: .*without a single state.*{said}"):
        portal.fetch(question("2020-04"))
    assert len(portal.web.calls) == 3  # the catalogue, and the file twice
    with pytest.raises(soon):
        portal.fetch(question("2020-04", Month(2020, 4).bounds(BARCELONA.timezone)[1] + timedelta(days=20)))


def test_one_empty_answer_is_retried(portal: Portal) -> None:
    portal.has(MAY, b"", GOOD)
    assert portal.fetch(question("2023-05")).path.read_bytes() == GOOD


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"<html>Service unavailable</html>", TransientError, "is not a CSV file but '<html>"),
        (b'{"success": false, "error": {"message": "busy"}}', TransientError, "is not a CSV file but '{\"success"),
        (b'{"message": "try later", "code": 500}', TransientError, "is not a CSV file but"),
        (GOOD[:-14], PermanentError, "the CSV is truncated: its last row is '1,20230'"),
        (GOOD[:-4], PermanentError, "the CSV is truncated"),
        (GOOD.replace(b"estatActual", b"estat"), PermanentError, "lacks estatActual"),
        (GOOD.replace(b"idTram", b"tram"), PermanentError, "lacks idTram"),
        (GOOD.replace(b"202305", b"202304"), PermanentError, "not of the month: of 2 rows 2 have other dates"),
        (GOOD.replace(b"20230501", b"2023-5-1"), PermanentError, "not of the month"),
        (GOOD.replace(b",0\n", b",0,0,0\n"), PermanentError, "2 of 2 rows have more fields than the header"),
        (GOOD.decode().encode("utf-16"), PermanentError, "lacks idTram"),
    ],
)
def test_file_without_state_rows_is_refused(
    portal: Portal, tmp_path: Path, body: bytes, kind: type[Exception], said: str
) -> None:
    portal.has(MAY, body)
    with pytest.raises(kind, match=f"(?s)barcelona_opendata: barcelona 2023-05: .*{said}"):
        portal.fetch(question("2023-05"))
    with pytest.raises(PermanentError, match="barcelona_opendata: barcelona 2023-05"):
        parsed(written(tmp_path, body), "2023-05")


def test_listed_month_with_a_missing_file_fails_and_names_the_url(portal: Portal) -> None:
    portal.has(MAY, GOOD)
    portal.web.on(f"/{HOST}/{MAY}", Answer(b"<h1>Not Found", 404))
    with pytest.raises(PermanentError, match=f"{MAY} answered 404"):
        portal.fetch(question("2023-05"))
