"""Open-Meteo's archive: modelled hourly weather of any place. https://open-meteo.com/en/docs/historical-weather-api

Belongs here: its request, its answer and its errors. Does not: HTTP, or hours to days (frames/daily.py).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from city_data.providers.base import (
    Capabilities,
    Meaning,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    Quota,
    RateLimit,
    Request,
    TransientError,
    about,
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.shared.cells import Cell, Field, Row, count_nulled, refuse_spoilt_files
from city_data.providers.shared.duplicates import one_row_a_key
from city_data.providers.shared.numbers import JSON_NUMBERS, NotANumber
from city_data.providers.transport.documents import begins_json, read_json
from city_data.providers.transport.response import (
    Response,
    accept_ok,
    refuse_broken_json,
    too_many_calls,
)
from city_data.window import Month

COLUMNS = ("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description")
URL = "https://archive-api.open-meteo.com/v1/archive"
_HOUR = timedelta(hours=1)
_UNITS = {
    "temperature_2m": "°C",
    "precipitation": "mm",
    "relative_humidity_2m": "%",
    "wind_speed_10m": "m/s",
    "pressure_msl": "hPa",
    "weather_code": "wmo code",
}
_COLUMNS = {
    "temperature": "temperature_2m",
    "precipitation": "precipitation",
    "humidity": "relative_humidity_2m",
    "wind_speed": "wind_speed_10m",
    "pressure": "pressure_msl",
}
_RAIN = _COLUMNS["precipitation"]
_CODE = Field("weather_code", JSON_NUMBERS, 0, math.inf)
_FIELDS = (*(Field.of_weather(column, name, JSON_NUMBERS) for column, name in _COLUMNS.items()), _CODE)
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?")
# Degrees. ERA5's cells, the coarsest, are a quarter wide; near a shore the cell may be the neighbour on land.
_CELL = 0.375
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
        # A call counts by its size: six variables of ten, 33 days of fourteen.
        rate_limit=RateLimit(
            calls=600, seconds=60, spacing=0.2, weight=1.5, quotas=(Quota(5_000, 3_600), Quota(10_000, 86_400))
        ),
        licence="Weather data by Open-Meteo.com (CC BY 4.0; the free service is for non-commercial use)",
        licence_url="https://open-meteo.com/en/licence",
        modelled=True,
        hosts=("archive-api.open-meteo.com",),
        meanings=Meaning.of_weather(
            COLUMNS,
            area="the model's grid cell of the city's centre",
            per="grid cell",
            method="Open-Meteo's archive, its rain moved to the hour it fell",
        ),
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the UTC days of the local month, and one hour more, since rain is reported after it fell."""
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
            response = http.get(URL, params=params, accept=_judge)
            path = into / "archive.json"
            path.write_bytes(response.body)
            payload = Payload(path.name, path, URL, params, "application/json", origin=response.origin)
            if self._count(payload, request) == 0:
                raise no_data(request, self.capabilities, "no value of the month is available")
            return [payload]

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The hours of the local month that have any value; an hour without one is left out.

        A row received is an hour of the time axis. The hours around the local month count as rejected, though the
        last one has the rain of the month's last hour.
        """
        import pandas as pd

        with about(self.name, request):
            documents = [(payload.name, _document(payload)) for payload in payloads]
            for name, document in documents:
                _check_location(name, document, request)
            bounds = request.month.bounds(request.location.timezone)
            rejected: Counter[str] = Counter()
            hours, received = (
                _hours(documents, rejected),
                sum(len(document["hourly"]["time"]) for _, document in documents),
            )
            inside = {hour: _used(hour, hours) for hour in sorted(hours) if bounds[0] <= hour < bounds[1]}
            if received and not inside:
                stamps = [str(stamp) for _, document in documents for stamp in document["hourly"]["time"]]
                raise PermanentError(f"no stamp is an hour of the month; they are {min(stamps)} to {max(stamps)}")
            refuse_spoilt_files(inside.values())
            used = {hour: row for hour, row in inside.items() if any(cell.value is not None for cell in row.values())}
            rejected += Counter(outside_month=len(hours) - len(inside), no_value=len(inside) - len(used))
            rows = [{"date": hour, **_values(row)} for hour, row in used.items()]
            frame = pd.DataFrame(rows, columns=pd.Index(["date", *_COLUMNS, "description"]))
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
                    "grid_cell": _grid_cell(documents[0][1]) if documents else {},
                    "unknown_fields": [field for field in fields if field not in (*_UNITS, "time")],
                },
            )

    def check_connection(self, http: HttpClient) -> str:
        day = {"latitude": "40.4", "longitude": "-3.7", "start_date": "2024-01-01", "end_date": "2024-01-01"}
        http.get(URL, params={**day, "hourly": "temperature_2m", "timezone": "GMT"}, accept=_judge)
        return "answers, no key needed"

    def _count(self, payload: Payload, request: Request) -> int:
        return len(self.parse(request, [payload]).frame)


def _judge(response: Response) -> None:
    """Errors are `{"error": true, "reason": ...}` with 400 or 429, and no Retry-After."""
    text = response.text("latin-1").strip()
    if response.status == 429:
        raise too_many_calls(response, text)
    accept_ok(response)
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not begins_json(text):
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")
    refuse_broken_json(response)


def _document(payload: Payload) -> Mapping[str, Any]:
    try:
        document = read_json(payload.path.read_bytes())
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}") from error
    if isinstance(document, list):
        if len(document) != 1:
            raise PermanentError(f"{payload.name} holds {len(document)} locations, not one")
        document = document[0]
    if not isinstance(document, dict) or document.get("error"):
        raise PermanentError(f"{payload.name} holds an error: {str(document)[:200]}")
    _check_shape(document)
    return document


def _check_shape(document: Mapping[str, Any]) -> None:
    hourly, units = document.get("hourly"), document.get("hourly_units")
    if not isinstance(hourly, dict) or not isinstance(units, dict) or not isinstance(hourly.get("time"), list):
        raise PermanentError("the answer has no hourly block with times")
    if document.get("utc_offset_seconds") != 0:
        raise PermanentError(f"the answer is not in GMT but {document.get('utc_offset_seconds')} s from it")
    for name, unit in _UNITS.items():
        if name not in hourly:
            raise PermanentError(f"the answer lacks {name}; it has {', '.join(hourly)}")
        if units.get(name) != unit:
            raise PermanentError(f"{name} is in {units.get(name)!r}, not {unit!r}")
        if not isinstance(hourly[name], list) or len(hourly[name]) != len(hourly["time"]):
            raise PermanentError(f"{name} is not a list of one value for each of the {len(hourly['time'])} hours")


def _check_location(name: str, document: Mapping[str, Any], request: Request) -> None:
    """Raises PermanentError if the answer is not for the location's grid cell or a neighbour of it."""
    cell, location = _grid_cell(document), request.location
    north, east = cell["latitude"], cell["longitude"]
    if north is None or east is None:
        raise PermanentError(f"{name} does not name the location that it is about")
    apart = abs((east - location.longitude + 180) % 360 - 180) * math.cos(math.radians(location.latitude))
    if abs(north - location.latitude) > _CELL or apart > _CELL:
        raise PermanentError(
            f"{name} is about latitude {north}, longitude {east}, not about {location.latitude}, {location.longitude}"
        )


def _grid_cell(document: Mapping[str, Any]) -> dict[str, float | None]:
    cell: dict[str, float | None] = {}
    for key in ("latitude", "longitude", "elevation"):
        try:
            cell[key] = JSON_NUMBERS.parse(document.get(key))
        except NotANumber:
            cell[key] = None
    return cell


def _hours(documents: Sequence[tuple[str, Mapping[str, Any]]], rejected: Counter[str]) -> dict[datetime, Row]:
    """One row an hour, by its stamp."""
    rows: list[tuple[datetime, Row]] = []
    for name, document in documents:
        hourly = document["hourly"]
        for position, text in enumerate(hourly["time"]):
            stamp = _stamp(text)
            if stamp.minute or stamp.second:
                rejected["off_the_hour"] += 1
                continue
            cells = {field.name: field.read(hourly[field.name][position], name, position + 1) for field in _FIELDS}
            rows.append((stamp, {**cells, _CODE.name: _known_code(cells[_CODE.name])}))
    return one_row_a_key(rows, rejected)


def _used(hour: datetime, hours: Mapping[datetime, Row]) -> Row:
    """The hour's cells: rain comes from the next stamp, since it is the sum of the hour before, the rest from its
    own."""
    following = hours.get(hour + _HOUR)
    row = {name: cell for name, cell in hours[hour].items() if name != _RAIN}
    return row if following is None else {**row, _RAIN: following[_RAIN]}


def _values(row: Row) -> dict[str, Any]:
    code = row[_CODE.name].number
    numbers = {column: row[name].number if name in row else None for column, name in _COLUMNS.items()}
    return {**numbers, "description": None if code is None else _WORDS[int(code)]}


def _known_code(cell: Cell) -> Cell:
    return cell if cell.number is None or cell.number in _WORDS else replace(cell, value=None, reason="unknown_code")


def _stamp(text: object) -> datetime:
    """A stamp of the time axis. GMT was requested, so another offset contradicts the answer itself."""
    try:
        stamp = datetime.fromisoformat(str(text)) if _ISO.fullmatch(str(text)) else None
    except ValueError:
        stamp = None
    if stamp is None:
        raise PermanentError(f"{text!r} is not a time")
    if stamp.utcoffset():
        raise PermanentError(f"the stamp {text!r} is not in GMT")
    return stamp.replace(tzinfo=UTC)
