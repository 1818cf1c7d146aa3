"""AEMET OpenData: Spain's daily climatology by station. https://opendata.aemet.es/dist/index.html

Belongs here: AEMET's two steps, its errors, its strings, and how stations become one city's day. Does not: HTTP.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pydantic

from city_data.providers.base import (
    Capabilities,
    NotAvailable,
    NotConfigured,
    NotYetPublished,
    ParsedMonth,
    Payload,
    PermanentError,
    Provider,
    ProviderError,
    RateLimit,
    Request,
    Settings,
    TransientError,
    about,
)
from city_data.providers.http import HttpClient, Response, accept_ok, retry_after
from city_data.window import day_bounds

BASE = "https://opendata.aemet.es/opendata/api/valores/climatologicos"
ENCODING = "iso-8859-15"
# A month with no data is awaited this long after the lag before it is called missing for good.
GRACE = timedelta(days=30)
_NUMBER = re.compile(r"[+-]?\d+(?:,\d+)?")
_EXPIRED_TRIES = 2
_KNOWN_FIELDS = {
    "fecha", "indicativo", "nombre", "provincia", "altitud", "tmed", "prec", "tmin", "horatmin", "tmax", "horatmax",
    "dir", "velmedia", "racha", "horaracha", "sol", "presMax", "horaPresMax", "presMin", "horaPresMin", "hrMedia",
    "hrMax", "horaHrMax", "hrMin", "horaHrMin", "pintMax", "horaPIntMax",
}  # fmt: skip
_TRACE, _ACCUMULATED = "Ip", "Acum"
_COLUMNS = {"temperature": "tmed", "humidity": "hrMedia", "wind_speed": "velmedia"}


class AemetSettings(Settings):
    """`stations`: AEMET's `indicativo`s, whose means make the city's day."""

    stations: tuple[str, ...] = pydantic.Field(min_length=1)


class _NoData(ProviderError):
    """One station has nothing in the range: normal while another has."""


class _Expired(ProviderError):
    """The one-off address of step 2 is gone; step 1 gives a new one."""


@dataclass
class _Reading:
    """What parsing counts beside the values."""

    rejected: Counter[str] = field(default_factory=Counter)
    unknown_fields: set[str] = field(default_factory=set)


class Aemet(Provider):
    name = "aemet"
    settings_model = AemetSettings
    capabilities = Capabilities(
        dataset="weather",
        columns=("temperature", "precipitation", "humidity", "wind_speed", "pressure"),
        resolution="daily",
        lag=timedelta(days=5),
        # Late stations and corrected days were seen for weeks after the first values.
        settling=timedelta(days=25),
        earliest=None,
        rate_limit=RateLimit(calls=40, seconds=60),
        licence="© AEMET. Autorizado el uso de la información y su reproducción citando a AEMET como autora de la "
        "misma.",
        licence_url="https://www.aemet.es/es/nota_legal",
        modelled=False,
        hosts=("opendata.aemet.es",),
        key_variable="AEMET_API_KEY",
    )

    def fetch(self, request: Request, http: HttpClient, into: Path) -> Sequence[Payload]:
        """One payload a station that has data: its days as AEMET's JSON list, ISO-8859-15."""
        with about(self.name, request):
            key = _key()
            payloads = []
            for station in _settings(request).stations:
                try:
                    payloads.append(self._station(request, http, into, station, key))
                except _NoData:
                    continue
            if not payloads:
                raise self._nothing(request)
            return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The stations' mean of every day that any of them has."""
        import pandas as pd

        with about(self.name, request):
            reading = _Reading()
            days: dict[date, dict[str, dict[str, Any]]] = {}
            for payload in payloads:
                for record in _records(payload):
                    _collect(record, request, days, reading)
            source = f"{payloads[0].origin}:{self.name}" if payloads[0].origin else self.name
            rows = [_city_day(day, stations, request, source) for day, stations in sorted(days.items())]
            columns = ["date", *self.capabilities.columns, "source", "raw_data"]
            frame = pd.DataFrame(rows, columns=pd.Index(columns))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            provenance = {
                "stations": sorted({station for stations in days.values() for station in stations}),
                "unknown_fields": sorted(reading.unknown_fields),
            }
            return ParsedMonth(frame, dict(reading.rejected), provenance)

    def check_connection(self, http: HttpClient) -> str:
        http.get(f"{BASE}/inventarioestaciones/todasestaciones", headers={"api_key": _key()}, accept=_judge)
        return "answers, and takes the key"

    def _station(self, request: Request, http: HttpClient, into: Path, station: str, key: str) -> Payload:
        last = min(request.month.last_day, request.as_of.date())
        span = f"fechaini/{request.month.first_day}T00:00:00UTC/fechafin/{last}T23:59:59UTC"
        if last < request.month.first_day:
            raise NotYetPublished("the month has not begun")
        url = f"{BASE}/diarios/datos/{span}/estacion/{station}"
        for _ in range(_EXPIRED_TRIES):
            envelope = _json(http.get(url, headers={"api_key": key}, accept=_judge))
            address = envelope.get("datos") if isinstance(envelope, dict) else None
            if not isinstance(address, str):
                raise PermanentError(f"station {station}: the envelope has no `datos` address: {str(envelope)[:200]}")
            try:
                response = http.get(address, accept=_judge)  # a one-off address, asked for without the key
            except _Expired:
                continue
            path = into / f"{station}.json"
            path.write_bytes(response.body)
            return Payload(path.name, path, url, {"station": station}, "application/json", origin=response.origin)
        raise TransientError(f"station {station}: the address of its data had expired {_EXPIRED_TRIES} times")

    def _nothing(self, request: Request) -> ProviderError:
        stations = ", ".join(_settings(request).stations)
        awaited_until = request.month.bounds(request.place.timezone)[1] + self.capabilities.lag + GRACE
        if request.as_of < awaited_until:
            return NotYetPublished(f"no data yet from the stations {stations}")
        return NotAvailable(f"no data from the stations {stations}")


def _settings(request: Request) -> AemetSettings:
    if not isinstance(request.settings, AemetSettings):
        raise PermanentError(f"settings of another provider: {request.settings!r}")
    return request.settings


def _key() -> str:
    key = os.environ.get("AEMET_API_KEY", "").strip()
    if not key:
        raise NotConfigured(
            "AEMET_API_KEY is not set; a key is free at https://opendata.aemet.es/centrodedescargas/altaUsuario"
        )
    return key


def _judge(response: Response) -> None:
    """AEMET tells errors by HTTP status, in the body of a 200, or in headers alone; also by HTML or by nothing."""
    text = response.text(ENCODING).strip()
    told = _error_body(text)
    estado = told.get("estado") or response.headers.get("aemet_estado") or response.status
    code = int(estado) if str(estado).isdigit() else response.status
    if response.status >= 400 and code < 400:
        code = response.status
    said = str(told.get("descripcion") or response.headers.get("aemet_mensaje") or " ".join(text[:200].split()))
    if code in (401, 403):
        raise PermanentError(f"the key was refused ({said}); check AEMET_API_KEY")
    if code == 404:
        raise _not_found(said)
    if code == 429:
        raise TransientError(f"too many calls (429): {said}", retry_after(response.headers))
    if code >= 400:
        accept_ok(Response(code, response.headers, response.url, said.encode("latin-1", "replace")))
    accept_ok(response)
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if text[0] not in "[{":
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")


def _not_found(said: str) -> ProviderError:
    """One code for three things; only the words tell them apart."""
    lowered = said.lower()
    if "expirad" in lowered:
        return _Expired(said)
    return _NoData(said) if "no hay datos" in lowered else PermanentError(f"refused the question (404): {said}")


def _error_body(text: str) -> Mapping[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _json(response: Response) -> Any:
    try:
        return json.loads(response.text(ENCODING))
    except ValueError as error:
        raise TransientError(f"{response.url} answered broken JSON: {error}") from error


def _records(payload: Payload) -> Iterable[Mapping[str, Any]]:
    """The wire is ISO-8859-15; copies saved by others are UTF-8, which is told by being valid UTF-8."""
    body = payload.path.read_bytes()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode(ENCODING)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PermanentError(f"{payload.name} is not JSON: {error}; it begins {text[:60]!r}") from error
    if not isinstance(document, list) or not all(isinstance(record, dict) for record in document):
        raise PermanentError(f"{payload.name} is not a list of days: {text[:200]!r}")
    return document


def _collect(
    record: Mapping[str, Any], request: Request, days: dict[date, dict[str, dict[str, Any]]], reading: _Reading
) -> None:
    reading.unknown_fields.update(record.keys() - _KNOWN_FIELDS)
    try:
        day, station = date.fromisoformat(str(record["fecha"])), str(record["indicativo"])
    except (KeyError, ValueError) as error:
        raise PermanentError(f"a record without `fecha` or `indicativo`: {str(record)[:200]}") from error
    if not request.month.first_day <= day <= request.month.last_day:
        reading.rejected["outside_month"] += 1
    elif station in days.get(day, {}):
        reading.rejected["duplicate"] += 1
    else:
        days.setdefault(day, {})[station] = _station_day(record, reading)


def _station_day(record: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: number(record.get(key), reading.rejected, key, negative=name == "temperature")
        for name, key in _COLUMNS.items()
    }
    flags = []
    rain = record.get("prec")
    if rain == _TRACE:
        values["precipitation"] = 0.0  # under 0.1 mm, which the flag tells
        flags.append("trace_precipitation")
    elif rain == _ACCUMULATED:
        values["precipitation"] = None  # fell on this day, measured with a later one
        flags.append("accumulated_precipitation")
    else:
        values["precipitation"] = number(rain, reading.rejected, "prec")
    extremes = [number(record.get(key), reading.rejected, key) for key in ("presMax", "presMin")]
    altitude = number(record.get("altitud"), reading.rejected, "altitud", negative=True)
    values["pressure"] = None
    if None not in (*extremes, altitude, values["temperature"]):
        at_station = fmean(value for value in extremes if value is not None)
        values["pressure"] = round(sea_level_pressure(at_station, float(altitude or 0), values["temperature"]), 2)
        flags.append("pressure_reduced")
    return {**values, **({"flags": flags} if flags else {})}


def number(text: object, rejected: Counter[str], key: str, negative: bool = False) -> float | None:
    """AEMET's number, a string with a decimal comma; None where the key is absent or the text is none (counted)."""
    if text is None:
        return None
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()):
        rejected[f"not_a_number:{key}"] += 1
        return None
    value = float(text.strip().replace(",", "."))
    if value < 0 and not negative:
        rejected[f"negative:{key}"] += 1
        return None
    return value


def sea_level_pressure(pressure: float, altitude: float, temperature: float) -> float:
    """Pressure (hPa) reduced from `altitude` (m) to mean sea level by the hydrostatic equation with the mean
    temperature of the air column (°C at the station, 6.5 K a km below it): WMO-No. 8, I.3.7."""
    column = temperature + 273.15 + 0.0065 * altitude / 2
    return pressure * math.exp(9.80665 * altitude / (287.05 * column))


def _city_day(day: date, stations: dict[str, dict[str, Any]], request: Request, source: str) -> dict[str, Any]:
    def mean(name: str) -> float | None:
        values = [reading[name] for reading in stations.values() if reading[name] is not None]
        return fmean(values) if values else None

    return {
        "date": day_bounds(day, request.place.timezone)[0],
        **{name: mean(name) for name in Aemet.capabilities.columns},
        "source": source,
        "raw_data": {
            "stations": {name: stations[name] for name in sorted(stations)},
            "precipitation_day": "07-07 UTC",
            "modelled": False,
        },
    }
