"""The wire of previous-runs-api.open-meteo.com and api.open-meteo.com: an invented model's forecasts, by run.

Belongs here: the routes, the model's runs and their errors. Does not: the weather that comes about (climate.py).

The model runs at midnight UTC, and is public at once. Its error at an hour depends on the run and the hour alone, so
that both services give one number for them; it grows with the time between the two, to about 0.75 °C on the mean a day
ahead, 1.0 three days ahead and 1.5 five days ahead. A run is too warm or too cold for a day or two on end, as a model
that misses a front is, so that the mean of a day is hardly better forecast than its hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from numpy.typing import NDArray

from city_data.sandbox.climate import Spot, weather
from city_data.sandbox.noise import Floats, bell
from city_data.sandbox.open_meteo_api import OpenMeteoApi, Refused, answer, hours_of, variables, wind_unit

PREVIOUS_HOST, HOST = "previous-runs-api.open-meteo.com", "api.open-meteo.com"
Hours = NDArray[np.int64]
LAG = timedelta()
_EPOCH, _FIRST_RUN = date(1970, 1, 1), date(2024, 2, 3)
_CELL = 0.25
_DAYS_AHEAD, _HORIZON_H = 15, 360
_MODELS = ("ecmwf_ifs025",)
_TEMPERATURE, _RAIN, _SHIFT, _HUMIDITY, _WIND, _PRESSURE, _CLOUD = range(501, 508)
_UNITS = {
    "temperature_2m": "°C",
    "precipitation": "mm",
    "relative_humidity_2m": "%",
    "wind_speed_10m": "",
    "pressure_msl": "hPa",
    "cloud_cover": "%",
}
_WHOLE = ("relative_humidity_2m", "cloud_cover")
_NEWEST = dict.fromkeys(_UNITS, 0)
_BY_LEAD = _NEWEST | {f"{name}_previous_day{lead}": lead for name in _UNITS for lead in range(8)}
# Days ahead, and the mean absolute error of the temperature there in °C.
_AHEAD, _ERROR = (0.0, 1.5, 3.5, 5.5, 7.5, 15.0), (0.5, 0.75, 1.0, 1.5, 2.1, 3.5)
# An error is a smooth curve between heights so many hours apart, of a mean size of 0.68.
_STEP_H, _MEAN_SIZE = 36, 0.68


class OpenMeteoForecast(OpenMeteoApi):
    hosts = (PREVIOUS_HOST, HOST)

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{PREVIOUS_HOST}/v1/forecast", self.previous_runs)
        router.add_api_route(f"/{HOST}/v1/forecast", self.forecast)
        return router

    def previous_runs(self, request: Request) -> JSONResponse:
        return self.answered(request, lambda query, spot: self._location(query, spot, _BY_LEAD))

    def forecast(self, request: Request) -> JSONResponse:
        return self.answered(request, lambda query, spot: self._location(query, spot, _NEWEST))

    def _location(self, query: dict[str, str], spot: Spot, leads: Mapping[str, int]) -> dict[str, Any]:
        today = self.publication.today
        local = hours_of(query, _FIRST_RUN - timedelta(days=60), today + timedelta(days=_DAYS_AHEAD))
        if (model := query.get("models")) not in _MODELS:
            raise Refused(
                f"Data corrupted at path ''. Cannot initialize MultiDomains from invalid String value {model}."
            )
        zone = self.zone(query.get("timezone", "GMT"))
        unit, factor = wind_unit(query)
        hours, newest = local - zone[1] // 3600, (today - LAG - _EPOCH).days
        forecasts: dict[int, dict[str, list[Any]]] = {}
        columns: dict[str, tuple[str, list[Any]]] = {}
        for name in variables(query, leads):
            lead, variable = leads[name], name.partition("_previous_day")[0]
            if lead not in forecasts:
                runs = np.minimum(run_of(hours, lead), newest)
                forecasts[lead] = _columns(forecast(spot, runs, hours), self._has(runs, hours), factor)
            columns[name] = _UNITS[variable] or unit, forecasts[lead][variable]
        return answer(spot, _CELL, zone, local, columns)

    def _has(self, runs: Hours, hours: Hours) -> NDArray[np.bool_]:
        """Where there is a value: not before the first run, beyond the horizon, or in an unpublished month."""
        there = (runs >= (_FIRST_RUN - _EPOCH).days) & (hours - runs * 24 <= _HORIZON_H)
        for month in self.publication.unpublished:
            first, end = ((one.first_day - _EPOCH).days for one in (month, month + 1))
            there &= (hours // 24 < first) | (hours // 24 >= end)
        return np.asarray(there)


def run_of(hours: Hours, lead: int) -> Hours:
    """The newest run, in days since 1970, that begins at least `lead` times 24 hours before each hour."""
    return np.asarray((hours - 24 * lead) // 24)


def forecast(spot: Spot, runs: Hours, hours: Hours) -> dict[str, Floats]:
    """The model's values at `hours` since 1970, by the API's names: each by its own run."""
    ahead = np.interp((hours - runs * 24) / 24, _AHEAD, _ERROR)  # °C

    def error(variable: int) -> Floats:
        return np.asarray(_curve(variable, spot.region, runs, hours) * ahead / _MEAN_SIZE)

    truth = weather(spot, hours)
    # Rain comes earlier or later than forecast, and more or less of it.
    moved = hours + np.rint(3 * error(_SHIFT)).astype(np.int64)
    rain = weather(spot, moved).precipitation * np.exp(0.15 * error(_RAIN))
    return {
        "temperature_2m": truth.temperature + error(_TEMPERATURE),
        "precipitation": rain,
        "relative_humidity_2m": np.clip(truth.humidity + 5 * error(_HUMIDITY), 5, 100),
        "wind_speed_10m": np.clip(truth.wind + 0.8 * error(_WIND), 0, None),
        "pressure_msl": truth.pressure + error(_PRESSURE),
        "cloud_cover": np.clip(100 * truth.cloud + 12 * error(_CLOUD), 0, 100),
    }


def _curve(variable: int, region: int, runs: Hours, hours: Hours) -> Floats:
    """A smooth curve of a run's hours, of mean 0."""
    knot, share = np.divmod(hours, _STEP_H)
    weight = (1 - np.cos(np.pi * share / _STEP_H)) / 2
    low, high = (bell(variable, region, runs, knot + step) for step in (0, 1))
    return np.asarray(low * (1 - weight) + high * weight)


def _columns(values: Mapping[str, Floats], there: NDArray[np.bool_], wind_factor: float) -> dict[str, list[Any]]:
    digits = {"wind_speed_10m": 2, **dict.fromkeys(_WHOLE, 0)}
    listed = {}
    for name, numbers in values.items():
        scaled = np.round(numbers * (wind_factor if name == "wind_speed_10m" else 1), digits.get(name, 1)) + 0.0
        kind: Callable[[float], float] = int if name in _WHOLE else float
        listed[name] = [kind(value) if ok else None for value, ok in zip(scaled.tolist(), there.tolist(), strict=True)]
    return listed
