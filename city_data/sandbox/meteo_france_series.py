"""Meteo-France's stations and their synthetic hours, in its two formats.

Belongs here: the stations (from the real list), the lines of a department file and of DPClim. Does not: routes, or
which file holds what (meteo_france.py).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from city_data.sandbox.climate import Spot, station_pressure, weather
from city_data.sandbox.noise import uniform

Hours = NDArray[np.int64]

# Every value column of a department file, each followed by its quality code.
_COLUMNS_TEXT = """
    RR1 DRR1 FF DD FXY DXY HXY FXI DXI HXI FF2 DD2 FXI2 DXI2 HXI2 FXI3S DXI3S HFXI3S T TD TN HTN TX HTX DG T10 T20
    T50 T100 TNSOL TN50 TCHAUSSEE DHUMEC U UN HUN UX HUX DHUMI40 DHUMI80 TSV PMER PSTAT PMERMIN GEOP N NBAS CL CM CH
    N1 C1 B1 N2 C2 B2 N3 C3 B3 N4 C4 B4 VV DVV200 WW W1 W2 SOL SOLNG TMER VVMER ETATMER DIRHOULE HVAGUE PVAGUE
    HNEIGEF NEIGETOT TSNEIGE TUBENEIGE HNEIGEFI3 HNEIGEFI1 ESNEIGE CHARGENEIGE GLO GLO2 DIR DIR2 DIF DIF2 UV UV2
    UV_INDICE INFRAR INFRAR2 INS INS2 TLAGON TVEGETAUX ECOULEMENT
"""
_COLUMNS = _COLUMNS_TEXT.split()
_PLACE = ("NUM_POSTE", "NOM_USUEL", "LAT", "LON", "ALTI")
HEADER = [*_PLACE, "AAAAMMJJHH", *(name for column in _COLUMNS for name in (column, f"Q{column}"))]
# DPClim's own order. Its quality codes come and go.
_API_COLUMNS_TEXT = """
    RR1 DRR1 HNEIGEF NEIGETOT T TD TN HTN TX HTX DG T10 T20 T50 T100 TNSOL TN50 TCHAUSSEE TW PSTAT PMER GEOP PMERMIN
    FF DD FXI DXI HXI FXY DXY HXY FF2 DD2 FXI2 DXI2 HXI2 FXI3S DXI3S HXI3S U UN HUN UX HUX UABS DHUMI40 DHUMI80
    DHUMEC TSV ENTH INS GLO DIR DIF GLO2 UV INFRAR UV_INDICE N NBAS CL CM CH N1 C1 B1 N2 C2 B2 N3 B3 C3 N4 C4 B4 WW
    VV DVV200 W1 W2 SOL SOLNG TSNEIGE TUBENEIGE ESNEIGE HNEIGEFI3 HNEIGEFI1 TMER VVMER ETATMER DIRHOULE TLAGON UV2
    INS2 INFRAR2 DIR2 DIF2
"""
API_COLUMNS = _API_COLUMNS_TEXT.split()
_NAMES = (
    *("RR1", "FF", "DD", "FXI", "T", "TD", "TN", "HTN", "TX", "U", "PMER", "PSTAT", "N", "WW", "HNEIGEFI1", "INS"),
)
# At these hours the depth of fresh snow is that of three or six hours, in columns of their own.
_SYNOPTIC_HOURS = 3
_HIGHEST_AT_SEA_LEVEL = 750
_GAP, _LINE, _DOUBT, _SHIFT = range(501, 505)


@dataclass(frozen=True)
class Station:
    """One station of the real list. Degrees, and metres above the sea."""

    number: str
    name: str
    latitude: float
    longitude: float
    altitude: int

    @property
    def department(self) -> str:
        return self.number[:2]

    @property
    def spot(self) -> Spot:
        return Spot(self.latitude, self.longitude, float(self.altitude))


STATIONS = (
    Station("01089001", "AMBERIEU", 45.9765, 5.329333, 250),
    Station("01174001", "GIRON", 46.23, 5.7725, 1015),
    Station("13054001", "MARIGNANE", 43.437667, 5.216, 9),
    Station("31069001", "TOULOUSE-BLAGNAC", 43.621, 1.378833, 151),
    Station("69029001", "LYON-BRON", 45.721333, 4.949167, 202),
    Station("69174002", "LES SAUVAGES", 45.935333, 4.384167, 831),
    Station("75114001", "PARIS-MONTSOURIS", 48.821667, 2.337833, 75),
)


def extras(department: str, count: int) -> list[Station]:
    """Synthetic neighbours of the department's first station, for files of the real size."""
    like = next(station for station in STATIONS if station.department == department)
    return [
        Station(f"{department}9{n:05d}", f"POSTE {n}", like.latitude, like.longitude, like.altitude + n)
        for n in range(count)
    ]


def write_department(path: Path, stations: Sequence[Station], stamps: Hours) -> None:
    """The gzip of a department: every station's lines for `stamps`, hours since 1970, each the end of its interval."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
        file.write(";".join(HEADER).encode() + b"\n")
        for station in stations:
            for first in range(0, len(stamps), 10_000):  # bounds memory
                file.writelines(line.encode() for line in bulk_lines(station, stamps[first : first + 10_000]))
    part.replace(path)


def bulk_lines(station: Station, stamps: Hours) -> Iterator[str]:
    """Decimal points, a quality code behind every value, LF; an hour in some hundreds has no line."""
    blank = [""] * len(HEADER)
    station_cells = [
        station.number,
        station.name,
        f"{station.latitude:g}",
        f"{station.longitude:g}",
        str(station.altitude),
    ]
    blank[: len(station_cells)] = station_cells
    at = {name: HEADER.index(name) for name in _NAMES}
    for stamp, values, quality in _hours(station, stamps):
        cells = blank.copy()
        cells[len(station_cells)] = stamp
        for name, text in values.items():
            if text:
                cells[at[name]], cells[at[name] + 1] = text, quality.get(name, "1")
        yield ";".join(cells) + "\n"


def api_csv(station: Station, stamps: Hours) -> str | None:
    """DPClim's file: decimal commas, no quality codes, CRLF. None where it has no line."""
    lines = [
        ";".join([station.number, stamp, *(values.get(name, "").replace(".", ",") for name in API_COLUMNS)])
        for stamp, values, quality in _hours(station, stamps)
    ]
    return "\r\n".join([";".join(["POSTE", "DATE", *API_COLUMNS]), *lines, ""]) if lines else None


def _hours(station: Station, stamps: Hours) -> Iterator[tuple[str, dict[str, str], dict[str, str]]]:
    """Stamp, values as texts with a decimal point (empty where missing), quality codes other than 1."""
    number = int(station.number)
    observed = weather(station.spot, stamps)
    heat = observed.temperature + 1.2 * (uniform(_SHIFT, number)[0] - 0.5)
    pressure = station_pressure(observed.pressure, station.altitude, heat)
    gap, line, doubt = (uniform(key, number, stamps) for key in (_GAP, _LINE, _DOUBT))
    at_sea_level = station.altitude <= _HIGHEST_AT_SEA_LEVEL
    for index, stamp in enumerate(stamps.tolist()):
        if line[index] < 1 / 400:
            continue
        code = int(observed.code[index])
        values = {
            "RR1": f"{observed.precipitation[index]:.1f}",
            "FF": f"{observed.wind[index]:.1f}",
            "FXI": f"{observed.gust[index]:.1f}",
            "DD": str(10 * (1 + stamp % 36)),
            "T": f"{heat[index]:.1f}",
            "TD": f"{heat[index] - (100 - observed.humidity[index]) / 5:.1f}",
            "TN": f"{heat[index] - 0.4:.1f}",
            "HTN": str(stamp % 24 * 100 + 5),
            "TX": f"{heat[index] + 0.4:.1f}",
            "U": f"{observed.humidity[index]:.0f}",
            "PMER": f"{observed.pressure[index]:.1f}" if at_sea_level else "",
            "PSTAT": f"{pressure[index]:.1f}",
            "N": f"{8 * observed.cloud[index]:.0f}",
            "INS": f"{observed.sunshine[index]:.0f}",
            "HNEIGEFI1": f"{observed.snow[index]:.1f}" if stamp % _SYNOPTIC_HOURS else "",
            # An instrument does not report a clear or cloudy sky.
            "WW": str(code) if code > 3 else "",
        }
        if gap[index] < 1 / 150:
            values |= {"T": "", "TD": "", "TN": "", "HTN": "", "TX": "", "U": ""}
        quality = {"T": "2"} if doubt[index] < 1 / 300 else {"HTN": "9"}
        yield datetime.fromtimestamp(stamp * 3600, UTC).strftime("%Y%m%d%H"), values, quality
