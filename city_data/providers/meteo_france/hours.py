"""Meteo-France's station-hours as the city's hours.

Belongs here: the choice of lines, and the means of stations. Does not: the cells of a line (lines.py), or downloads
(bulk_files.py, orders.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from city_data.providers.base import Payload, PermanentError
from city_data.providers.meteo_france.lines import (
    CLOUDS,
    CODE,
    NEEDED,
    OCTAS,
    OPTIONAL,
    SEA_LEVEL,
    SUNSHINE,
    VALUES,
    BrokenLine,
    open_file,
    with_pressure,
)
from city_data.providers.shared.cells import Row, count_nulled, refuse_spoilt_files
from city_data.providers.shared.duplicates import one_row_a_key
from city_data.providers.shared.stations import mean_of, refuse_another_subject
from city_data.providers.shared.wmo_codes import WORDS

NUMBERS = (*VALUES, "pressure", *OPTIONAL, "sunshine_duration", "cloud_cover")


@dataclass
class Reading:
    """The used station-hours, by the hour's start in UTC and the station, with counts of the other lines."""

    rows: Mapping[tuple[datetime, str], Row] = field(default_factory=dict)
    received: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    nulled: Counter[str] = field(default_factory=Counter)
    fields: list[str] = field(default_factory=list)

    @property
    def used(self) -> int:
        return len(self.rows)

    @property
    def hours(self) -> dict[datetime, dict[str, Row]]:
        """By hour and station, both in order."""
        hours: dict[datetime, dict[str, Row]] = {}
        for start, station in sorted(self.rows):
            hours.setdefault(start, {})[station] = self.rows[start, station]
        return hours

    @property
    def stations(self) -> list[str]:
        return sorted({station for _, station in self.rows})

    @property
    def quality_codes(self) -> bool:
        """Whether the files have quality codes. DPClim had none before 2025, so its doubtful values are unknown."""
        return any(f"Q{name}" in self.fields for name in NEEDED)


def read(payloads: Sequence[Payload], stations: Sequence[str], bounds: tuple[datetime, datetime]) -> Reading:
    """Every line of `stations` whose hour starts within `bounds`.

    Raises PermanentError for anything but an hourly file, if all lines are of other stations or times, and for a file
    with mostly unreadable lines or values.
    """
    reading, rows, station_ids = Reading(), list[tuple[tuple[datetime, str], Row]](), set[str]()
    broken: list[BrokenLine] = []
    for payload in payloads:
        file = open_file(payload)
        reading.fields += [name for name in file.fields if name not in reading.fields]
        for line in file:
            reading.received += 1
            if isinstance(line, BrokenLine):
                broken.append(line)
                continue
            station_ids.add(line.station)
            if not bounds[0] <= line.start < bounds[1]:
                reading.rejected["outside_month"] += 1
            elif line.station not in stations:
                reading.rejected["other_station"] += 1
            else:
                rows.append(((line.start, line.station), file.row(line)))
    reading.rejected += Counter(line.reason for line in broken)
    _refuse_where_most(broken, reading.received)
    elsewhere = reading.rejected["other_station"] + reading.rejected["outside_month"]
    refuse_another_subject(stations, station_ids, reading.received - len(broken), elsewhere)
    merged = {key: with_pressure(row) for key, row in one_row_a_key(rows, reading.rejected).items()}
    refuse_spoilt_files(merged.values())
    reading.rows = {key: row for key, row in merged.items() if _has_value(row)}
    reading.rejected += Counter(no_value=len(merged) - len(reading.rows))
    reading.nulled = count_nulled(reading.rows.values())
    return reading


def city_hours(reading: Reading, stations: Sequence[str], source: str) -> Iterator[dict[str, Any]]:
    """The canonical rows by hour: each number is the mean of the stations that have it, the description that of the
    first station, in the order of the settings, that reports one."""
    for start, by_station in reading.hours.items():
        values = {station: _values(row) for station, row in by_station.items()}
        codes = (values[name]["weather_code"] for name in stations if name in values)
        code = next((code for code in codes if code is not None), None)
        yield {
            "date": start,
            **{name: mean_of(values.values(), name) for name in NUMBERS},
            "description": WORDS[code] if code is not None else None,
            "source": source,
            "raw_data": {"stations": values, "modelled": False},
        }


def _values(row: Row) -> dict[str, Any]:
    """A station's hour in `raw_data`."""
    values: dict[str, Any] = {column: row[name].number for column, name in (*VALUES.items(), *OPTIONAL.items())}
    reduced = row["pressure"].number if "pressure" in row else None
    values["pressure"] = row[SEA_LEVEL].number if reduced is None else reduced
    values["sunshine_duration"], octas = row[SUNSHINE].number, row[CLOUDS].number
    values["cloud_cover"] = None if octas is None else 100 * octas / OCTAS
    code = row[CODE].number
    values["weather_code"] = None if code is None else int(code)
    return {**values, **({"flags": ["pressure_reduced"]} if reduced is not None else {})}


def _has_value(row: Row) -> bool:
    return any(value is not None for name, value in _values(row).items() if name != "flags")


def _refuse_where_most(broken: Sequence[BrokenLine], received: int) -> None:
    if len(broken) > received / 2:
        first, summary = broken[0], f"{len(broken)} of {received} lines cannot be read"
        why = "no hour as AAAAMMJJHH" if first.reason == "no_hour" else "another number of cells than the header has"
        raise PermanentError(f"{summary}, such as line {first.number}, {first.text[:100]!r}: {why}")
