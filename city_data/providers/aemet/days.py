"""AEMET's station-days as the city's days.

Belongs here: the choice of records, and the means of stations. Does not: the fields of a record (records.py), or
the calls (`__init__`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import fmean
from typing import Any

from city_data.datasets import WEATHER
from city_data.providers.aemet.records import (
    ACCUMULATED,
    ALTITUDE,
    EXTREMES,
    MEANS,
    SUNSHINE,
    TRACE,
    DayOfStation,
    is_accumulated,
    is_known,
    record_of,
    records,
    without_accumulated,
)
from city_data.providers.base import Payload, PermanentError
from city_data.providers.shared.cells import Row, count_nulled, refuse_spoilt_files
from city_data.providers.shared.duplicates import one_row_a_key
from city_data.providers.shared.stations import mean_of, reduced_pressure, refuse_another_subject
from city_data.window import Month, day_bounds

_FLAGS = {TRACE: "trace_precipitation", ACCUMULATED: "accumulated_precipitation"}
COLUMNS = tuple(name for name in WEATHER.column_names if name in {*MEANS, "pressure", "sunshine_duration"})
_MINUTES = 60  # of AEMET's hours


@dataclass
class Reading:
    """The used station-days, with counts of the others. `names` are the stations' names."""

    rows: Mapping[DayOfStation, Row] = field(default_factory=dict)
    received: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    nulled: Counter[str] = field(default_factory=Counter)
    fields: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def used(self) -> int:
        return len(self.rows)

    @property
    def days(self) -> dict[date, dict[str, Row]]:
        """By day and station, both in order."""
        days: dict[date, dict[str, Row]] = {}
        for day, station in sorted(self.rows):
            days.setdefault(day, {})[station] = self.rows[day, station]
        return days

    @property
    def unknown_fields(self) -> list[str]:
        return sorted(name for name in self.fields if not is_known(name))

    @property
    def stations(self) -> list[dict[str, Any]]:
        """The stations as named in their records, without coordinates, each with its share of the station-days."""
        days = Counter(station for _, station in self.rows)
        return [
            {
                "id": station,
                "name": self.names.get(station),
                "altitude_m": self._altitude(station),
                "days": days[station],
                "weight": round(days[station] / self.used, 4),
            }
            for station in sorted(days)
        ]

    def _altitude(self, station: str) -> float | None:
        altitudes = (self.rows[key][ALTITUDE].number for key in sorted(self.rows) if key[1] == station)
        return next((altitude for altitude in altitudes if altitude is not None), None)


def read(payloads: Sequence[Payload], month: Month, stations: Collection[str]) -> Reading:
    """The month's days of `stations`.

    Raises PermanentError for anything but a list of daily records, if all records are of other stations or other days,
    and for a file with mostly unreadable values.
    """
    reading, rows, station_ids = Reading(), list[tuple[DayOfStation, Row]](), set[str]()
    strange: list[object] = []
    for payload in payloads:
        for number, item in enumerate(records(payload), start=1):
            reading.received += 1
            reading.fields.update(item if isinstance(item, dict) else ())
            record = record_of(item, payload.name, number)
            if record is None:
                strange.append(item)
                continue
            station_ids.add(record.station)
            if record.station not in stations:
                reading.rejected["other_station"] += 1
            elif not month.first_day <= record.day <= month.last_day:
                reading.rejected["outside_month"] += 1
            else:
                rows.append(((record.day, record.station), record.cells))
                _remember_name(reading, record.station, record.name)
    if strange:
        reading.rejected["no_day_or_station"] = len(strange)
        if len(strange) > reading.received / 2:
            raise PermanentError(f"{len(strange)} records without `fecha` or `indicativo`: {str(strange[0])[:200]}")
    elsewhere = reading.rejected["other_station"] + reading.rejected["outside_month"]
    refuse_another_subject(stations, station_ids, reading.received, elsewhere)
    marked = {key for key, row in rows if is_accumulated(row)}
    single = without_accumulated(one_row_a_key(rows, reading.rejected), marked)
    reading.rows = {key: _with_pressure(row) for key, row in single.items()}
    refuse_spoilt_files(reading.rows.values())
    reading.nulled = count_nulled(reading.rows.values())
    reading.rejected = +reading.rejected
    return reading


def city_day(day: date, stations: Mapping[str, Row], timezone: str, source: str) -> dict[str, Any]:
    """The canonical row of a day: each value is the mean of the stations that have it."""
    values = {station: _values(row) for station, row in stations.items()}
    return {
        "date": day_bounds(day, timezone)[0],
        **{name: mean_of(values.values(), name) for name in COLUMNS},
        "source": source,
        "raw_data": {"stations": values, "precipitation_day": "07-07 UTC", "modelled": False},
    }


def _with_pressure(row: Row) -> Row:
    """The row with the pressure at sea level, where pressure, altitude and temperature are known."""
    extremes = [row[name].number for name in EXTREMES]
    altitude, temperature = row[ALTITUDE].number, row[MEANS["temperature"]].number
    known = [value for value in extremes if value is not None]
    if len(known) < len(extremes) or altitude is None or temperature is None:
        return row
    return {**row, "pressure": reduced_pressure(fmean(known), altitude, temperature, row[EXTREMES[0]])}


def _values(row: Row) -> dict[str, Any]:
    """A station's day in `raw_data`."""
    values: dict[str, Any] = {column: row[name].number for column, name in MEANS.items()}
    values["pressure"] = row["pressure"].number if "pressure" in row else None
    sunshine_h = row[SUNSHINE].number
    values["sunshine_duration"] = None if sunshine_h is None else round(sunshine_h * _MINUTES, 2)
    flag = _FLAGS.get(row[MEANS["precipitation"]].text)
    flags = [*([flag] if flag else []), *(["pressure_reduced"] if values["pressure"] is not None else [])]
    return {**values, **({"flags": flags} if flags else {})}


def _remember_name(reading: Reading, station: str, name: str | None) -> None:
    """Keep the alphabetically first spelling of a station's name, in any order of records."""
    if name is not None:
        reading.names[station] = min(name, reading.names.get(station, name))
