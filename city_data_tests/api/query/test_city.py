"""The city of a request: by coordinates or by id, on every route that takes either."""

from __future__ import annotations

import httpx
import pytest
from starlette.testclient import TestClient

from city_data_tests.api.conftest import HERE, TENANT, TRAFFIC, Load

BODY = f"/api/v1/tenants/{TENANT}/external/operations/traffic/historical"
FRAME = f"/api/v1/tenants/{TENANT}/external/operations/training-frame"
RANGE = {"start_date": "2025-10-01", "end_date": "2025-10-31"}
ROUTES = [TRAFFIC, FRAME, BODY]


def ask(client: TestClient, route: str, **fields: str) -> httpx.Response:
    given = RANGE | fields
    return client.post(route, json=given) if route == BODY else client.get(route, params=given)


@pytest.mark.parametrize("route", ROUTES)
def test_city_id_is_answered_as_its_coordinates(client: TestClient, load: Load, route: str) -> None:
    load("traffic", "2025-10")
    by_id, by_place = ask(client, route, city_id="madrid"), ask(client, route, **HERE)
    assert (by_id.status_code, by_id.content) == (200, by_place.content)
    assert by_id.headers["ETag"] == by_place.headers["ETag"]
    assert by_id.headers["X-City-Distance-Km"] == "0.00"
    assert ask(client, route, city_id="madrid").headers == by_id.headers


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"city_id": "madird"}, "unknown city; did you mean madrid?"),
        ({"city_id": "oslo"}, "unknown city; /api/v1/external/cities lists those of this service"),
        ({"city_id": "x" * 80}, "unknown city; /api/v1/external/cities lists those of this service"),
        ({"city_id": "madrid"} | HERE, "give `city_id`, or latitude and longitude, not both"),
        ({"city_id": "madrid", "latitude": "40.4"}, "give `city_id`, or latitude and longitude, not both"),
        ({}, "latitude is required, or city_id instead of both"),
        ({"latitude": "40.4"}, "longitude is required, or city_id instead of both"),
    ],
)
def test_other_than_one_place_is_422(empty_reader: TestClient, route: str, fields: dict[str, str], words: str) -> None:
    answer = ask(empty_reader, route, **fields)
    assert answer.status_code == 422
    assert words in answer.text


def test_swapped_coordinates_are_404_and_name_the_city_that_was_meant(empty_reader: TestClient) -> None:
    answer = ask(empty_reader, ROUTES[0], latitude=HERE["longitude"], longitude=HERE["latitude"])
    assert answer.status_code == 404
    assert "with latitude and longitude swapped it is Madrid's" in answer.json()["detail"]


@pytest.mark.parametrize("dataset", ["traffic", "weather"])
def test_unknown_field_of_a_body_is_422_and_names_the_nearest(empty_reader: TestClient, dataset: str) -> None:
    body = RANGE | {"city_id": "madrid", "resoluton": "daily", "end_dat": 1, "start_date": 7, "latitude": 99}
    answer = empty_reader.post(BODY.replace("traffic", dataset), json=body)
    found = {tuple(problem["loc"]): problem["msg"] for problem in answer.json()["detail"]}
    assert answer.status_code == 422
    assert found[("body", "resoluton")] == "unknown; did you mean resolution?"
    assert found[("body", "end_dat")] == "unknown; did you mean end_date?"
    assert found[("body", "latitude")] == "Input should be less than or equal to 90"
    assert ("body", "start_date") in found
