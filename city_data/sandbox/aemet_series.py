"""AEMET's stations and their synthetic days, in AEMET's format: strings, decimal commas, absent keys, `Ip`, `Varias`.

Belongs here: the stations (from the real inventory) and the daily records. Does not: the two steps (aemet.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from city_data.sandbox.climate import Hours, Spot, station_pressure, weather
from city_data.sandbox.noise import Floats, one, uniform

_EPOCH = date(1970, 1, 1)
# Rain is counted from 07 to 07 UTC, so a day needs these hours of the next one.
_MORNING = 7
_KEY, _HOUR, _DAY, _SHIFT = range(301, 305)
_LOTS = 40 + 24  # of a day, the last ones by hour
# With these, a station shows what the real one has: no pressure sensor, no sunshine recorder, no wind vane.
_NO_PRESSURE, _SUNSHINE, _RAIN_AND_HEAT_ONLY = (
    {"3126Y", "3194U", "0200E", "B051A"},
    {"3129", "3196", "0076", "8416"},
    {"3194U"},
)
_NO_WIND_OR_PRESSURE = {"0201X"}


@dataclass(frozen=True)
class Station:
    """One station of the inventory. Coordinates as AEMET writes them: degrees, minutes, seconds, hemisphere."""

    indicativo: str
    nombre: str
    provincia: str
    latitud: str
    longitud: str
    altitud: str
    indsinop: str

    @property
    def spot(self) -> Spot:
        return Spot(_degrees(self.latitud), _degrees(self.longitud), float(self.altitud))

    @property
    def number(self) -> int:
        return int.from_bytes(self.indicativo.encode(), "big")

    def inventory_record(self) -> dict[str, str]:
        names = ("latitud", "provincia", "altitud", "indicativo", "nombre", "indsinop", "longitud")
        return {name: getattr(self, name) for name in names}


STATIONS = {
    station.indicativo: station
    for station in (
        Station("B051A", "SÓLLER, PUERTO", "BALEARES", "394744N", "024129E", "5", "08316"),
        Station("B228", "PALMA, PUERTO", "BALEARES", "393315N", "023731E", "3", "08301"),
        Station("0076", "BARCELONA AEROPUERTO", "BARCELONA", "411734N", "020412E", "4", "08181"),
        Station("0200E", "BARCELONA, FABRA", "BARCELONA", "412506N", "020727E", "408", ""),
        Station("0201D", "BARCELONA, PORT OLÍMPIC", "BARCELONA", "412326N", "021200E", "26", "08180"),
        Station("0201X", "BARCELONA, DRASSANES", "BARCELONA", "412230N", "021026E", "11", ""),
        Station("0229I", "SABADELL AEROPUERTO", "BARCELONA", "413125N", "020611E", "146", "08192"),
        Station("3126Y", "MADRID, EL GOLOSO", "MADRID", "403341N", "034243W", "740", ""),
        Station("3129", "MADRID AEROPUERTO", "MADRID", "402800N", "033320W", "609", "08221"),
        Station("3194U", "MADRID, CIUDAD UNIVERSITARIA", "MADRID", "402706N", "034327W", "664", "08220"),
        Station("3195", "MADRID, RETIRO", "MADRID", "402442N", "034041W", "667", "08222"),
        Station("3196", "MADRID, CUATRO VIENTOS", "MADRID", "402232N", "034710W", "690", "08223"),
        Station("8414A", "VALENCIA AEROPUERTO", "VALENCIA", "392906N", "002829W", "56", "08284"),
        Station("8416", "VALÈNCIA", "VALENCIA", "392850N", "002159W", "13", "08285"),
        Station("8416Y", "VALÈNCIA, VIVEROS", "VALENCIA", "392851N", "002158W", "13", "08285"),
    )
}


def daily_records(station: Station, days: Sequence[date]) -> Iterator[dict[str, str]]:
    """The station's records of consecutive days; about one day in 150 has none."""
    first = (days[0] - _EPOCH).days
    hours = weather(station.spot, np.arange(first * 24, (first + len(days)) * 24 + _MORNING))
    has_record = uniform(_DAY, station.number, np.arange(first, first + len(days))) >= 1 / 150
    for index, day in enumerate(days):
        if has_record[index]:
            yield _record(station, day, hours.part(slice(index * 24, index * 24 + 24 + _MORNING)))


def _record(station: Station, day: date, hours: Hours) -> dict[str, str]:
    number = (day - _EPOCH).days
    record = {
        "fecha": day.isoformat(),
        "indicativo": station.indicativo,
        "nombre": station.nombre,
        "provincia": station.provincia,
        "altitud": station.altitud,
    }
    values = _Day(station, number, hours).values()
    luck = uniform(_KEY, station.number, number, [zlib.crc32(key.encode()) for key in values])
    return record | {key: text for (key, text), n in zip(values.items(), luck, strict=True) if n > 0.01}


def revised(record: dict[str, str], revision: int) -> dict[str, str]:
    """The record as AEMET has it after so many corrections: each makes the day half a degree warmer."""
    if not revision or "tmed" not in record:
        return record
    return record | {"tmed": _comma(float(record["tmed"].replace(",", ".")) + 0.5 * revision)}


@dataclass(frozen=True)
class _Day:
    station: Station
    number: int
    hours: Hours

    def values(self) -> dict[str, str]:
        """Every key the station has, in AEMET's order."""
        values = self._heat_and_rain()
        if self.station.indicativo in _RAIN_AND_HEAT_ONLY:
            return values
        if self.station.indicativo in _NO_WIND_OR_PRESSURE:
            return values | self._humidity()
        values |= self._wind()
        if self.station.indicativo in _SUNSHINE:
            values["sol"] = _comma(float(np.sum(self.hours.sunshine[:24])) / 60)
        if self.station.indicativo not in _NO_PRESSURE:
            values |= self._pressure()
        return values | self._humidity()

    def _heat_and_rain(self) -> dict[str, str]:
        heat = self.hours.temperature[:24] + 1.2 * (one(_SHIFT, self.station.number) - 0.5)
        low, high = round(float(heat.min()) - 0.6, 1), round(float(heat.max()) + 0.7, 1)
        return {
            "tmed": _comma((low + high) / 2),  # AEMET's mean is that of the two extremes
            "prec": self._rain(),
            "tmin": _comma(low),
            "horatmin": self._clock(heat, np.argmin),
            "tmax": _comma(high),
            "horatmax": self._clock(heat, np.argmax),
        }

    def _rain(self) -> str:
        fallen = float(np.sum(self.hours.precipitation[7:31])) * (0.8 + 0.4 * self._luck(1))
        if self._luck(2) < 0.002:
            return "Acum"
        if fallen < 0.1:
            return "Ip" if fallen > 0 or self._luck(3) < 0.01 else "0,0"
        return _comma(fallen)

    def _wind(self) -> dict[str, str]:
        wind = self.hours.wind[:24] * (0.75 + 0.5 * one(_SHIFT, self.station.number, 1))
        calm = float(wind.mean()) < 1
        return {
            "dir": "99" if calm else f"{1 + int(self._luck(4) * 36):02d}",
            "velmedia": _comma(float(wind.mean())),
            "racha": _comma(float(wind.max()) * 1.9),
            "horaracha": self._clock(wind, np.argmax),
        }

    def _pressure(self) -> dict[str, str]:
        at_station = station_pressure(self.hours.pressure[:24], self.station.spot.altitude, self.hours.temperature[:24])
        return {
            "presMax": _comma(float(at_station.max())),
            "horaPresMax": self._whole_hour(at_station, np.argmax),
            "presMin": _comma(float(at_station.min())),
            "horaPresMin": self._whole_hour(at_station, np.argmin),
        }

    def _humidity(self) -> dict[str, str]:
        wet = self.hours.humidity[:24]
        return {
            "hrMedia": f"{wet.mean():.0f}",
            "hrMax": f"{min(100.0, wet.max() + 3):.0f}",
            "horaHrMax": self._clock(wet, np.argmax),
            "hrMin": f"{max(5.0, wet.min() - 3):.0f}",
            "horaHrMin": self._clock(wet, np.argmin),
            "pintMax": _comma(float(self.hours.precipitation[:24].max()) * 2),
        }

    def _clock(self, series: Floats, which: Callable[[Floats], np.intp]) -> str:
        hour = int(which(series))
        luck = self._luck(5 + hour)
        return "Varias" if luck < 0.2 else f"{hour:02d}:{int(luck * 6) % 6}0"

    def _whole_hour(self, series: Floats, which: Callable[[Floats], np.intp]) -> str:
        """Pressure's extremes stand at whole hours; midnight is `24` or `00`, as it comes."""
        hour = int(which(series))
        luck = self._luck(40 + hour)
        return "Varias" if luck < 0.1 else "24" if hour == 0 and luck < 0.6 else f"{hour:02d}"

    def _luck(self, what: int) -> float:
        return float(self._lots[what])

    @cached_property
    def _lots(self) -> Floats:
        """All of the day at once: one by one they took most of a month's time."""
        return uniform(_HOUR, self.station.number, self.number, np.arange(_LOTS))


def _comma(value: float) -> str:
    return f"{value + 0.0:.1f}".replace("-0.0", "0.0").replace(".", ",")


def _degrees(text: str) -> float:
    """`402442N` and `034041W`: two digits of degrees, and a sign for all three parts."""
    size = int(text[:2]) + int(text[2:4]) / 60 + int(text[4:6]) / 3600
    return -size if text[-1] in "SW" else size
