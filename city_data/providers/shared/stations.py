"""Station weather: means of a city's stations, and pressure reduced to sea level.

Belongs here: arithmetic on stations' values. Does not: any one source's names for them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from statistics import fmean
from typing import Any

from city_data.providers.errors import PermanentError, ProviderError
from city_data.providers.shared.cells import Cell, Field
from city_data.providers.shared.numbers import NumberFormat

# Metres, from the Dead Sea to Everest.
ALTITUDE_BOUNDS = (-500, 9_000)
# hPa, from the highest inhabited place to the strongest anticyclone at the shore.
STATION_PRESSURE_BOUNDS = (450, 1_100)
_AT_SEA_LEVEL = Field.of_weather("pressure", "pressure", NumberFormat())


class NoData(ProviderError):
    """The stations have no data in the requested range. The request's date decides between not yet and never."""


def refuse_another_subject(requested: Collection[str], present: Collection[str], received: int, elsewhere: int) -> None:
    """Raises PermanentError where all `received` rows lie `elsewhere`: with other stations than those `requested`, or
    in other months. `present` are the stations that the rows name."""
    if received and elsewhere == received:
        about = "another month" if set(present) & set(requested) else f"the stations {', '.join(sorted(present)[:10])}"
        raise PermanentError(f"the answer is about {about}, not about the month of {', '.join(requested)}")


def reduced_pressure(at_station: float, altitude: float, temperature: float, like: Cell) -> Cell:
    """The pressure at sea level, as a cell with the file and row of `like`."""
    value = round(sea_level_pressure(at_station, altitude, temperature), 2)
    return _AT_SEA_LEVEL.read(value, like.file, like.row)


def mean_of(stations: Iterable[Mapping[str, Any]], name: str) -> float | None:
    """The mean over the stations that have `name`; None if none has it."""
    values = [value for station in stations if (value := station[name]) is not None]
    return fmean(values) if values else None


def sea_level_pressure(pressure: float, altitude: float, temperature: float) -> float:
    """Pressure (hPa) reduced from `altitude` (m) to mean sea level by the hydrostatic equation with the mean
    temperature of the air column (°C at the station, 6.5 K a km below it): WMO-No. 8, I.3.7."""
    column = temperature + 273.15 + 0.0065 * altitude / 2
    return pressure * math.exp(9.80665 * altitude / (287.05 * column))
