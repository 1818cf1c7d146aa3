"""Paris's two products over real HTTP: the current feed, the archive of years, and the hole between them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from city_data.providers.base import (
    Location,
    NotAvailable,
    NotYetPublished,
    Payload,
    PermanentError,
    Request,
    Settings,
    TransientError,
)
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.paris_opendata import ParisOpenData, archive, feed
from city_data.sandbox import Sandbox, running
from city_data.window import Month
from city_data_tests.providers.wire import Answer, site
from city_data_tests.sandbox.asking import Asked, StillClock

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
RECORDS, EXPORT = "/comptages-routiers-permanents/records", "/exports/csv"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("paris"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "cache"))
    served.faults.clear()
    yield served
    served.faults.clear()


def asked(sandbox: Sandbox, month: str, as_of: datetime = AS_OF) -> Asked:
    return Asked(sandbox, "paris_opendata", month, as_of=as_of, clock=StillClock())


def test_month_in_the_feed_is_one_count_and_one_export(sandbox: Sandbox, tmp_path: Path) -> None:
    before = sandbox.answered.copy()
    (payload,) = asked(sandbox, "2026-09").fetch(tmp_path / "into")
    assert sum((sandbox.answered - before).values()) == 2
    assert payload.params["where"] == "t_1h > date'2026-08-31' AND t_1h <= date'2026-10-01'"
    assert asked(sandbox, "2026-09").provider.fingerprint(
        asked(sandbox, "2026-09").request, asked(sandbox, "2026-09").http
    ) == dict(payload.fingerprint)


def test_month_that_left_the_feed_comes_from_the_archives_overlapping_weeks(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2024-12")
    payloads = source.fetch(tmp_path / "into")
    assert {payload.url for payload in payloads} == {
        "https://opendata.paris.fr/api/datasets/1.0/comptages-routiers-permanents-historique/attachments/"
        "opendata_txt_2024_zip/"
    }
    assert len(payloads) >= 5
    month = source.provider.parse(source.request, payloads)
    assert month.rejected["duplicate"] > 0
    assert "outside_month" not in month.rejected, "the extract has rows of the month alone"
    assert month.frame["traffic_volume"].notna().sum() == 744


def test_month_in_neither_product_is_a_typed_hole(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2025-03")
    why = "begins on 2025-10-01, and the archive has 2010 to 2024: the month is in neither"
    with pytest.raises(NotAvailable, match=why):
        source.fetch(tmp_path / "into")
    with pytest.raises(NotAvailable, match=why):
        source.provider.fingerprint(source.request, source.http)


def test_month_that_has_just_begun_is_not_yet_published(sandbox: Sandbox, tmp_path: Path) -> None:
    as_of = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # past midnight in Paris
    clock, sandbox.publication.clock = sandbox.publication.clock, lambda: as_of
    try:
        with pytest.raises(NotYetPublished, match="paris_opendata: madrid 2026-12"):
            asked(sandbox, "2026-12", as_of).fetch(tmp_path / "into")
    finally:
        sandbox.publication.clock = clock


def test_export_that_breaks_off_is_transient(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.faults.order(EXPORT, truncate=0.5)
    with pytest.raises(TransientError):
        asked(sandbox, "2026-09").fetch(tmp_path / "into")


def test_export_with_fewer_rows_than_counted_is_transient(sandbox: Sandbox, tmp_path: Path) -> None:
    row = "40;2026-09-01T01:00:00+00:00;1.0;1.0;Fluide;Ouvert\r\n"
    sandbox.faults.order(EXPORT, body=f"iu_ac;t_1h;q;k;etat_trafic;etat_barre\r\n{row}")
    with pytest.raises(TransientError, match="the export has 1 of 17,856 rows"):
        asked(sandbox, "2026-09").fetch(tmp_path / "into")


@pytest.mark.parametrize(
    ("body", "outcome", "text"),
    [
        ('{"results": [{"rows": "many"}]}', PermanentError, "did not answer one row of counts"),
        ('{"results": []}', PermanentError, "did not answer one row of counts"),
        ("<html>maintenance</html>", TransientError, "not JSON"),
    ],
)
def test_other_answer_to_the_count_is_typed(
    sandbox: Sandbox, tmp_path: Path, body: str, outcome: type[Exception], text: str
) -> None:
    sandbox.faults.order(RECORDS, body=body)
    with pytest.raises(outcome, match=text):
        asked(sandbox, "2026-09").fetch(tmp_path / "into")


def test_sample_is_the_newest_day_and_has_values(sandbox: Sandbox, tmp_path: Path) -> None:
    source = asked(sandbox, "2026-11")
    sample = source.provider.sample(source.request, source.http, tmp_path)
    month = source.provider.parse(sample.request, sample.payloads)
    assert month.received == 24 * 24
    assert month.frame["traffic_volume"].notna().sum() == 24
    assert month.frame["date"].iloc[-1].isoformat() == "2026-11-23T23:00:00+00:00"


def zip_of(name: str, text: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as packing:
        packing.writestr(name, text)
    packed = bytearray(body.getvalue())
    if method != zipfile.ZIP_DEFLATED:  # in the local header and in the directory
        packed[8:10] = method.to_bytes(2, "little")
        entry = packed.index(b"PK\x01\x02")
        packed[entry + 10 : entry + 12] = method.to_bytes(2, "little")
    return bytes(packed)


WEEK = "opendata_txt_2024/trafic_capteurs_2024_W50_20241209_20241216.txt"
NAMES = b"iu_ac;libelle;t_1h;q;k;etat_trafic;etat_barre;dessin\n"
TEXT = NAMES + b"4264;Rue;2024-12-10 01:00:00;90.0;7.5;1;1;x\n4264;Rue;2024-11-30 23:00:00;80.0;7.5;1;1;x\n"


def extracted(into: Path, body: bytes) -> list[Payload]:
    """The payloads of December 2024 that a year's ZIP gives, from a real server."""
    with site() as made:
        made.on(f"/{feed.HOST}{archive.address(2024).partition(feed.HOST)[2]}", Answer(body))
        provider = ParisOpenData()
        routes = {feed.HOST: f"{made.url}/{feed.HOST}"}
        settings = HttpSettings(attempts=1)
        http = HttpClient(provider.name, provider.capabilities, settings=settings, clock=StillClock(), routes=routes)
        return archive.fetch(http, into, 2024, Month(2024, 12).bounds("Europe/Paris"), "Europe/Paris")


@pytest.fixture
def into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def test_extract_has_the_months_rows_and_the_wanted_columns_byte_for_byte(into: Path) -> None:
    (payload,) = extracted(into, zip_of(WEEK, TEXT + b"4264;Rue\n"))
    assert payload.path.read_bytes() == (
        b"iu_ac;t_1h;q;k;etat_trafic;etat_barre\n4264;2024-12-10 01:00:00;90.0;7.5;1;1\n4264;Rue;;;;;;\n"
    )
    assert (payload.params["file"], payload.params["rows"]) == (WEEK, "2")
    request = Request(Location("paris", 48.8, 2.3, "Europe/Paris"), Month(2024, 12), Settings(), AS_OF)
    assert ParisOpenData().parse(request, [payload]).rejected == {"broken_line": 1}


def test_week_of_another_month_is_not_opened(into: Path) -> None:
    assert extracted(into, zip_of(WEEK.replace("20241209_20241216", "20240304_20240311"), b"not even text", 9)) == []


@pytest.mark.parametrize(
    ("body", "outcome", "text"),
    [
        (zip_of(WEEK, TEXT, 9), PermanentError, "packed by DEFLATE64"),
        (zip_of(WEEK, TEXT, 12), PermanentError, "packed by method 12"),
        (zip_of(WEEK, b"\n" * 3_000_000), PermanentError, "would inflate"),
        (zip_of(WEEK, TEXT)[:-40], TransientError, "not a complete ZIP"),
        (zip_of(WEEK, TEXT).replace(b"PK\x03\x04", b"PK\x07\x04"), TransientError, "not a complete ZIP"),
        (zip_of(WEEK, TEXT.replace(b";q;", b";debit;")), PermanentError, "lacks q"),
        (b"<html>maintenance</html>", TransientError, "not a complete ZIP"),
    ],
)
def test_year_that_cannot_be_read_is_typed(into: Path, body: bytes, outcome: type[Exception], text: str) -> None:
    with pytest.raises(outcome, match=text):
        extracted(into, body)


def test_parse_names_the_source_of_a_request_without_payload_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("iu_ac;t_1h;q;k\n")
    request = Request(Location("paris", 48.8, 2.3, "Europe/Paris"), Month(2026, 9), Settings(), AS_OF)
    with pytest.raises(PermanentError, match="paris_opendata: paris 2026-09: no row of 0 has a value"):
        ParisOpenData().parse(request, [Payload(path.name, path, feed.CURRENT)])
