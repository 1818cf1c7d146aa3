"""Meteo-France's month from CSV: an extract of a department file, or a file of DPClim."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from city_data_tests.oracles.plain import HOUR, CannotTell, Values, bounds, city, grouped, number, sea_level, times

NUMBERS = {"T": "temperature", "RR1": "precipitation", "U": "humidity", "FF": "wind_speed"}
PRESSURES = {"PMER": "pressure", "PSTAT": "at_station", "ALTI": "altitude"}
# That a file may lack.
OTHERS = {
    "TN": "temperature_min",
    "TX": "temperature_max",
    "FXI": "wind_gust",
    "HNEIGEFI1": "snowfall",
    "INS": "minutes_of_an_hour",
    "N": "octas",
}


def month(payloads: Sequence[bytes], request: Any) -> Values:
    rows = []
    for body in payloads:
        try:
            text = body.decode("utf-8-sig").lstrip("\ufeff")
        except UnicodeDecodeError:
            text = body.decode("latin-1").removeprefix("ï»¿")
        lines = re.split("\r\n|\r|\n", text)
        names = [_bare(name).upper() for name in lines[0].split(";")]
        if len(set(names) - {""}) != len([name for name in names if name]):
            raise CannotTell("a column twice")
        bulk = {"NUM_POSTE", "AAAAMMJJHH"} <= set(names)
        station, stamp = ("NUM_POSTE", "AAAAMMJJHH") if bulk else ("POSTE", "DATE")
        if station not in names or stamp not in names or not set(NUMBERS) | {"PMER"} <= set(names):
            raise CannotTell("no hourly file")
        for line in lines[1:]:
            cells = dict(zip(names, map(_bare, line.split(";")), strict=False))
            if line.count(";") == len(names) - 1 and (key := _key(cells[station], cells[stamp], request)):
                rows.append((key, _numbers(cells, "." if bulk else ",")))
    stations = grouped(rows)
    for row in stations.values():
        if row["pressure"] is None:
            row["pressure"] = sea_level(row["at_station"], row["altitude"], row["temperature"])
        row["sunshine_duration"] = row["minutes_of_an_hour"]
        row["cloud_cover"] = times(row["octas"], 12.5)
    return city(stations, lambda start: start)


def _key(station: str, stamp: str, request: Any) -> tuple[datetime, str] | None:
    if not re.fullmatch("[0-9]{10}", stamp) or station.zfill(8) not in request.settings.stations:
        return None
    try:
        start = datetime(int(stamp[:4]), int(stamp[4:6]), int(stamp[6:8]), int(stamp[8:]), tzinfo=UTC) - HOUR
    except (ValueError, OverflowError):
        return None
    first, end = bounds(request)
    return (start, station.zfill(8)) if first <= start < end else None


def _numbers(cells: dict[str, str], mark: str) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, kind in {**NUMBERS, **PRESSURES, **OTHERS}.items():
        quality = cells.get(f"Q{name}", "")
        good = quality == "" or number(quality, ".", "quality") in (0, 1, 9)
        values[kind] = number(cells.get(name), mark, kind) if good else None
    return values


def _bare(cell: str) -> str:
    return cell.strip().strip('"').strip()
