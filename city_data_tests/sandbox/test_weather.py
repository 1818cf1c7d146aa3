"""AEMET's and Open-Meteo's stand-ins: their answers on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from city_data.sandbox.noise import uniform
from city_data_tests.sandbox.conftest import Call

KEY = {"api_key": "good"}
VALUES = "https://opendata.aemet.es/opendata/api/valores/climatologicos"
ARCHIVE = "https://archive-api.open-meteo.com/v1/archive"
QUESTION = {"latitude": "40.4168", "longitude": "-3.7038", "timezone": "GMT", "wind_speed_unit": "ms"}


def days(start: str, end: str, station: str = "3195") -> str:
    span = f"fechaini/{start}T00:00:00UTC/fechafin/{end}T23:59:59UTC"
    return f"{VALUES}/diarios/datos/{span}/" + (f"estacion/{station}" if station else "todasestaciones")


def records(call: Call, url: str) -> list[dict[str, str]]:
    envelope = call(url, headers=KEY).json()
    assert envelope["estado"] == 200
    body: list[dict[str, str]] = json.loads(call(envelope["datos"]).content.decode("iso-8859-15"))
    return body


def test_both_steps_mark_their_answers_as_sandbox(call: Call) -> None:
    first = call(days("2026-10-01", "2026-10-31"), headers=KEY)
    envelope = first.json()
    assert set(envelope) == {"descripcion", "estado", "datos", "metadatos"}
    assert envelope["datos"].startswith("https://opendata.aemet.es/opendata/sh/")
    second = call(envelope["datos"])
    assert second.content.startswith(b'[ {\n  "fecha" : "2026-10-01",\n  "indicativo" : "3195"')
    assert "json" not in second.headers.get("content-type", "")
    assert {first.headers["x-city-data-origin"], second.headers["x-city-data-origin"]} == {"sandbox"}
    again = call(call(days("2026-10-01", "2026-10-31"), headers=KEY).json()["datos"])
    assert again.content == second.content


def test_answers_are_encoded_in_latin_1(call: Call) -> None:
    envelope = call(f"{VALUES}/inventarioestaciones/todasestaciones", headers=KEY).json()
    body = call(envelope["datos"]).content
    with pytest.raises(UnicodeDecodeError):
        body.decode("utf-8")
    assert '"nombre" : "VALÈNCIA, VIVEROS"' in body.decode("iso-8859-15")
    assert "©" in call(envelope["metadatos"]).content.decode("iso-8859-15")


def test_days_are_strings_with_commas_gaps_and_words(call: Call) -> None:
    answered = [
        record
        for first, last in (("2025-11-01", "2026-03-31"), ("2026-04-01", "2026-08-31"))
        for record in records(call, days(first, last, "3195,3129,3196"))
    ]
    assert all(isinstance(text, str) and "." not in text for record in answered for text in record.values())
    assert {"Ip"} < {record.get("prec") for record in answered}
    assert any("tmed" not in record for record in answered)
    assert any(record.get("horatmin") == "Varias" for record in answered)
    assert any(record.get("horaPresMax") == "24" for record in answered)
    assert 890 < len(answered) < 304 * 3
    retiro = [record["presMax"] for record in answered if record["indicativo"] == "3195" and "presMax" in record]
    pressure = [float(text.replace(",", ".")) for text in retiro]
    assert 915 < min(pressure) < max(pressure) < 965
    assert {"tmed", "velmedia", "hrMedia"} & set(records(call, days("2026-06-01", "2026-06-03", "3194U"))[0]) == {
        "tmed"
    }


def test_errors_are_reported_in_the_body(call: Call) -> None:
    refused = call(days("2026-10-01", "2026-10-31"))
    assert (refused.status_code, refused.json()) == (401, {"descripcion": "API key invalido", "estado": 401})
    assert call(days("2026-10-01", "2026-10-31"), headers={"api_key": "bad"}).status_code == 401
    for url in (days("2026-11-21", "2026-11-22"), days("2026-10-01", "2026-10-31", "3197")):
        nothing = call(url, headers=KEY)
        assert (nothing.status_code, nothing.json()["estado"]) == (200, 404)
        assert nothing.json()["descripcion"] == "No hay datos que satisfagan esos criterios"
    for url in (days("2026-01-01", "2026-10-31"), days("2026-10-01", "2026-10-31", "")):
        assert "rango de fechas" in call(url, headers=KEY).content.decode("iso-8859-15")
    assert call("https://opendata.aemet.es/opendata/sh/00000000").json()["descripcion"] == "datos expirados"


def test_aemet_publishes_four_days_late(call: Call) -> None:
    answered = {record["fecha"] for record in records(call, days("2026-11-01", "2026-11-30"))}
    assert "2026-11-20" in answered
    assert max(answered) == "2026-11-20"


def archive(call: Call, **question: str) -> Any:
    return call(ARCHIVE, params=QUESTION | question).json()


def test_open_meteo_serves_hours_units_and_lag(call: Call) -> None:
    answer = archive(call, start_date="2026-11-01", end_date="2026-11-24", hourly="temperature_2m,wind_speed_10m")
    assert answer["hourly_units"] == {"time": "iso8601", "temperature_2m": "°C", "wind_speed_10m": "m/s"}
    hours = dict(zip(answer["hourly"]["time"], answer["hourly"]["temperature_2m"], strict=True))
    assert len(hours) == 24 * 24
    assert isinstance(hours["2026-11-19T23:00"], float)
    assert hours["2026-11-20T00:00"] is None
    span = {"start_date": "2026-10-01", "end_date": "2026-10-01", "hourly": "wind_speed_10m"}
    kmh, ms = (archive(call, wind_speed_unit=unit, **span)["hourly"]["wind_speed_10m"][12] for unit in ("kmh", "ms"))
    assert kmh == pytest.approx(3.6 * ms, rel=0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"end_date": "2026-12-24"}, "out of allowed range from 1940-01-01 to 2026-11-24"),
        ({"hourly": "warmth"}, "warmth"),
        ({"latitude": "40,41"}, "same number of elements"),
    ],
)
def test_open_meteo_errors_have_its_own_format(call: Call, change: dict[str, str], reason: str) -> None:
    question = {"start_date": "2026-10-01", "end_date": "2026-10-02", "hourly": "temperature_2m"} | change
    answer = call(ARCHIVE, params=QUESTION | question)
    assert (answer.status_code, answer.json()["error"]) == (400, True)
    assert reason in answer.json()["reason"]


def test_several_locations_are_a_list(call: Call) -> None:
    spots = {"latitude": "40.4,39.5", "longitude": "-3.7,-0.4"}
    answer = archive(call, start_date="2026-10-01", end_date="2026-10-01", hourly="temperature_2m", **spots)
    assert [entry.get("location_id") for entry in answer] == [None, 1]


def test_noise_is_deterministic() -> None:
    assert uniform(1, 2)[0] == pytest.approx(0.7376992526901169, abs=0)
