"""Open-Meteo's archive: modelled hourly weather of any place. https://open-meteo.com/en/docs/historical-weather-api

Belongs here: its question, its answer and its errors. Does not: HTTP, or making days of hours (frames/daily.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from city_data.providers.base import (
    Capabilities,
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
from city_data.providers.shared.numbers import number
from city_data.providers.transport.documents import begins_json, read_json
from city_data.providers.transport.response import MINUTE, Response, accept_ok, retry_after
from city_data.window import Month

if TYPE_CHECKING:
    import pandas as pd

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
    capabilities = Capabilities(
        dataset="weather",
        columns=("temperature", "precipitation", "humidity", "wind_speed", "pressure", "description"),
        resolution="hourly",
        lag=timedelta(days=5),
        # Recent days are first filled from forecasts, and change when the reanalysis arrives.
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
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload: the UTC days that hold the local month, and one hour more, since rain is told after it fell."""
        with about(self.name, request):
            start, end = request.month.bounds(request.place.timezone)
            last = min((end + _HOUR).date(), request.as_of.astimezone(UTC).date())
            if last < start.date() or request.as_of <= start:
                raise NotYetPublished("the month has not begun")
            params = {
                "latitude": str(request.place.latitude),
                "longitude": str(request.place.longitude),
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
                raise no_data(request, self.capabilities, "not a value of the month is there")
            return [payload]

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The hours of the local month that have any value; a hole in the archive is no row.

        A row received is an hour of the time axis. The hours around the local month count as rejected, though the last
        one's rain is that of the month's last hour.
        """
        import pandas as pd

        with about(self.name, request):
            nulled: Counter[str] = Counter()
            (payload,) = payloads
            document = _document(payload)
            received, hours = len(document["hourly"]["time"]), _hours(document, nulled)
            start, end = request.month.bounds(request.place.timezone)
            inside = hours[(hours["date"] >= start) & (hours["date"] < end)]
            frame = inside[inside.drop(columns="date").notna().any(axis=1)].reset_index(drop=True)
            rejected = {
                "duplicate": received - len(hours),
                "outside_month": len(hours) - len(inside),
                "no_value": len(inside) - len(frame),
            }
            frame["source"] = self.source(payloads)
            frame["raw_data"] = pd.Series([{"modelled": True} for _ in range(len(frame))], dtype=object)
            cell = {key: document.get(key) for key in ("latitude", "longitude", "elevation")}
            unknown = sorted(document["hourly"].keys() - _UNITS.keys() - {"time"})
            return ParsedMonth(
                frame,
                received=received,
                used=len(frame),
                fields=sorted(document["hourly"]),
                rejected={reason: rows for reason, rows in rejected.items() if rows},
                nulled=dict(nulled),
                provenance={"grid_cell": cell, "unknown_fields": unknown},
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
        raise TransientError(f"too many calls (429): {text[:200]}", retry_after(response.headers, MINUTE))
    accept_ok(response)
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not begins_json(text):
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")


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
            raise PermanentError(f"{name} is no list of a value for each of the {len(hourly['time'])} hours")


def _hours(document: Mapping[str, Any], nulled: Counter[str]) -> pd.DataFrame:
    """One row an hour, stamped with its start: rain is stated for the hour before its stamp, the rest at its stamp."""
    import pandas as pd

    hourly = document["hourly"]
    stamps = [_stamp(text) for text in hourly["time"]]
    first: dict[datetime, int] = {}
    for position, stamp in enumerate(stamps):
        first.setdefault(stamp, position)
    rows = []
    for stamp, position in first.items():
        row: dict[str, Any] = {"date": stamp}
        for name, variable in _COLUMNS.items():
            at = first.get(stamp + _HOUR) if name == "precipitation" else position
            row[name] = None if at is None else number(hourly[variable][at], name, nulled)
        code = hourly["weather_code"][position]
        row["description"] = _WORDS.get(code) if isinstance(code, int) else None
        rows.append(row)
    frame = pd.DataFrame(rows, columns=pd.Index(["date", *_COLUMNS, "description"]))
    frame["date"] = pd.to_datetime(frame["date"], utc=True)
    return frame.sort_values("date", ignore_index=True)


def _stamp(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
    except ValueError as error:
        raise PermanentError(f"{text!r} is no time") from error
