"""Zurich's two data sets over real HTTP: pages that must be the rows that were counted, and an extract of a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from city_data.providers.base import (
    NotAvailable,
    NotYetPublished,
    Payload,
    PermanentError,
    Request,
    Settings,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.zurich_opendata import ZurichOpenData, datastore, foot_file
from city_data.sandbox import Sandbox, running
from city_data.window import Month
from city_data_tests.providers.wire import Answer, Call, Site
from city_data_tests.providers.zurich_files import AS_OF, FOOT_HEADER, MOTORWAY, STREET, ZURICH, record, walked
from city_data_tests.sandbox.asking import Asked, StillClock

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
FILE = f"/{datastore.HOST}/dataset/{foot_file.PACKAGE}/download/{foot_file.FILE}"
ACTIONS = f"/{datastore.HOST}/api/3/action"
TABLE, OTHER = "e9af01b4-a18a-4076-b0a4-a88708f6f6e2", "00000000-0000-4000-8000-000000000002"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("zurich"), as_of=NOW) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "cache"))


def asked(sandbox: Sandbox, month: str, as_of: datetime = NOW) -> Asked:
    return Asked(sandbox, "zurich_opendata", month, as_of=as_of, clock=StillClock())


def test_month_is_its_pages_and_an_extract_and_the_file_is_downloaded_once(served: Sandbox, tmp_path: Path) -> None:
    before = served.answered.copy()
    *pages, foot = asked(served, "2026-09").fetch(tmp_path / "one")
    assert [page.name for page in pages] == [f"2026-09-00{n}.json" for n in (1, 2, 3, 4)]
    assert pages[1].params["sql"].endswith('ORDER BY "_id" LIMIT 5000 OFFSET 5000')
    assert "MessungDatZeit\" >= '2026-09-01T00:00:00' AND" in pages[0].params["sql"]
    assert foot.name == "2026-09-pedestrians.csv"
    asked(served, "2026-08").fetch(tmp_path / "two")
    answered = served.answered - before
    assert {status: n for (path, status), n in answered.items() if path == FILE} == {200: 1, 304: 1}
    source = asked(served, "2026-09")
    assert source.provider.fingerprint(source.request, source.http) == dict(pages[0].fingerprint)


def test_revised_month_has_another_fingerprint(served: Sandbox) -> None:
    source = asked(served, "2026-07")
    before = source.provider.fingerprint(source.request, source.http)
    served.publication.revisions[Month(2026, 7)] = 1
    after = source.provider.fingerprint(source.request, source.http)
    assert after is not None
    assert before is not None
    assert {name for name in after if after[name] != before[name]} == {"counts:vehicles"}


def test_open_month_reaches_to_yesterday_with_vehicles_and_to_the_last_hour_with_pedestrians(
    served: Sandbox, tmp_path: Path
) -> None:
    frame = asked(served, "2026-11").month_of(tmp_path / "into").frame.set_index("date")
    assert frame["traffic_volume"].last_valid_index() == pd.Timestamp("2026-11-23T22:00Z")
    assert frame["pedestrian_count"].last_valid_index() == pd.Timestamp("2026-11-24T07:00Z")
    assert frame["raw_data"].iloc[-1]["stations"] == 0


def test_month_that_has_just_begun_is_not_yet_published(served: Sandbox, tmp_path: Path) -> None:
    as_of = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # past midnight in Zurich
    clock, served.publication.clock = served.publication.clock, lambda: as_of
    try:
        with pytest.raises(NotYetPublished, match="zurich_opendata: madrid 2026-12"):
            asked(served, "2026-12", as_of).fetch(tmp_path / "into")
    finally:
        served.publication.clock = clock


def test_sample_is_the_newest_day_with_both_columns(served: Sandbox, tmp_path: Path) -> None:
    source = asked(served, "2026-11")
    sample = source.provider.sample(source.request, source.http, tmp_path)
    month = source.provider.parse(sample.request, sample.payloads)
    assert month.frame[["traffic_volume", "pedestrian_count"]].notna().sum().tolist() == [24, 24]


@dataclass
class Portal:
    """A scripted portal: `records` in the table of 2026, and `lines` of the pedestrians' file."""

    web: Site
    records: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    sums: Iterator[int] | None = None
    counted: Callable[[int], int] = lambda rows: rows
    most: int = datastore.PAGE

    def __post_init__(self) -> None:
        self.resources = [resource(TABLE)]
        self.web.on(f"{ACTIONS}/package_show", self.catalogue)
        self.web.on(f"{ACTIONS}/datastore_search_sql", self.sql)
        self.web.on(FILE, lambda _: Answer("\n".join([FOOT_HEADER, *self.lines, ""]).encode()))

    def catalogue(self, call: Call) -> Answer:
        url = f"https:/{FILE}"
        listed = self.resources if datastore.PACKAGE in call.path else [{"name": foot_file.FILE, "url": url}]
        return answered({"resources": listed})

    def sql(self, call: Call) -> Answer:
        (sql,) = parse_qs(urlsplit(call.path).query)["sql"]
        if TABLE not in sql:
            return Answer(b'{"success": false, "error": {"message": "relation does not exist"}}', 409)
        if "vehicles" in sql:
            total = next(self.sums) if self.sums is not None else 7
            return answered({"records": [{"n": "2", "vehicles": str(total)}]})
        if "count(*)" in sql:
            return answered({"records": [{"n": self.counted(len(self.records))}]})
        offset = int(sql.rpartition(" ")[2])
        return answered({"records": self.records[offset : offset + self.most]})

    def fetch(self, into: Path, month: str = "2026-09", as_of: datetime = AS_OF) -> list[Payload]:
        provider = ZurichOpenData()
        routes = {datastore.HOST: f"{self.web.url}/{datastore.HOST}"}
        settings = HttpSettings(attempts=1)
        http = HttpClient(provider.name, provider.capabilities, settings=settings, clock=StillClock(), routes=routes)
        return list(provider.fetch(Request(ZURICH, Month.parse(month), Settings(), as_of), http, into))


def answered(result: dict[str, Any]) -> Answer:
    return Answer(json.dumps({"success": True, "result": result}).encode())


def resource(table: str, year: int = 2026, **changes: Any) -> dict[str, Any]:
    name = f"sid_dav_verkehrszaehlung_miv_OD2031_{year}.csv"
    return {"id": table, "name": name, "datastore_active": True, "last_modified": "2026-09-08T06:51:00"} | changes


@pytest.fixture
def portal(web: Site) -> Portal:
    hours = [f"2026-09-01T{n:02d}:00:00" for n in range(5)]
    records = [
        record(100 * n + h, s, hour, "10") for n, s in enumerate((STREET, MOTORWAY)) for h, hour in enumerate(hours)
    ]
    return Portal(web, records, walked("2026-09-01T10:00:00Z", 1, 2, 3))


def test_shorter_pages_than_requested_are_read_to_the_end(portal: Portal, tmp_path: Path) -> None:
    portal.most = 4
    *pages, _ = portal.fetch(tmp_path)
    assert [len(json.loads(page.path.read_bytes())["result"]["records"]) for page in pages] == [4, 4, 2]


@pytest.mark.parametrize(("counted", "words"), [(12, "have 10 of 12 rows"), (9, "have 10 of 9 rows")])
def test_other_rows_than_counted_are_transient(portal: Portal, tmp_path: Path, counted: int, words: str) -> None:
    portal.counted = lambda rows: counted
    with pytest.raises(TransientError, match=words):
        portal.fetch(tmp_path)


def test_row_that_two_pages_have_is_no_other_row(portal: Portal, tmp_path: Path) -> None:
    portal.records[-1] = portal.records[0]
    with pytest.raises(TransientError, match="have 9 of 10 rows"):
        portal.fetch(tmp_path)


def test_table_replaced_while_it_is_read_is_transient(portal: Portal, tmp_path: Path) -> None:
    portal.sums = iter([100, 110])
    with pytest.raises(TransientError, match="was replaced while it was read"):
        portal.fetch(tmp_path)


def test_table_whose_id_is_gone_is_transient(portal: Portal, tmp_path: Path) -> None:
    portal.resources = [resource(OTHER)]
    with pytest.raises(TransientError, match=r"answered 409: .*relation does not exist"):
        portal.fetch(tmp_path)


def test_id_is_looked_up_each_time_and_the_table_modified_last_counts(portal: Portal, tmp_path: Path) -> None:
    old = resource(OTHER, last_modified="2026-09-01T06:51:00")
    portal.resources = [old, resource(TABLE), resource(OTHER, datastore_active=False, last_modified="2027")]
    assert TABLE in portal.fetch(tmp_path)[0].params["sql"]
    assert sum("package_show" in call.path for call in portal.web.calls) == 2
    portal.fetch(tmp_path)
    assert sum("package_show" in call.path for call in portal.web.calls) == 4


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ([], "lists no table of a year"),
        ([resource(TABLE, datastore_active=False)], "lists no table of a year"),
        ([resource(TABLE), resource(OTHER)], "lists 2026 2 times"),
        ([resource('x" OR 1=1 --')], "has no CKAN identifier"),
    ],
)
def test_catalogue_without_one_table_of_the_year_is_refused(
    portal: Portal, tmp_path: Path, resources: list[dict[str, Any]], words: str
) -> None:
    portal.resources = resources
    with pytest.raises(PermanentError, match=words):
        portal.fetch(tmp_path)


def test_month_without_vehicles_waits_and_then_has_pedestrians_alone(portal: Portal, tmp_path: Path) -> None:
    portal.records = []
    with pytest.raises(NotYetPublished, match="zurich_opendata: zurich 2026-09: the city's tables have no row"):
        portal.fetch(tmp_path, as_of=datetime(2026, 10, 5, tzinfo=UTC))
    (payload,) = portal.fetch(tmp_path, as_of=datetime(2027, 3, 1, tzinfo=UTC))
    assert payload.name == "2026-09-pedestrians.csv"
    portal.lines = []
    with pytest.raises(NotAvailable, match="the city's tables have no row of the month"):
        portal.fetch(tmp_path, as_of=datetime(2027, 3, 1, tzinfo=UTC))


def test_month_without_pedestrians_is_there_with_its_vehicles(portal: Portal, tmp_path: Path) -> None:
    portal.lines = walked("2026-10-01T10:00:00Z", 1, 2, 3)
    assert [payload.name for payload in portal.fetch(tmp_path)] == ["2026-09-001.json"]


def test_extract_has_the_months_lines_and_those_of_the_newest_stamp_byte_for_byte(
    portal: Portal, tmp_path: Path
) -> None:
    before, inside = walked("2026-08-31T21:00:00Z", 1, 2, 3), walked("2026-08-31T22:00:00Z", 4, 5, 6)
    newest, broken = walked("2026-10-08T10:00:00Z", 7), ["what, is, this"]
    portal.lines = [*before, *inside, *walked("2026-09-30T22:00:00Z", 8), *broken, *newest]
    foot = portal.fetch(tmp_path)[-1]
    assert foot.path.read_text().splitlines() == [FOOT_HEADER, *inside, *broken, *newest]
    assert foot.params["rows"] == "4"
    assert foot.url == f"https:/{FILE}"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>maintenance</html>", "not a CSV file but"),
        (b'{"success": false, "error": "busy"}', "not a CSV file but"),
        (b"", "empty"),
        (b"\n", "empty"),
    ],
)
def test_page_in_place_of_the_file_is_transient_and_forgotten(
    portal: Portal, tmp_path: Path, body: bytes, words: str
) -> None:
    portal.web.on(FILE, Answer(body))
    with pytest.raises(TransientError, match=f"the download is {words}"):
        portal.fetch(tmp_path)
    assert not list((tmp_path / "cache").rglob("entry.json"))


@pytest.mark.parametrize(
    ("body", "outcome", "words"),
    [
        ({"records": "none"}, PermanentError, "did not answer rows"),
        ({"records": [{"m": 1}]}, PermanentError, "did not answer one row with n"),
        ({"records": [{"n": "many"}]}, PermanentError, "did not answer one row with n"),
    ],
)
def test_other_answer_to_the_count_is_typed(
    portal: Portal, tmp_path: Path, body: dict[str, Any], outcome: type[Exception], words: str
) -> None:
    portal.web.on(f"{ACTIONS}/datastore_search_sql", answered(body))
    with pytest.raises(outcome, match=words):
        portal.fetch(tmp_path)
