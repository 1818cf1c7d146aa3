"""An invented, plausible climate: hourly weather at any coordinate in temperate Europe, by pure arithmetic.

Belongs here: the series behind AEMET and Open-Meteo, so that both describe the same days. Does not: their formats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from city_data.sandbox.noise import Floats, bell, smooth

_FRONTS, _WARMTH, _WIND, _RAIN, _CLOUD, _PRESSURE, _GUST = range(101, 108)
HOURS_A_YEAR = 8766.0
_TILT_DEGREES = 23.44
_SNOW_CM_A_MM = 0.7
_SNOW = 71
# Degrees that the border between two regions lies beyond the half, to have Barcelona's stations on one side of it.
_BORDER = 0.05
# Madrid, Lyon and Paris, as high as the stations that measure their weather.
_INLAND, _COAST = {(40.4, -3.7): 666.0, (45.8, 4.8): 202.0, (48.9, 2.4): 75.0}, 16.0


@dataclass(frozen=True)
class Spot:
    """Degrees, and metres above the sea."""

    latitude: float
    longitude: float
    altitude: float

    @property
    def region(self) -> int:
        """Spots of one region have the same weather, shifted by altitude."""
        return round(self.latitude - _BORDER) * 1000 + round(self.longitude)


@dataclass(frozen=True)
class Hours:
    """One number an hour each: °C, mm in the hour before, %, m/s, hPa at sea level, WMO code, share of sky, minutes of
    sunshine in the hour before, m/s, cm of snow in the hour before."""

    temperature: Floats
    precipitation: Floats
    humidity: Floats
    wind: Floats
    pressure: Floats
    code: NDArray[np.int64]
    cloud: Floats
    sunshine: Floats
    gust: Floats
    snow: Floats

    def part(self, at: slice) -> Hours:
        return Hours(*(getattr(self, field.name)[at] for field in fields(self)))


def altitude(latitude: float, longitude: float) -> float:
    """Metres above the sea: those of the cities inland; everywhere else is the coast."""
    for (north, east), metres in _INLAND.items():
        if math.hypot(latitude - north, longitude - east) < 1:
            return metres
    return _COAST


def weather(spot: Spot, hours: NDArray[np.int64]) -> Hours:
    """The weather at `hours`, counted from 1970-01-01T00:00Z."""
    days = hours / 24.0
    season = np.cos(2 * np.pi * (hours / HOURS_A_YEAR - 200 / 365.25))  # 1 in the third week of July
    clock = np.cos(2 * np.pi * (hours % 24 - 14.5 + spot.longitude / 15) / 24)
    inland = float(np.clip(spot.altitude / 600, 0, 1))
    region = spot.region

    fronts = smooth(region * 10 + _FRONTS, days, 3.0) + 0.5 * smooth(region * 10 + _FRONTS, days + 0.5, 1.0)
    wet = np.clip(fronts - 0.95 - 0.35 * season, 0, None)
    cloud = np.clip(0.35 + 0.35 * smooth(region * 10 + _CLOUD, days, 1.5) + 0.6 * wet - 0.15 * season, 0, 1)
    temperature = (
        (29.5 - 0.28 * abs(spot.latitude) - 0.0045 * spot.altitude)
        + (7 + 3.2 * inland) * season
        + (3.2 + 2.8 * inland) * (1 - 0.5 * cloud) * clock
        + 2.8 * smooth(region * 10 + _WARMTH, days, 5.0)
        - 1.5 * wet
    )
    shower = np.clip(1 + 1.2 * bell(region * 10 + _RAIN, hours), 0, None)
    precipitation: Floats = np.asarray(np.where(wet > 0, 0.9 * wet * shower, 0.0), np.float64).round(1)
    humidity = np.clip(62 - 14 * season - 12 * inland * clock + 22 * np.clip(wet, 0, 1.4) + 14 * (cloud - 0.4), 9, 100)
    wind = np.clip(
        2.3 + 1.1 * smooth(region * 10 + _WIND, days, 1.7) + 0.7 * clock + 0.9 * wet + 0.3 * bell(region, hours),
        0.1,
        30,
    )
    pressure = 1016.5 - 1.5 * season + 7.5 * smooth(region * 10 + _PRESSURE, days, 4.0) - 3.5 * wet
    code = _codes(precipitation, temperature, cloud)
    gust = wind * (1.6 + 0.1 * bell(region * 10 + _GUST, hours))
    snow = np.where(code == _SNOW, _SNOW_CM_A_MM * precipitation, 0.0)
    sunshine = _sunshine(spot, hours, cloud)
    return Hours(temperature, precipitation, humidity, wind, pressure, code, cloud, sunshine, gust, snow)


def station_pressure(sea_level: Floats, altitude: float, temperature: Floats) -> Floats:
    """hPa at `altitude`, by the barometric formula with the air's own temperature."""
    return np.asarray(sea_level * np.exp(-9.80665 * altitude / (287.05 * (temperature + 273.15 + 0.00325 * altitude))))


def _sunshine(spot: Spot, hours: NDArray[np.int64], cloud: Floats) -> Floats:
    """Minutes: the clear share of each hour before in whose middle the sun is up. Its year turns a month before that of
    warmth."""
    season = np.cos(2 * np.pi * (hours / HOURS_A_YEAR - 172 / 365.25))
    tilt, north = np.radians(_TILT_DEGREES * season), np.radians(spot.latitude)
    angle = 2 * np.pi * ((hours - 0.5) % 24 - 12 + spot.longitude / 15) / 24
    height = np.sin(north) * np.sin(tilt) + np.cos(north) * np.cos(tilt) * np.cos(angle)
    return np.asarray(np.where(height > 0, 60 * (1 - cloud), 0.0), np.float64)


def _codes(precipitation: Floats, temperature: Floats, cloud: Floats) -> NDArray[np.int64]:
    sky = np.digitize(cloud, [0.15, 0.4, 0.75])
    rain = np.select([precipitation > 4, precipitation > 1, precipitation >= 0.5], [65, 63, 61], 51)
    falling = np.where(temperature < 0.8, _SNOW, rain)
    return np.where(precipitation > 0, falling, sky).astype(np.int64)
