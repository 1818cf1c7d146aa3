"""Madrid's files and catalogue: every layout, recorded rows, the month's file found, fetched and verified."""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city_data.providers.base import NotAvailable, NotYetPublished, Payload, PermanentError, Request, TransientError
from city_data.providers.http import HttpClient, HttpSettings
from city_data.providers.madrid_opendata import _MONTHS, MadridOpenData, months_of
from city_data.providers.madrid_opendata.hours import STRATA_WEIGHTS, congestion
from city_data.providers.madrid_opendata.layout import M30
from city_data.providers.madrid_opendata.reading import open_month
from city_data.providers.madrid_opendata.rows import HUNDREDTHS, count
from city_data.providers.madrid_opendata.station_hours import station_hours
from city_data.providers.madrid_opendata.zip import MOST_RATIO, verify
from city_data.window import Month
from city_data_tests.providers.madrid_files import HEADER, hour, parsed, question, rows, zipped
from city_data_tests.providers.wire import FIXTURES, Answer, Site
from city_data_tests.sandbox.asking import MADRID, StillClock

HOST = "datos.madrid.es"
CATALOGUE = f"/{HOST}/api/3/action/package_show"
LAYOUTS = sorted((FIXTURES / "madrid_opendata").glob("*.csv"))


def month_named(path: Path) -> str:
    number, year = path.stem.split("-")
    return f"{year}-{number}"


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
def test_every_layout_gives_the_same_frame(tmp_path: Path, path: Path) -> None:
    month = month_named(path)
    made = parsed(zipped(tmp_path, month, path.read_bytes()), month)
    volumes = made.frame["traffic_volume"].tolist()
    assert [volumes[0], volumes[1], volumes[3]] == pytest.approx([325] * 3)  # 0.9 x 250 + 0.1 x 1000
    assert volumes[2] != volumes[2]  # no M30 in that hour
    assert made.frame["average_speed"].tolist() == pytest.approx([80] * 4)
    loads = [None] * 4 if month == "2018-09" else ["low"] * 4  # no carga then
    assert made.frame["congestion_level"].tolist() == loads
    assert made.provenance["points"] == 2
    assert made.provenance["panel"] == {"urban": 1, "m30": 1}


def test_fixtures_cover_all_layouts() -> None:
    known = {"02-2015", "09-2015", "03-2017", "11-2017", "02-2018", "09-2018", "06-2019", "01-2022"}
    assert {path.stem for path in LAYOUTS} >= known


def test_recorded_heads_are_read(recorded: Path, tmp_path: Path) -> None:
    months = json.loads((recorded / "madrid" / "historico_heads_2015-2019.json").read_bytes())["months"]
    for head in months:
        separator = head["separator_used"]
        lines = [separator.join(line) for line in (head["columns"], *head["rows"])]
        file = open_month(zipped(tmp_path, head["month"], "\n".join(lines)), Month.parse(head["month"]))
        sums, placeless = station_hours(file)
        flow, kind = head["columns"].index("intensidad"), head["columns"].index("tipo_elem")
        assert (sums["rows"].sum(), placeless) == (5, 0), head["month"]
        assert sums["flow"].sum() == HUNDREDTHS * sum(float(row[flow]) for row in head["rows"])
        assert (sums["label"] == M30).sum() == len({(row[0], row[1][:13]) for row in head["rows"] if "30" in row[kind]})
    assert len(months) == 33


@pytest.mark.parametrize(
    ("name", "month", "row_count", "flow"),
    [
        ("historico_06-2017_excerpt_a.csv", "2017-06", 2, 1464),
        ("historico_06-2017_excerpt_b.csv", "2017-06", 2, 1896),
        ("historico_01-2022_first_line.csv", "2022-01", 1, 408),
    ],
)
def test_recorded_excerpts_are_read(
    recorded: Path, tmp_path: Path, name: str, month: str, row_count: int, flow: float
) -> None:
    path = zipped(tmp_path, month, (recorded / "madrid" / name).read_bytes())
    sums, placeless = station_hours(open_month(path, Month.parse(month)))
    assert (sums["rows"].sum(), placeless, sums["flow"].sum()) == (row_count, 0, flow * HUNDREDTHS)
    assert (sums["label"] == M30).all()


def test_recorded_blank_error_flag_is_valid_and_counted_separately(recorded: Path, tmp_path: Path) -> None:
    head = (recorded / "madrid" / "historico_01-2022_first_line.csv").read_bytes()
    sums, _ = station_hours(open_month(zipped(tmp_path, "2022-01", head), Month(2022, 1)))
    assert [count(sums["digits"].to_numpy(), name).sum() for name in ("unmarked", "clean", "not_a_number")] == [
        1,
        0,
        0,
    ]


def test_congestion_is_the_city_s_own_service_level(recorded: Path) -> None:
    text = (recorded / "madrid" / "pm_realtime_2018-02_excerpt.xml").read_text(encoding="utf-8")
    pattern = re.compile(r"<carga>(\d+)</carga>\s*<nivelServicio>(\d)</nivelServicio>\s*<intensidadSat>")
    levels = {(int(load), int(level)) for load, level in pattern.findall(text) if int(load) <= 100}
    assert len(levels) > 50
    assert all(congestion(load) == ("low", "medium", "high", "severe")[level] for load, level in levels)
    assert congestion(float("nan")) is None


def test_strata_weights_are_those_of_the_recorded_network(recorded: Path) -> None:
    lines = (recorded / "madrid" / "puntos_medida_2018-02.csv").read_bytes().decode("latin-1").splitlines()[1:]
    share = sum('"M-30"' in line for line in lines) / len(lines)
    assert STRATA_WEIGHTS["m30"] == pytest.approx(share, abs=0.005)
    assert sum(STRATA_WEIGHTS.values()) == 1


def entry(description: str, url: str = "https://datos.madrid.es/x/208627-7-x.zip", **more: str) -> dict[str, str]:
    return {"description": description, "url": url, **more}


@pytest.mark.parametrize(
    ("resource", "month"),
    [
        (entry("Histórico de datos del tráfico. Diciembre 2022"), "2022-12"),
        (entry("Histórico de datos del tráfico. Diciiembre 2022"), "2022-12"),
        (entry("Histórico de datos del tráfico desde 2013. Setiembre de 2023"), "2023-09"),
        (entry("Histórico de datos del tráfico", name="2021. Junio"), "2021-06"),
        (entry("Tráfico 2021. Junio"), "2021-06"),
        (entry("julio 2024"), "2024-07"),
        (entry("", "https://datos.madrid.es/dataset/abc/download/09-2026.zip"), "2026-09"),
        (entry("juio 2024"), None),  # June or July
        (entry("Histórico de datos del tráfico. Año 2022"), None),
        (entry("", "https://datos.madrid.es/208627-12-2022.csv"), None),
    ],
)
def test_month_is_read_from_the_resource_name(resource: dict[str, Any], month: str | None) -> None:
    assert months_of(resource) == ({Month.parse(month)} if month else set())


class Portal:
    """A catalogue of the test's own, and the real client."""

    def __init__(self, web: Site, into: Path) -> None:
        self.web, self.into = web, into

    def lists(self, *resources: dict[str, str]) -> None:
        body = json.dumps({"success": True, "result": {"resources": resources}}).encode()
        self.web.on(CATALOGUE, Answer(body))

    def fetch(self, asked: Request) -> Payload:
        routes = {HOST: f"{self.web.url}/{HOST}"}
        settings = HttpSettings(attempts=2)
        provider = MadridOpenData()
        http = HttpClient(provider.name, provider.capabilities, settings=settings, clock=StillClock(), routes=routes)
        (payload,) = provider.fetch(asked, http, self.into)
        return payload


@pytest.fixture
def portal(web: Site, tmp_path: Path) -> Portal:
    (tmp_path / "into").mkdir()
    return Portal(web, tmp_path / "into")


def test_month_is_never_read_from_the_file_number(recorded: Path, portal: Portal, tmp_path: Path) -> None:
    numbers = json.loads((recorded / "madrid" / "historico_resource_numbers_2022-2024.json").read_bytes())
    urls = {month: f"https://{HOST}/egob/208627-{n}-transporte-zip" for month, n in numbers["resource_number"].items()}
    portal.lists(*(entry(f"{_MONTHS[int(month[5:]) - 1]} {month[:4]}", url) for month, url in urls.items()))
    month = "2023-05"
    whole = rows(tmp_path, month, hour(3001, "2023-05-01 00", 10)).read_bytes()
    portal.web.on(f"/{HOST}{urls[month].partition(HOST)[2]}", Answer(whole, headers={"Last-Modified": "yesterday"}))
    payload = portal.fetch(question(month))
    assert (payload.url, payload.last_modified) == (urls[month], "yesterday")
    assert payload.path.read_bytes() == whole


def test_a_month_must_be_listed_exactly_once(portal: Portal) -> None:
    one, other = (f"https://{HOST}/{n}-zip" for n in (1, 2))
    portal.lists(entry("Mayo 2023", one), entry("Mayo 2023", other))
    with pytest.raises(PermanentError, match=r"madrid_opendata: madrid 2023-05: .* 2 times"):
        portal.fetch(question("2023-05"))
    portal.lists(entry("Mayo 2023", f"https://{HOST}/06-2023.zip"))
    with pytest.raises(PermanentError, match="2023-05 and 2023-06"):
        portal.fetch(question("2023-05"))
    end = Month(2023, 7).bounds(MADRID.timezone)[1]
    for days, kind in ((60, NotYetPublished), (70, NotAvailable)):
        with pytest.raises(kind, match="not among the 1 months"):
            portal.fetch(question("2023-07", end + timedelta(days=days)))


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"result": null}', b'{"result": {"resources": {}}}', b'{"result'])
def test_invalid_catalogue_is_refused(portal: Portal, body: bytes) -> None:
    portal.web.on(CATALOGUE, Answer(body))
    with pytest.raises((PermanentError, TransientError), match="madrid_opendata: madrid 2023-05"):
        portal.fetch(question("2023-05"))


def test_firewall_403_is_transient(portal: Portal) -> None:
    portal.web.on(CATALOGUE, Answer(b"<html>Request rejected", 403))
    with pytest.raises(TransientError) as caught:
        portal.fetch(question("2023-05"))
    assert caught.value.retry_after == 60


def whole_zip(folder: Path, month: str = "2023-05") -> bytes:
    flows = ((n * 7919) % 1000 for n in range(10_000))
    lines = (line for n in range(3000) for line in hour(3001 + n, f"{month}-01 {n % 24:02d}", next(flows)))
    return rows(folder, month, lines).read_bytes()


def lying(whole: bytes) -> bytes:
    info = zipfile.ZipFile(io.BytesIO(whole)).infolist()[0]
    return whole.replace(struct.pack("<I", info.file_size), struct.pack("<I", info.file_size // 3))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda whole: whole[: len(whole) // 2], "not a complete ZIP"),
        (lambda whole: whole[:200] + b"\xff" * 50 + whole[250:], "05-2023.csv|not a complete ZIP"),
        (lying, "inflates to more than"),
    ],
)
def test_incomplete_file_is_refused_on_fetch_and_on_parse(
    portal: Portal, tmp_path: Path, spoil: Any, said: str
) -> None:
    spoilt = spoil(whole_zip(tmp_path))
    portal.lists(entry("", f"https://{HOST}/05-2023.zip"))
    portal.web.on(f"/{HOST}/05-2023.zip", Answer(spoilt))
    with pytest.raises(PermanentError, match=f"madrid_opendata: madrid 2023-05: .*({said})"):
        portal.fetch(question("2023-05"))
    (tmp_path / "05-2023.zip").write_bytes(spoilt)
    with pytest.raises(PermanentError, match="madrid_opendata: madrid 2023-05"):
        parsed(tmp_path / "05-2023.zip", "2023-05")


def test_zip_bombs_and_other_containers_are_refused(tmp_path: Path) -> None:
    bomb = zipped(tmp_path, "2023-05", b"0" * 20_000_000)
    with pytest.raises(PermanentError, match="would inflate"):
        parsed(bomb, "2023-05")
    assert zipfile.ZipFile(bomb).infolist()[0].compress_size * MOST_RATIO < 20_000_000
    text = "\n".join([HEADER, *hour(3001, "2023-05-01 00", 10)])
    with pytest.raises(PermanentError, match="method 12"):
        parsed(zipped(tmp_path, "2023-05", text, method=zipfile.ZIP_BZIP2), "2023-05")
    with pytest.raises(PermanentError, match=r"holds 04-2023.csv, not one 05-2023.csv"):
        parsed(zipped(tmp_path, "2023-05", text, "04-2023.csv"), "2023-05")
    with zipfile.ZipFile(bomb, "w") as archive:
        archive.writestr("05-2023.csv", text)
        archive.writestr("otra/05-2023.csv", text)
    with pytest.raises(PermanentError, match=r"05-2023.csv, otra/05-2023.csv"):
        parsed(bomb, "2023-05")


def test_verify_accepts_a_complete_file(tmp_path: Path) -> None:
    path = tmp_path / "05-2023.zip"
    path.write_bytes(whole_zip(tmp_path))
    file = open_month(path, Month(2023, 5))
    verify(path, file.info)
    assert station_hours(file)[0]["rows"].sum() == 12_000


def test_verify_detects_damage_anywhere_in_the_stream(tmp_path: Path) -> None:
    """The inflater's own error is no zlib.error: a damaged download once ended a run without naming its month."""
    whole = whole_zip(tmp_path)
    path = tmp_path / "05-2023.zip"
    path.write_bytes(whole)
    info = open_month(path, Month(2023, 5)).info
    for place in range(100, info.compress_size, info.compress_size // 20):
        path.write_bytes(whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + 8]) + whole[place + 8 :])
        with pytest.raises(PermanentError, match=r"not a complete ZIP|inflates to"):
            verify(path, info)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = zipped(tmp_path_factory.getbasetemp(), "2023-05", HEADER.encode() + b"\n" + body + b"\n" + body)
    with contextlib.suppress(PermanentError):
        assert len(parsed(path, "2023-05").frame) > 0
