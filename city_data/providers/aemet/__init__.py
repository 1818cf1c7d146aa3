"""AEMET OpenData: Spain's daily climatology by station. https://opendata.aemet.es/dist/index.html

Belongs here: AEMET's two steps and its errors. Does not: HTTP, its records (records.py), or the city's day (days.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pydantic

from city_data import environment
from city_data.providers.aemet.days import COLUMNS, city_day, read
from city_data.providers.aemet.records import ENCODING, records
from city_data.providers.base import (
    Capabilities,
    Meaning,
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
    no_data,
)
from city_data.providers.http import HttpClient
from city_data.providers.transport.documents import begins_json, read_json
from city_data.providers.transport.response import (
    Response,
    accept_ok,
    names_limit,
    refuse_broken_json,
    refuse_firewall,
    too_many_calls,
)

BASE = "https://opendata.aemet.es/opendata/api/valores/climatologicos"
_EXPIRED_TRIES = 2


class AemetSettings(Settings):
    """`stations`: AEMET's `indicativo`s; the city's day is their mean."""

    stations: tuple[Annotated[str, pydantic.Field(pattern="^[0-9A-Z]{4,5}$")], ...] = pydantic.Field(
        min_length=1, description="a station's id of four or five characters, such as 3195 or 0201X"
    )


class _NoData(ProviderError):
    """One station has no data in the range, which is normal if another has."""


class _Expired(ProviderError):
    """The one-off address of step 2 is gone; step 1 gives a new one."""


class Aemet(Provider):
    name = "aemet"
    clock = "city"
    settings_model = AemetSettings
    capabilities = Capabilities(
        dataset="weather",
        columns=COLUMNS,
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
        key_variable=environment.AEMET_API_KEY.name,
        meanings=Meaning.of_weather(
            COLUMNS,
            area="the city's configured stations",
            per="station",
            method="each station's day, then the mean of the stations that have one",
        ),
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
                stations = ", ".join(_settings(request).stations)
                raise no_data(request, self.capabilities, f"no data from the stations {stations}")
            if self.is_without_values(request, payloads):
                raise no_data(request, self.capabilities, "no day has a value")
            return payloads

    def parse(self, request: Request, payloads: Sequence[Payload]) -> ParsedMonth:
        """The mean of the stations for every day that any of them has."""
        import pandas as pd

        with about(self.name, request):
            reading = read(payloads, request.month, _settings(request).stations)
            source, timezone = self.source(payloads), request.location.timezone
            rows = [city_day(day, stations, timezone, source) for day, stations in reading.days.items()]
            frame = pd.DataFrame(rows, columns=pd.Index(["date", *COLUMNS, "source", "raw_data"]))
            frame["date"] = pd.to_datetime(frame["date"], utc=True)
            return ParsedMonth(
                frame,
                received=reading.received,
                used=reading.used,
                fields=sorted(reading.fields),
                rejected=dict(reading.rejected),
                nulled=dict(reading.nulled),
                provenance={"stations": reading.stations, "unknown_fields": reading.unknown_fields},
            )

    def stations(self, settings: Settings) -> Sequence[str]:
        return settings.stations if isinstance(settings, AemetSettings) else ()

    def calls(self, settings: Settings) -> int:
        return 2 * len(settings.stations) if isinstance(settings, AemetSettings) else 2

    def check_connection(self, http: HttpClient) -> str:
        http.get(f"{BASE}/inventarioestaciones/todasestaciones", headers={"api_key": _key()}, accept=_judge)
        return "answers, and accepts the key"

    def _station(self, request: Request, http: HttpClient, into: Path, station: str, key: str) -> Payload:
        last = min(request.month.last_day, request.as_of.date())
        span = f"fechaini/{request.month.first_day}T00:00:00UTC/fechafin/{last}T23:59:59UTC"
        if last < request.month.first_day:
            raise NotYetPublished("the month has not begun")
        url = f"{BASE}/diarios/datos/{span}/estacion/{station}"
        for _ in range(_EXPIRED_TRIES):
            try:
                envelope = _json(http.get(url, headers={"api_key": key}, accept=_judge))
                address = envelope.get("datos") if isinstance(envelope, dict) else None
                if not isinstance(address, str):
                    raise PermanentError(f"station {station}: the envelope lacks `datos`: {str(envelope)[:200]}")
                response = http.get(address, accept=_judge)  # a one-off address, which needs no key
            except _Expired:
                continue
            path = into / f"{station}.json"
            path.write_bytes(response.body)
            payload = Payload(path.name, path, url, {"station": station}, "application/json", origin=response.origin)
            if not records(payload):
                raise _NoData(f"station {station}: an empty list")
            return payload
        raise TransientError(f"station {station}: the address of its data had expired {_EXPIRED_TRIES} times")


def _settings(request: Request) -> AemetSettings:
    if not isinstance(request.settings, AemetSettings):
        raise PermanentError(f"settings of another provider: {request.settings!r}")
    return request.settings


def _key() -> str:
    key = environment.AEMET_API_KEY.get()
    if not key:
        raise NotConfigured(
            "AEMET_API_KEY is not set; a key is free at https://opendata.aemet.es/centrodedescargas/altaUsuario"
        )
    return key


def _judge(response: Response) -> None:
    """AEMET reports errors by HTTP status, in the body of a 200, or only in headers; also as HTML or an empty body."""
    text = response.text(ENCODING).strip()
    error_body = _error_body(response.body)
    estado = error_body.get("estado") or response.headers.get("aemet_estado") or response.status
    code = int(estado) if re.fullmatch("[0-9]{3}", str(estado)) else response.status
    if response.status >= 400 and code < 400:
        code = response.status
    described = error_body.get("descripcion") or response.headers.get("aemet_mensaje")
    message = str(described or " ".join(text[:200].split()))
    refuse_firewall(response)
    if code in (401, 403) and not names_limit(message):
        raise PermanentError(f"the key was refused ({message}); check {environment.AEMET_API_KEY}")
    if code == 404:
        raise _outcome_of_404(message)
    if code in (401, 403, 429):
        raise too_many_calls(response, message)
    if code >= 400:
        accept_ok(Response(code, response.headers, response.url, message.encode("latin-1", "replace")))
    accept_ok(response)
    if not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if not begins_json(text):
        raise TransientError(f"{response.url} answered what is not JSON: {' '.join(text[:200].split())}")
    refuse_broken_json(response, ENCODING)


def _outcome_of_404(message: str) -> ProviderError:
    """AEMET uses 404 for three outcomes, which differ only in their text."""
    lowered = message.lower()
    if "expirad" in lowered:
        return _Expired(message)
    return _NoData(message) if "no hay datos" in lowered else PermanentError(f"refused the request (404): {message}")


def _error_body(body: bytes) -> Mapping[str, Any]:
    if not begins_json(body[:100].decode("latin-1"), "{"):
        return {}
    try:
        document = read_json(body, ENCODING)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _json(response: Response) -> Any:
    try:
        return read_json(response.body, ENCODING)
    except ValueError as error:
        raise TransientError(f"{response.url} answered broken JSON: {error}") from error
