"""The wire of opendata.aemet.es: a key, two steps, ISO-8859-15, and errors that hide in the body of a 200.

Belongs here: routes, bodies, the lag. Does not: stations and their days (aemet_series.py).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from datetime import date, datetime, timedelta
from itertools import count

from fastapi import APIRouter, Request
from fastapi.responses import Response

from city_data import environment
from city_data.sandbox.aemet_series import STATIONS, daily_records, revised
from city_data.sandbox.base import Setting, Source
from city_data.window import Month

HOST = "opendata.aemet.es"
ENCODING = "iso-8859-15"
_LAG = timedelta(days=4)
_API = f"/{HOST}/opendata/api/valores/climatologicos"
_LONGEST, _LONGEST_EVERYWHERE = timedelta(days=184), timedelta(days=15)
_KEPT_TOKENS = 2_000
_NO_DATA = "No hay datos que satisfagan esos criterios"
_METADATA = {
    "unidad_generadora": "Servicio del Banco Nacional de Datos Climatológicos",
    "periodicidad": "1 vez al día, con un retardo de 4 días",
    "formato": "application/json",
    "copyright": "© AEMET. Autorizado el uso de la información y su reproducción citando a AEMET como autora "
    "de la misma.",
    "notaLegal": "https://www.aemet.es/es/nota_legal",
}


class Aemet(Source):
    """Without a configured key, any key that is not blank is accepted."""

    hosts = (HOST,)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._key = setting.keys.get(environment.AEMET_API_KEY.name)
        self._tokens: OrderedDict[str, bytes] = OrderedDict()
        self._calls: count[int] = count()
        self._lock = threading.Lock()

    def router(self) -> APIRouter:
        router = APIRouter()
        days = _API + "/diarios/datos/fechaini/{start}/fechafin/{end}"
        router.add_api_route(_API + "/inventarioestaciones/todasestaciones", self.inventory)
        router.add_api_route(days + "/todasestaciones", self.everywhere)
        router.add_api_route(days + "/estacion/{stations}", self.daily)
        router.add_api_route(f"/{HOST}/opendata/sh/{{token}}", self.second_step)
        return router

    def inventory(self, request: Request) -> Response:
        if not self._admits(request):
            return _error(401, "API key invalido", status=401)
        return self._first_step(request, json_text([station.inventory_record() for station in STATIONS.values()]))

    def everywhere(self, request: Request, start: str, end: str) -> Response:
        return self._days(request, start, end, list(STATIONS), _LONGEST_EVERYWHERE, "15 días")

    def daily(self, request: Request, start: str, end: str, stations: str) -> Response:
        return self._days(request, start, end, stations.split(","), _LONGEST, "6 meses")

    def second_step(self, token: str) -> Response:
        """Without a key; the content type is absent, or wrong, as the token has it."""
        with self._lock:
            body = self._tokens.get(token)
        if body is None:
            return _error(404, "datos expirados")
        response = Response(body)
        if token[0] in "01234567":
            response.headers["content-type"] = "text/plain;charset=UTF-8"
        return response

    def _days(
        self, request: Request, start: str, end: str, stations: list[str], longest: timedelta, limit: str
    ) -> Response:
        if not self._admits(request):
            return _error(401, "API key invalido", status=401)
        try:
            first, last = (datetime.strptime(text, "%Y-%m-%dT%H:%M:%SUTC").date() for text in (start, end))  # noqa: DTZ007
        except ValueError:
            return _error(404, "Formato de fecha incorrecto. El formato es AAAA-MM-DDTHH:MM:SSUTC", status=404)
        if last - first >= longest:
            return _error(404, f"El rango de fechas no puede ser superior a {limit}", status=404)
        days = _span(first, last)
        records = [
            revised(record, self.publication.revision(Month.of(day)))
            for name in stations
            if name in STATIONS and days
            for record in daily_records(STATIONS[name], days)
            if self._has(day := date.fromisoformat(record["fecha"]))
        ]
        return self._first_step(request, json_text(records)) if records else _error(404, _NO_DATA)

    def _has(self, day: date) -> bool:
        month, publication = Month.of(day), self.publication
        published = month not in publication.unpublished and day <= publication.today - _LAG
        return published and month >= publication.first_month

    def _first_step(self, request: Request, body: str) -> Response:
        envelope = {
            "descripcion": "exito",
            "estado": 200,
            "datos": self._address(request, body),
            "metadatos": self._address(request, json_text([_METADATA])),
        }
        return Response(
            json.dumps(envelope, indent=2).encode(ENCODING),
            headers={
                "aemet_estado": "200",
                "aemet_mensaje": "OK",
                "content-type": "application/json;charset=ISO-8859-15",
            },
        )

    def _address(self, request: Request, body: str) -> str:
        token = hashlib.blake2s(f"{request.url.path} {next(self._calls)}".encode(), digest_size=4).hexdigest()
        with self._lock:
            self._tokens[token] = body.encode(ENCODING)
            while len(self._tokens) > _KEPT_TOKENS:
                self._tokens.popitem(last=False)
        return f"https://{HOST}/opendata/sh/{token}"

    def _admits(self, request: Request) -> bool:
        given = request.headers.get("api_key") or request.query_params.get("api_key") or ""
        return bool(given.strip()) if self._key is None else given == self._key


def json_text(records: list[dict[str, str]]) -> str:
    """AEMET's own layout."""
    return "[ " + ", ".join(
        "{\n" + ",\n".join(f"  {_quoted(key)} : {_quoted(text)}" for key, text in record.items()) + "\n}"
        for record in records
    ) + " ]"  # fmt: skip


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _error(estado: int, description: str, status: int = 200) -> Response:
    body = json.dumps({"descripcion": description, "estado": estado}, ensure_ascii=False).encode(ENCODING)
    headers = {"aemet_estado": str(estado), "content-type": "application/json;charset=ISO-8859-15"}
    return Response(body, status, headers)


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
