"""What sources of weather by station share: how stations make one city, and how their pressure becomes comparable.

Belongs here: arithmetic on stations' values. Does not: any one source's words for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from city_data.providers.base import ProviderError


class NoData(ProviderError):
    """The stations have nothing in the range asked for: whether that is so yet, or for good, only the date tells."""


def mean_of(stations: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean of the stations that have `name`; None where none has."""
    values = [value for station in stations if (value := station[name]) is not None]
    return fmean(values) if values else None


def sea_level_pressure(pressure: float, altitude: float, temperature: float) -> float:
    """Pressure (hPa) reduced from `altitude` (m) to mean sea level by the hydrostatic equation with the mean
    temperature of the air column (°C at the station, 6.5 K a km below it): WMO-No. 8, I.3.7."""
    column = temperature + 273.15 + 0.0065 * altitude / 2
    return pressure * math.exp(9.80665 * altitude / (287.05 * column))
