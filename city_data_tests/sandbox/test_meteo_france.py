"""The stand-in for Meteo-France writes what the real one writes, to the header, and keeps its real stations."""

from __future__ import annotations

import gzip
import json

import pytest

from city_data.cities import load_registry
from city_data.providers import discover
from city_data.sandbox.meteo_france import MeteoFrance
from city_data.sandbox.meteo_france_series import API_COLUMNS, HEADER, STATIONS
from city_data_tests.providers.wire import RECORDED
from city_data_tests.sandbox.conftest import Call

RECORDS = RECORDED / "meteofrance"
recorded = pytest.mark.skipif(not RECORDS.is_dir(), reason=f"no recorded payloads at {RECORDS}")
DATASET = "https://www.data.gouv.fr/api/1/datasets/6569b4473bedf2e7abad3b72/"
API = "https://public-api.meteofrance.fr/public/DPClim/v1"
KEY = {"headers": {"apikey": "any"}}


def first_line(name: str) -> str:
    return (RECORDS / name).read_text().splitlines()[0]


@recorded
def test_csv_headers_equal_the_recorded_ones() -> None:
    assert ";".join(HEADER) == first_line("HOR_44_blain_2024-01-01.csv")
    assert ";".join(["POSTE", "DATE", *API_COLUMNS]) == first_line("dpclim_horaire_76116001_2024-06-15.csv")


@recorded
def test_stations_have_their_real_coordinates() -> None:
    listed = json.loads((RECORDS / "fiches_postes.SUBSET.geojson").read_bytes())["features"]
    real = {entry["properties"]["NUM_POSTE"]: entry["properties"] for entry in listed}
    for station in STATIONS:
        known = real[station.number]
        assert (station.name, station.altitude) == (known["NOM_USUEL"], known["ALTI"])
        assert (station.latitude, station.longitude) == (known["LAT_DG"], known["LON_DG"])
    for city in load_registry(environ={}).all():
        if city.weather is not None and city.weather.provider == "meteo_france":
            assert set(city.weather.settings["stations"]) <= real.keys()


@recorded
def test_a_listed_station_has_the_recorded_keys(call: Call) -> None:
    stations = call(f"{API}/liste-stations/horaire?id-departement=1", **KEY).json()
    excerpt = json.loads((RECORDS / "dpclim_liste_stations_49.excerpt.json").read_bytes())
    assert [station["id"] for station in stations] == ["01089001", "01174001"]
    assert all(station.keys() == excerpt[0].keys() for station in stations)


def test_listed_files_exist_at_declared_hosts(call: Call) -> None:
    resources = [entry for entry in call(DATASET).json()["resources"] if entry["title"].startswith("HOR_")]
    hosts = {entry["url"].split("/")[2] for entry in resources}
    assert hosts <= set(MeteoFrance.hosts)
    assert set(MeteoFrance.hosts) == set(discover()["meteo_france"].capabilities.hosts)
    assert len(resources) == 2 * len({station.department for station in STATIONS})
    for entry in (entry for entry in resources if "_departement_01_" in entry["title"]):
        answer = call(entry["url"])
        while answer.is_redirect:
            answer = call(answer.headers["location"])
        lines = gzip.decompress(answer.content).decode().splitlines()
        assert lines[0].split(";") == HEADER
        assert len(lines) > 1000
        assert all(line.count(";") == len(HEADER) - 1 for line in lines)


def test_files_have_an_etag(call: Call) -> None:
    url = "https://meteofrance.s3.sbg.io.cloud.ovh.net/data/synchro_ftp/BASE/HOR/H_69_latest-2025-2026.csv.gz"
    whole = call(url)
    assert whole.status_code == 200
    assert call(url, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    assert call(url, headers={"If-None-Match": '"other"'}).content == whole.content
    assert call(url.replace("H_69", "H_99")).status_code == 404


@recorded
def test_order_response_has_the_recorded_format(call: Call) -> None:
    period = "date-deb-periode=2026-09-01T00:00:00Z&date-fin-periode=2026-09-02T00:00:00Z"
    answer = call(f"{API}/commande-station/horaire?id-station=75114001&{period}", **KEY)
    number = answer.json()["elaboreProduitAvecDemandeResponse"]["return"]
    recorded = (RECORDS / "dpclim_commande_202.json").read_text().strip()
    assert answer.text == recorded.replace("2026024266715", number)


def test_order_is_pending_then_downloadable_once_then_gone(call: Call) -> None:
    period = "date-deb-periode=2026-09-01T00:00:00Z&date-fin-periode=2026-09-02T00:00:00Z"
    order = call(f"{API}/commande-station/horaire?id-station=01174001&{period}", **KEY)
    number = order.json()["elaboreProduitAvecDemandeResponse"]["return"]
    answers = [call(f"{API}/commande/fichier?id-cmde={number}", **KEY) for _ in range(3)]
    assert (order.status_code, *(answer.status_code for answer in answers)) == (202, 204, 201, 410)
    header, *rows = [line.split(";") for line in answers[1].text.split("\r\n") if line]
    assert {row[0] for row in rows} == {"01174001"}
    assert {row[header.index("PMER")] for row in rows} == {""}  # at 1015 m
    assert all("," in row[header.index("PSTAT")] for row in rows)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("id-station=75114001&date-deb-periode=2026-09-01&date-fin-periode=2026-09-02T00:00:00Z", 400),
        ("id-station=1&date-deb-periode=2026-09-01T00:00:00Z&date-fin-periode=2026-09-02T00:00:00Z", 400),
        ("id-station=75114001&date-deb-periode=2025-01-01T00:00:00Z&date-fin-periode=2026-09-02T00:00:00Z", 400),
        ("id-station=75114001&date-deb-periode=2012-01-01T00:00:00Z&date-fin-periode=2012-01-02T00:00:00Z", 500),
    ],
)
def test_invalid_orders_are_refused(call: Call, query: str, status: int) -> None:
    assert call(f"{API}/commande-station/horaire?{query}", **KEY).status_code == status
    assert call(f"{API}/commande-station/horaire?{query}").status_code == 401
