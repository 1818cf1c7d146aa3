"""Lyon's counts over real HTTP: the channels, pages of measures, and answers of another kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from city_data.payloads import Payload
from city_data.providers.base import (
    NotAvailable,
    NotYetPublished,
    ParsedMonth,
    PermanentError,
    ProviderError,
    TransientError,
)
from city_data.providers.grandlyon_opendata import GrandLyonSettings, feed
from city_data.sandbox import Sandbox, lyon, running
from city_data_tests.sandbox.asking import Asked, StillClock

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
MEASURES, CHANNELS = "pvocomptagemeasure", "pvocomptagechannel"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("lyon"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    served.faults.clear()
    yield served
    served.faults.clear()
    served.publication.unpublished.clear()


def asked(sandbox: Sandbox, month: str, as_of: datetime = AS_OF) -> Asked:
    return Asked(sandbox, "grandlyon_opendata", month, as_of=as_of, clock=StillClock())


def page(*rows: dict[str, Any]) -> str:
    return json.dumps({"values": rows})


def row(number: int) -> dict[str, Any]:
    start, end = (f"2026-09-{1 + number // 24:02d}T{n:02d}:00:00Z" for n in (number % 24, number % 24 + 1))
    return {"channel_id": "c", "counter_id": "c", "start_datetime": start, "end_datetime": end, "count": 1}


def test_month_is_the_channels_and_one_page_from_the_day_before_on(sandbox: Sandbox, tmp_path: Path) -> None:
    before = sandbox.answered.copy()
    channels, measures = asked(sandbox, "2026-09").fetch(tmp_path / "into")
    assert sum((sandbox.answered - before).values()) == 3  # an empty page says that there are no more
    assert channels.name == "channels.csv"
    assert measures.params == {"start_datetime__gte": "2026-08-31", "start_datetime__lt": "2026-10-01",
                               "maxfeatures": "100000", "start": "1"}  # fmt: skip


def assert_is_whole(source: Asked, payloads: Sequence[Payload], whole: ParsedMonth) -> None:
    """The pages of 3,000 rows hold the month that one page holds."""
    assert len(payloads) == 1 + -(-whole.received // 3_000)
    pages = source.provider.parse(source.request, payloads)
    pd.testing.assert_frame_equal(pages.frame, whole.frame)
    assert pages.rejected == whole.rejected


def test_pages_of_any_size_are_the_same_month(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asked(sandbox, "2026-09").month_of(tmp_path / "whole")
    monkeypatch.setattr(feed, "PAGE_ROWS", 3_000)
    source = asked(sandbox, "2026-09")
    payloads = source.fetch(tmp_path / "pages")
    assert [payload.name for payload in payloads][:3] == ["channels.csv", "measures-1.json", "measures-3001.json"]
    assert_is_whole(source, payloads, whole)


def test_portal_that_sends_fewer_rows_than_requested_gives_the_whole_month(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = asked(sandbox, "2026-09").month_of(tmp_path / "whole")
    monkeypatch.setattr(lyon, "MOST_ROWS", 3_000)
    source = asked(sandbox, "2026-09")
    payloads = source.fetch(tmp_path / "pages")
    assert {payload.params["maxfeatures"] for payload in payloads} == {"100000"}
    assert_is_whole(source, payloads, whole)


@pytest.mark.parametrize("share", [0.4, 2])
def test_one_page_of_another_size_loses_no_row(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """A page that breaks off in the middle, and one that has each of its rows twice."""
    source = asked(sandbox, "2026-09")
    channels, measures = source.fetch(tmp_path / "whole")
    whole = source.provider.parse(source.request, [channels, measures])
    rows = json.loads(measures.path.read_bytes())["values"]
    monkeypatch.setattr(feed, "PAGE_ROWS", 3_000)
    first = rows[:1_200] if share < 1 else [row for row in rows[:3_000] for _ in range(2)]
    sandbox.faults.order(MEASURES, times=1, body=page(*first))
    payloads = source.fetch(tmp_path / "pages")
    assert payloads[2].name == ("measures-1201.json" if share < 1 else "measures-3001.json")
    pages = source.provider.parse(source.request, payloads)
    pd.testing.assert_frame_equal(pages.frame, whole.frame)
    assert pages.received == whole.received + max(0, len(first) - 3_000)


@pytest.mark.parametrize("more", [0, 1])
def test_portal_that_counts_more_rows_than_it_answers_is_transient(sandbox: Sandbox, tmp_path: Path, more: int) -> None:
    sandbox.faults.order(MEASURES, times=1, body=json.dumps({"nb_results": 2 + more, "values": [row(0), row(1)]}))
    sandbox.faults.order(MEASURES, body=page())
    if more:
        with pytest.raises(TransientError, match="the portal counts 3 rows and answered 2"):
            asked(sandbox, "2026-09").fetch(tmp_path / "into")
    else:
        assert len(asked(sandbox, "2026-09").fetch(tmp_path / "into")) == 2


def test_pages_that_end_with_a_full_one_end(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = asked(sandbox, "2026-09").month_of(tmp_path / "whole")
    monkeypatch.setattr(feed, "PAGE_ROWS", whole.received)
    assert len(asked(sandbox, "2026-09").fetch(tmp_path / "pages")) == 2


def test_portal_that_ignores_the_page_is_refused(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "PAGE_ROWS", 2)
    sandbox.faults.order(MEASURES, body=page(row(0), row(1)))
    with pytest.raises(PermanentError, match="from row 3 on begins with the row of the page before"):
        asked(sandbox, "2026-09").fetch(tmp_path / "into")


def test_endless_pages_are_refused(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE_ROWS", 10)
    with pytest.raises(PermanentError, match="more than 30 pages of at most 10 rows"):
        asked(sandbox, "2026-09").fetch(tmp_path / "into")


@pytest.mark.parametrize("month", ["2024-03", "2020-01"])
def test_month_before_the_counts_is_not_available(sandbox: Sandbox, tmp_path: Path, month: str) -> None:
    with pytest.raises(NotAvailable, match=f"grandlyon_opendata: madrid {month}: the portal has no count of the month"):
        asked(sandbox, month).fetch(tmp_path / "into")


def test_month_of_which_only_the_day_before_has_counts_is_not_yet_published(sandbox: Sandbox, tmp_path: Path) -> None:
    as_of = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # past midnight in Lyon
    clock, sandbox.publication.clock = sandbox.publication.clock, lambda: as_of
    try:
        with pytest.raises(NotYetPublished, match="no count of the month yet"):
            asked(sandbox, "2026-12", as_of).fetch(tmp_path / "into")
    finally:
        sandbox.publication.clock = clock


@pytest.mark.parametrize(
    ("where", "body", "outcome", "text"),
    [
        (MEASURES, '{"features": []}', PermanentError, "measures-1.json has no list of values"),
        (MEASURES, "[]", PermanentError, "measures-1.json has no list of values"),
        (MEASURES, '{"values": [{"channel_id"', TransientError, "not a whole document"),
        (MEASURES, "channel_id,count\n", TransientError, "not JSON but 'channel_id,count'"),
        (MEASURES, "<html>maintenance</html>", TransientError, "not a JSON file"),
        (MEASURES, page({"channel_id": "c", "debut": "x"}), PermanentError, "lacks start_datetime, count|neither"),
        (MEASURES, page(row(0), row(1), row(2)), PermanentError, "most of them unknown_channel, such as 'c'"),
        (CHANNELS, "<html>maintenance</html>", TransientError, "not a CSV file"),
        (CHANNELS, "channel_id;site_id\na;b\n", PermanentError, "lacks mobility_type"),
        (CHANNELS, "channel_id;site_id;mobility_type\na;b;BIKE\n", PermanentError, "none of the 1 channels counts"),
    ],
)
def test_another_answer_is_typed(
    sandbox: Sandbox, tmp_path: Path, where: str, body: str, outcome: type[ProviderError], text: str
) -> None:
    sandbox.faults.order(where, times=1, body=body)
    sandbox.faults.order(where, body=page())
    with pytest.raises(outcome, match=text):
        asked(sandbox, "2026-09").month_of(tmp_path / "into")


def test_other_tables_of_the_portal_are_an_entry(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2026-09")
    other = GrandLyonSettings(channels=feed.CHANNELS.replace("voirie.", "autre."), measures=feed.MEASURES)
    with pytest.raises(PermanentError, match=r"pvocomptagechannel/all\.csv answered 404"):
        source.provider.fetch(replace(source.request, settings=other), source.http, tmp_path)
    elsewhere = GrandLyonSettings(channels="https://elsewhere.example/channels.csv")
    with pytest.raises(PermanentError, match=r"elsewhere\.example"):
        source.provider.fetch(replace(source.request, settings=elsewhere), source.http, tmp_path)


def test_sample_is_two_days_up_to_the_moment(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2026-11")
    sample = source.provider.sample(source.request, source.http, tmp_path)
    assert sample.payloads[1].params["start_datetime__gte"] == "2026-11-23"
    month = source.provider.parse(sample.request, sample.payloads)
    newest = month.frame.dropna(subset="pedestrian_count")["date"].iloc[-1]
    assert newest == pd.Timestamp("2026-11-24T05:00Z")
    assert month.frame["pedestrian_count"].notna().sum() == 24 + 7


def test_sample_of_a_closed_month_is_its_last_days(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2026-10")
    sample = source.provider.sample(source.request, source.http, tmp_path)
    assert sample.payloads[1].params["start_datetime__lt"] == "2026-11-01"


def test_doctor_says_that_the_measures_were_never_recorded(sandbox: Sandbox) -> None:
    source = asked(sandbox, "2026-09")
    line = source.provider.check_connection(source.http)
    assert "12 pedestrian channels on 6 sites" in line
    assert "no answer was recorded: `city-data doctor --live` settles it" in line
