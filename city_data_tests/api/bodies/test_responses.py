"""Attribution: providers are credited by city and in every answer, fallbacks included."""

from __future__ import annotations

from dataclasses import asdict, replace
from urllib.parse import unquote

from starlette.testclient import TestClient

from city_data.pipeline.feeds import record_providers
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data_tests.api.conftest import HERE, TENANT, WEATHER, Load, month_load

TWO_MONTHS = HERE | {"start_date": "2025-10-01", "end_date": "2025-11-30"}
AEMET, OPEN_METEO = (discover()[name].capabilities for name in ("aemet", "open_meteo"))


def test_city_lists_its_sources_and_their_licences(client: TestClient, database: Database) -> None:
    (untold,) = client.get("/api/v1/external/cities").json()
    assert [(s["dataset"], s["provider"], s["fallback"], s["licence"]) for s in untold["sources"]] == [
        ("weather", "aemet", False, None),
        ("weather", "open_meteo", True, None),
        ("traffic", "madrid_opendata", False, None),
        ("calendar", "openholidays", False, None),
        ("forecast", "open_meteo_forecast", False, None),
    ]
    record_providers(database, discover().values())
    (madrid,) = client.get("/api/v1/external/cities").json()
    assert madrid["sources"][1] == {
        "dataset": "weather",
        "provider": "open_meteo",
        "fallback": True,
        "licence": OPEN_METEO.licence,
        "licence_url": OPEN_METEO.licence_url,
        "modelled": True,
        "resolution": "hourly",
        "columns": list(OPEN_METEO.columns),
        "earliest_month": "1940-01",
        "forward_only": False,
        "lag_days": 5.0,
        "settling_days": 25.0,
        "meanings": {name: asdict(meaning) for name, meaning in OPEN_METEO.meanings.items()},
    }
    assert madrid["sources"][0]["earliest_month"] is None
    assert madrid["sources"][0]["licence"].startswith("© AEMET")
    volume = madrid["sources"][2]["meanings"]["traffic_volume"]
    assert (volume["quantity"], volume["per"], volume["comparable"]) == (
        "vehicles in an hour",
        "measurement point",
        False,
    )
    assert "M30" in volume["area"]


def load_two_sources(database: Database) -> None:
    for month, source, facts in (("2025-10", "aemet", AEMET), ("2025-11", "sandbox:open_meteo", OPEN_METEO)):
        licence = {"licence": facts.licence, "licence_url": facts.licence_url}
        replace_month(database, replace(month_load("weather", month), source=source, provenance=licence))


def test_an_answer_links_the_licence_of_every_source_in_it(client: TestClient, database: Database) -> None:
    load_two_sources(database)
    both = client.get(WEATHER, params=TWO_MONTHS)
    assert both.headers["x-source"] == "aemet, sandbox:open_meteo"
    first, second = both.headers["link"].split(", <")
    address, relation, title = first.split("; ", 2)
    assert (address, relation) == (f"<{AEMET.licence_url}>", 'rel="license"')
    assert unquote(title.removeprefix("title*=UTF-8''")) == AEMET.licence
    assert second == f'{OPEN_METEO.licence_url}>; rel="license"; title="{OPEN_METEO.licence}"'
    one = client.get(WEATHER, params=TWO_MONTHS | {"start_date": "2025-11-01"})
    assert (one.headers["x-source"], one.headers["link"].count("rel=")) == ("sandbox:open_meteo", 1)
    unchanged = client.get(WEATHER, params=TWO_MONTHS, headers={"If-None-Match": both.headers["etag"]})
    assert (unchanged.status_code, unchanged.headers["link"]) == (304, both.headers["link"])


def test_the_deprecated_routes_link_licences_beside_their_successor(client: TestClient, database: Database) -> None:
    load_two_sources(database)
    path = f"/api/v1/tenants/{TENANT}/external/operations/weather/historical"
    body = {"latitude": 40.42, "longitude": -3.7, "start_date": "2025-10-01", "end_date": "2025-10-31"}
    link = client.post(path, json=body).headers["link"]
    assert f"<{AEMET.licence_url}>" in link
    assert link.endswith('rel="successor-version"')


def test_month_without_a_licence_has_no_link_header(client: TestClient, load: Load) -> None:
    load("weather", "2025-10")
    answer = client.get(WEATHER, params=TWO_MONTHS)
    assert answer.status_code == 200
    assert "link" not in answer.headers
    assert answer.headers["x-source"] == "test"
