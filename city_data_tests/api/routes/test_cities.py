"""The cities, their availability, the OpenAPI document and the metrics."""

from __future__ import annotations

from starlette.testclient import TestClient

from city_data_tests.api.conftest import HERE, TRAFFIC, Load


def test_enabled_cities_and_their_alias(empty_reader: TestClient) -> None:
    cities = empty_reader.get("/api/v1/external/cities")
    assert cities.json() == empty_reader.get("/api/v1/cities").json()
    (madrid,) = cities.json()
    assert madrid.pop("sources")
    assert madrid == {
        "city_id": "madrid",
        "name": "Madrid",
        "country": "ES",
        "latitude": 40.4168,
        "longitude": -3.7038,
        "radius_km": 30,
        "timezone": "Europe/Madrid",
        "weather_provider": "aemet",
        "traffic_provider": "madrid_opendata",
        "calendar_provider": "openholidays",
        "forecast_provider": "open_meteo_forecast",
        "enabled": True,
    }


def test_availability_and_its_alias(client: TestClient, load: Load) -> None:
    load("traffic", "2025-10")
    load("traffic", "2025-11")
    availability = client.get("/api/v1/external/operations/cities/madrid/availability").json()
    assert availability == client.get("/api/v1/cities/madrid/data-availability").json()
    assert (availability["city_name"], availability["weather_available"], availability["weather_start_date"]) == (
        "Madrid",
        False,
        None,
    )
    assert (availability["traffic_start_date"], availability["traffic_end_date"]) == (
        "2025-09-30T22:00:00Z",
        "2025-11-30T22:00:00Z",
    )
    assert (availability["traffic_available"], availability["traffic_record_count"]) == (True, 745 + 720)
    months = [(m["month"], m["state"], m["coverage"], m["version"]) for m in availability["months"]["traffic"]]
    assert months == [("2025-10", "settled", 0.9, 1), ("2025-11", "settled", 0.9, 1)]
    assert availability["months"]["weather"] == []


def test_metrics_start_at_zero_and_count_by_route(client: TestClient, load: Load) -> None:
    assert 'external_cache_hit_total{dataset="traffic",layer="redis"} 0.0' in client.get("/metrics").text
    load("traffic", "2025-10")
    client.get(TRAFFIC, params=HERE | {"start_date": "2025-10-01", "end_date": "2025-10-02"})
    text = client.get("/metrics").text
    assert 'external_cache_miss_total{dataset="traffic",layer="memory"} 1.0' in text
    assert 'city="madrid"' in text
    assert "/api/v1/tenants/{tenant_id}/external/operations/historical-traffic-optimized" in text
