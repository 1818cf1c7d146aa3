"""Open-Meteo's archive: modelled hourly weather of any place. https://open-meteo.com/en/docs/historical-weather-api

Belongs here: its request, its answer and its errors. Does not: HTTP, or hours to days (frames/daily.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from city_data.datasets import WEATHER
from city_data.providers.base import (
    Capabilities,
    Meaning,
    NotYetPublished,
    ParsedMonth,
    Payload,
    Provider,
    Quota,
    RateLimit,
    Request,
    about,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared.cells import Cell, Field, Row, count_nulled, refuse_spoilt_files
from city_data.providers.shared.numbers import JSON_NUMBERS
from city_data.providers.shared.open_meteo_answers import (
    check_axis,
    check_location,
    check_period,
    grid_cell,
    hour_rows,
    judge,
    read_document,
    sums_moved,
)
from city_data.window import Month

URL = "https://archive-api.open-meteo.com/v1/archive"
_HOUR = timedelta(hours=1)
# Requested since a later release; answers that were archived before lack them.
_ADDED = {"sunshine_duration": "s", "cloud_cover": "%", "wind_gusts_10m": "m/s", "snowfall": "cm"}
_UNITS = {
    "temperature_2m": "°C",
    "precipitation": "mm",
    "relative_humidity_2m": "%",
    "wind_speed_10m": "m/s",
    "pressure_msl": "hPa",
    "weather_code": "wmo code",
    **_ADDED,
}
_COLUMNS = {
    "temperature": "temperature_2m",
    "precipitation": "precipitation",
    "humidity": "relative_humidity_2m",
    "wind_speed": "wind_speed_10m",
    "pressure": "pressure_msl",
    "cloud_cover": "cloud_cover",
    "wind_gust": "wind_gusts_10m",
    "snowfall": "snowfall",
}
COLUMNS = tuple(name for name in WEATHER.column_names if name in {*_COLUMNS, "description", "sunshine_duration"})
# Sums of the hour before the stamp; the rest are values at the stamp.
_SUMS = frozenset({"precipitation", "sunshine_duration", "snowfall"})
_SUNSHINE, _SECONDS = Field("sunshine_duration", JSON_NUMBERS, 0, 3600), 60  # of a minute
_CODE = Field("weather_code", JSON_NUMBERS, 0, math.inf)
_FIELDS = (*(Field.of_weather(column, name, JSON_NUMBERS) for column, name in _COLUMNS.items()), _SUNSHINE, _CODE)
# WMO code table 4677, as far as Open-Meteo uses it.
_WORDS = {
    0: "clear sky", 1: "mainly clear", 2: "partly cloudy", 3: "overcast", 45: "fog", 48: "depositing rime fog",
    51: "light drizzle", 53: "moderate drizzle", 55: "dense drizzle", 56: "light freezing drizzle",
    57: "dense freezing drizzle", 61: "slight rain", 63: "moderate rain", 65: "heavy rain", 66: "light freezing rain",
    67: "heavy freezing rain", 71: "slight snow", 73: "moderate snow", 75: "heavy snow", 77: "snow grains",
    80: "slight rain showers", 81: "moderate rain showers", 82: "violent rain showers", 85: "slight snow showers",
    86: "heavy snow showers", 95: "thunderstorm", 96: "thunderstorm with slight hail",
    99: "thunderstorm with heavy hail",
}  # fmt: skip


class OpenMeteo(Provider):
    name = "open_meteo"
    clock = "UTC's days"
    capabilities = Capabilities(
        dataset="weather",
        columns=COLUMNS,
        resolution="hourly",
        lag=timedelta(days=5),
        # Recent days are forecasts at first, and change when the reanalysis arrives.
        settling=timedelta(days=25),
        earliest=Month(1940, 1),
        # A call counts by its size: ten variables of ten, 33 days of fourteen.
        rate_limit=RateLimit(
            calls=600, seconds=60, spacing=0.2, weight=2.5, quotas=(Quota(5_000, 3_600), Quota(10_000, 86_400))
        ),
        licence="Weather data by Open-Meteo.com (CC BY 4.0; the free service is for non-commercial use)",
        licence_url="https://open-meteo.com/en/licence",
        modelled=True,
        hosts=("archive-api.open-meteo.com",),
        meanings=Meaning.of_weather(
            COLUMNS,
            area="the model's grid cell of the city's centre",
            per="grid cell",
            method="Open-Meteo's archive, its sums moved to their own hour",
        ),
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the UTC days of the local month, and one hour more, since sums are reported after their hour."""
        with about(self.name, request):
            start, end = request.month.bounds(request.location.timezone)
            last = min((end + _HOUR).date(), request.as_of.astimezone(UTC).date())
            if last < start.date() or request.as_of <= start:
                raise NotYetPublished("the month has not begun")
            params = {
                "latitude": str(request.location.latitude),
                "longitude": str(request.location.longitude),
                "start_date": str(start.date()),
                "end_date": str(last),
                "hourly": ",".join(_UNITS),
                "wind_speed_unit": "ms",
                # Any other zone would get the offset of today for all of history.
                "timezone": "GMT",
            }
            response = http.get(URL, params=params, accept=judge)
            path = into / "archive.json"
            path.write_bytes(response.body)
            payload = Payload(path.name, path, URL, params, "application/json", origin=response.origin)
            if self._count(payload, request) == 0:
                raise no_data(request, self.capabilities, "no value of the month is available")
            return [payload]

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The hours of the local month that have any value; an hour without one is left out.

        A row received is an hour of the time axis. The hours around the local month count as rejected, though the
        last one has the sums of the month's last hour.
        """
        import pandas as pd

        with about(self.name, request):
            documents = [(payload.name, read_document(payload, _UNITS, _ADDED)) for payload in payloads]
            for payload, (name, document) in zip(payloads, documents, strict=True):
                check_location(name, document, request)
                check_axis(payload, document)
            bounds = request.month.bounds(request.location.timezone)
            rejected: Counter[str] = Counter()
            hours, received = (
                sums_moved(hour_rows(documents, _cells, rejected), _SUMS),
                sum(len(document["hourly"]["time"]) for _, document in documents),
            )
            inside = {hour: hours[hour] for hour in sorted(hours) if bounds[0] <= hour < bounds[1]}
            check_period(hours, received, *bounds)
            refuse_spoilt_files(inside.values())
            used = {hour: row for hour, row in inside.items() if any(cell.value is not None for cell in row.values())}
            rejected += Counter(outside_month=len(hours) - len(inside), no_value=len(inside) - len(used))
            rows = [{"date": hour, **_values(row)} for hour, row in used.items()]
            frame = pd.DataFrame(rows, columns=pd.Index(["date", *COLUMNS]))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            frame["source"] = self.source(payloads)
            frame["raw_data"] = pd.Series([{"modelled": True} for _ in range(len(frame))], dtype=object)
            fields = sorted({field for _, document in documents for field in document["hourly"]})
            return ParsedMonth(
                frame,
                received=received,
                used=len(used),
                fields=fields,
                rejected=dict(rejected),
                nulled=dict(count_nulled(used.values())),
                provenance={
                    "grid_cell": grid_cell(documents[0][1]) if documents else {},
                    "unknown_fields": [field for field in fields if field not in (*_UNITS, "time")],
                },
            )

    def check_connection(self, http: HttpClient) -> str:
        day = {"latitude": "40.4", "longitude": "-3.7", "start_date": "2024-01-01", "end_date": "2024-01-01"}
        http.get(URL, params={**day, "hourly": "temperature_2m", "timezone": "GMT"}, accept=judge)
        return "answers, no key needed"

    def _count(self, payload: Payload, request: Request) -> int:
        return len(self.parse(request, [payload]).frame)


def _cells(hourly: Mapping[str, Any], file: str, position: int) -> Row:
    present = [field for field in _FIELDS if field.name in hourly]
    cells = {field.name: field.read(hourly[field.name][position], file, position + 1) for field in present}
    return {**cells, _CODE.name: _known_code(cells[_CODE.name])}


def _values(row: Row) -> dict[str, Any]:
    code = row[_CODE.name].number
    numbers = {column: row[name].number if name in row else None for column, name in _COLUMNS.items()}
    seconds = row[_SUNSHINE.name].number if _SUNSHINE.name in row else None
    sunshine = None if seconds is None else seconds / _SECONDS
    return {**numbers, "sunshine_duration": sunshine, "description": None if code is None else _WORDS[int(code)]}


def _known_code(cell: Cell) -> Cell:
    return cell if cell.number is None or cell.number in _WORDS else replace(cell, value=None, reason="unknown_code")
