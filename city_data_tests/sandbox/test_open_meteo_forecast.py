"""The stand-in's forecasts: an error that grows with the lead, one number for a run and an hour, and its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest

from city_data.cities import City, load_registry
from city_data.sandbox import Sandbox, aemet_series, meteo_france_series, running
from city_data.sandbox.climate import Spot, altitude, weather
from city_data.sandbox.open_meteo_forecast import HOST, PREVIOUS_HOST, forecast, run_of

AS_OF = datetime(2026, 11, 24, 9, tzinfo=UTC)
MADRID, LISBON = Spot(40.4168, -3.7038, 666.0), Spot(38.7223, -9.1393, 16.0)
HOURS = np.arange(480_000, 480_000 + 24 * 730)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("forecasts"), as_of=AS_OF) as served:
        yield served


def asked(sandbox: Sandbox, host: str, hourly: str, **changes: str) -> httpx.Response:
    query = {"latitude": "40.4168", "longitude": "-3.7038", "start_date": "2026-11-20", "end_date": "2026-12-02"}
    query |= {"hourly": hourly, "models": "ecmwf_ifs025", "timezone": "GMT", **changes}
    return httpx.get(f"{sandbox.base_url}/{host}/v1/forecast", params=query)


def hourly(sandbox: Sandbox, host: str, names: str) -> dict[str, list[Any]]:
    answer = asked(sandbox, host, names)
    assert answer.status_code == 200, answer.text
    block: dict[str, list[Any]] = answer.json()["hourly"]
    return block


@pytest.mark.parametrize("spot", [MADRID, LISBON], ids=["madrid", "lisbon"])
def test_error_grows_with_the_lead_as_a_model_s_does(spot: Spot) -> None:
    truth = weather(spot, HOURS)
    made = {lead: forecast(spot, run_of(HOURS, lead), HOURS) for lead in range(1, 8)}
    errors = {lead: float(np.abs(values["temperature_2m"] - truth.temperature).mean()) for lead, values in made.items()}
    assert {lead: errors[lead] for lead in (1, 3, 5)} == pytest.approx({1: 0.75, 3: 1.0, 5: 1.5}, rel=0.1)
    assert list(errors.values()) == sorted(errors.values())
    for lead, values in made.items():
        bias = float((values["temperature_2m"] - truth.temperature).mean())
        assert abs(bias) < 0.1 * errors[lead], "without bias, beyond that of a finite number of runs"
        assert float(values["precipitation"].mean()) == pytest.approx(float(truth.precipitation.mean()), rel=0.25)
        assert float(values["precipitation"].min()) == 0
        assert 0 <= float(values["cloud_cover"].min()) <= float(values["cloud_cover"].max()) <= 100
    pressures = [np.abs(made[lead]["pressure_msl"] - truth.pressure).mean() for lead in (1, 7)]
    assert pressures[0] < pressures[1]


@pytest.mark.parametrize("city", load_registry(environ={}).all(), ids=lambda city: city.city_id)
def test_forecasts_of_a_city_are_as_wrong_by_hours_and_by_days(city: City) -> None:
    """Against its own stations, wherever they stand; a day's mean is hardly better forecast than an hour."""
    spot = Spot(city.latitude, city.longitude, altitude(city.latitude, city.longitude))
    truth = np.mean([weather(one, HOURS).temperature for one in stations(city) or [spot]], axis=0)
    for lead, expected in {1: 0.75, 3: 1.0, 5: 1.5}.items():
        errors = forecast(spot, run_of(HOURS, lead), HOURS)["temperature_2m"] - truth
        assert float(np.abs(errors).mean()) == pytest.approx(expected, rel=0.1), lead
        assert float(np.abs(errors.reshape(-1, 24).mean(axis=1)).mean()) == pytest.approx(expected, rel=0.15), lead


def stations(city: City) -> list[Spot]:
    """Those that measure its weather, where it has any."""
    known = {name: one.spot for name, one in aemet_series.STATIONS.items()}
    known |= {one.number: one.spot for one in meteo_france_series.STATIONS}
    assert city.weather is not None
    return [known[name] for name in city.weather.settings.get("stations", [])]


def test_both_services_have_one_number_for_a_run_and_an_hour(sandbox: Sandbox) -> None:
    past = hourly(sandbox, PREVIOUS_HOST, "temperature_2m,temperature_2m_previous_day0,temperature_2m_previous_day2")
    ahead = hourly(sandbox, HOST, "temperature_2m")
    assert past["time"] == ahead["time"]
    assert past["temperature_2m"] == past["temperature_2m_previous_day0"] == ahead["temperature_2m"]
    # The run of the 24th is the newest: it also stands where a run two days before an hour is still to come.
    first, second = (past["time"].index(f"2026-11-{day}T00:00") for day in (26, 27))
    assert past["temperature_2m_previous_day2"][first:] == ahead["temperature_2m"][first:]
    assert past["temperature_2m_previous_day2"][: first - 24] != ahead["temperature_2m"][: first - 24]
    sandbox.publication.clock = lambda: AS_OF.replace(day=28)
    later = hourly(sandbox, PREVIOUS_HOST, "temperature_2m_previous_day2")["temperature_2m_previous_day2"]
    sandbox.publication.clock = lambda: AS_OF
    assert later[:second] == past["temperature_2m_previous_day2"][:second], "what a run has said does not change"
    assert later[second:] != past["temperature_2m_previous_day2"][second:], "newer runs have said more"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": "gfs_seamless"}, "invalid String value gfs_seamless"),
        ({"end_date": "2026-12-10"}, "out of allowed range from 2023-12-05 to 2026-12-09"),
        ({"hourly": "temperature_2m_previous_day8"}, "invalid String value temperature_2m_previous_day8"),
        ({"latitude": "95"}, "Latitude must be in range"),
    ],
)
def test_wrong_question_is_refused_as_the_service_does(sandbox: Sandbox, changes: dict[str, str], said: str) -> None:
    answer = asked(sandbox, PREVIOUS_HOST, **{"hourly": "temperature_2m", **changes})
    assert (answer.status_code, answer.json()["error"]) == (400, True)
    assert said in answer.json()["reason"]
    assert asked(sandbox, HOST, "temperature_2m_previous_day1").status_code == 400


def test_hours_before_the_first_run_and_beyond_the_horizon_are_null(sandbox: Sandbox) -> None:
    answer = asked(
        sandbox, PREVIOUS_HOST, "temperature_2m_previous_day3", start_date="2024-02-04", end_date="2024-02-07"
    )
    values = answer.json()["hourly"]["temperature_2m_previous_day3"]
    assert [value is None for value in values] == [True] * 48 + [False] * 48
