"""Open-Meteo's forecasts by hour and days of lead, from its two answers: lists of hours, rain told an hour late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from city_data_tests.oracles.open_meteo import moment_of
from city_data_tests.oracles.plain import HOUR, CannotTell, bounds, grouped, json_of, midnight, number

VARIABLES = {
    "temperature_2m": "temperature",
    "precipitation": "precipitation",
    "relative_humidity_2m": "humidity",
    "wind_speed_10m": "wind_speed",
    "pressure_msl": "pressure",
    "cloud_cover": "cloud_cover",
}
LEADS = range(1, 8)
Hours = Mapping[datetime, Mapping[str, float | None]]


def month(payloads: Sequence[bytes], request: Any) -> dict[tuple[datetime, int], dict[str, float | None]]:
    """A row for each hour of the month and each lead that its day has been forecast with."""
    ahead = [body for body in payloads if getattr(body, "name", "") == "forecast.json"]
    by_lead = _hours([body for body in payloads if body not in ahead], [f"_previous_day{lead}" for lead in LEADS])
    newest = _hours(ahead, [""])
    first, end = bounds(request)
    zone = ZoneInfo(request.location.timezone)
    made = {}
    for hour in by_lead.keys() | newest.keys():
        if not first <= hour < end:
            continue
        for lead in LEADS:
            issued = hour - timedelta(hours=24 * lead)
            day = hour.astimezone(zone).date() - timedelta(days=lead)
            if midnight(day, request.location.timezone) > request.as_of:
                continue  # nobody can have asked yet on the day that the lead is counted from
            mark, hours = (f"_previous_day{lead}", by_lead) if issued < request.as_of else ("", newest)
            row = {column: _told(hours, hour, name + mark) for name, column in VARIABLES.items()}
            if any(value is not None for value in row.values()):
                made[hour, lead] = row
    return made


def _told(hours: Hours, hour: datetime, name: str) -> float | None:
    return hours.get(hour + HOUR if name.startswith("precipitation") else hour, {}).get(name)


def _hours(bodies: Sequence[bytes], marks: Sequence[str]) -> Hours:
    rows = []
    names = {name + mark: column for name, column in VARIABLES.items() for mark in marks}
    for body in bodies:
        document = json_of(body, "utf-8-sig")
        if isinstance(document, list) and len(document) == 1:
            document = document[0]
        try:
            hourly = document["hourly"]
            lists = [hourly["time"], *(hourly[name] for name in names)]
        except (TypeError, KeyError) as error:
            raise CannotTell(f"no hourly block: {error}") from error
        if not all(isinstance(values, list) and len(values) == len(lists[0]) for values in lists):
            raise CannotTell("lists of several lengths")
        for text, *cells in zip(*lists, strict=True):
            row = {name: number(v, ".", names[name]) for name, v in zip(names, cells, strict=True)}
            rows.append((moment_of(text), row))
    return grouped((moment, row) for moment, row in rows if moment.minute == moment.second == 0)
