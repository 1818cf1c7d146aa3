"""The wire of Meteo-France: the open data catalogue, the department files behind it, and DPClim's orders.

Belongs here: routes, labels, tokens, orders and their states, the lag. Does not: the values of a line
(meteo_france_series.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response

from city_data import environment
from city_data.sandbox.base import Setting, Source
from city_data.sandbox.meteo_france_series import STATIONS, Hours, Station, api_csv, extras, write_department

CATALOGUE, FILES, FORMER_FILES = "www.data.gouv.fr", "meteofrance.s3.sbg.io.cloud.ovh.net", "object.files.data.gouv.fr"
API, PORTAL = "public-api.meteofrance.fr", "portail-api.meteofrance.fr"
DATASET = "6569b4473bedf2e7abad3b72"
_FOLDER = "data/synchro_ftp/BASE/HOR"
_DPCLIM = f"/{API}/public/DPClim/v1"
_LAG = timedelta(days=1)
_TIMEZONE = "Europe/Paris"
_TOKEN_LIFE = timedelta(hours=1)
_EXTRAS = {"small": 0, "full": 24}
_GENERATION = 3  # to be raised when the lines change, so that no old file is served


@dataclass
class _Order:
    body: str
    polls: int = 0
    read: bool = False


class MeteoFrance(Source):
    """Without configured keys, any key that is not blank is accepted. An order is pending `polls` times.

    An order whose range touches `gap` (UTC) fails, as the real service's do for ranges with a gap.
    """

    hosts = (CATALOGUE, FILES, FORMER_FILES, API, PORTAL)
    polls = 1
    gap: tuple[datetime, datetime] | None = None

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self._orders: dict[str, _Order] = {}
        self._tokens: dict[str, datetime] = {}
        self._numbers: count[int] = count(2026024266715)
        self._lock = threading.Lock()

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(f"/{CATALOGUE}/api/1/datasets/{DATASET}/", self.dataset)
        router.add_api_route(f"/{FILES}/{_FOLDER}/{{name}}", self.file, response_model=None)
        router.add_api_route(f"/{FORMER_FILES}/meteofrance/{_FOLDER}/{{name}}", self.moved, response_model=None)
        router.add_api_route(f"/{PORTAL}/token", self.token, methods=["POST"])
        router.add_api_route(f"{_DPCLIM}/liste-stations/horaire", self.stations)
        router.add_api_route(f"{_DPCLIM}/commande-station/horaire", self.order)
        router.add_api_route(f"{_DPCLIM}/commande/fichier", self.order_file)
        return router

    def dataset(self) -> JSONResponse:
        """The newest period lies with the new host; older ones are still listed with the former, which sends on."""
        resources = [_resource("Description des champs", f"https://{FILES}/{_FOLDER}/H_descriptif_champs.csv", "csv")]
        for department in sorted({station.department for station in STATIONS}):
            for label, first, last in self._periods():
                base = f"https://{FILES}" if label == "latest" else f"https://{FORMER_FILES}/meteofrance"
                title = f"HOR_departement_{department}_periode_{first}-{last}"
                url = f"{base}/{_FOLDER}/{_name(department, label, first, last)}"
                resources.append(_resource(title, url, "csv.gz"))
        return JSONResponse({"id": DATASET, "title": "Données climatologiques de base - horaires", "license": "lov2",
                             "resources": resources})  # fmt: skip

    def moved(self, name: str) -> Response:
        return RedirectResponse(f"https://{FILES}/{_FOLDER}/{name}", 302)

    def file(self, request: Request, name: str) -> Response:
        for department in {station.department for station in STATIONS}:
            for label, first, last in self._periods():
                if name == _name(department, label, first, last):
                    return _conditional(request, self._department_file(department, first, last))
        return Response('<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', 404, media_type="application/xml")

    def token(self, request: Request) -> JSONResponse:
        given, known = (
            _credentials(request, "Basic"),
            self.setting.keys.get(environment.METEO_FRANCE_APPLICATION_ID.name),
        )
        if not given or (known is not None and given != known):
            return JSONResponse({"error": "invalid_client", "error_description": "Client Authentication failed."}, 401)
        token = base64.urlsafe_b64encode(f"token {next(self._numbers)}".encode()).decode()
        self._tokens[token] = self.publication.clock()
        life = int(_TOKEN_LIFE.total_seconds())
        return JSONResponse({"access_token": token, "scope": "default", "token_type": "Bearer", "expires_in": life})

    def stations(self, request: Request) -> JSONResponse:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        department = request.query_params.get("id-departement", "")
        listed = [station for station in STATIONS if int(station.department) == int(department or -1)]
        return JSONResponse([_listed(station) for station in listed])

    def order(self, request: Request) -> Response:
        if (refusal := self._refusal(request)) is not None:
            return refusal
        query = request.query_params
        try:
            first, last = (
                datetime.strptime(query[name], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
                for name in ("date-deb-periode", "date-fin-periode")
            )
            station = next(s for s in STATIONS if s.number == query["id-station"])
        except (KeyError, ValueError, StopIteration):
            return JSONResponse({"message": "paramètre invalide"}, 400)
        if last - first > timedelta(days=366):
            return JSONResponse({"message": "la période demandée dépasse un an"}, 400)
        if self.gap is not None and first <= self.gap[1] and self.gap[0] <= last:
            why = "production en échec (la commande contient une plage d'absence de données)"
            return JSONResponse({"message": why}, 500)
        body = api_csv(station, self._stamps(int(first.timestamp()) // 3600, int(last.timestamp()) // 3600))
        if body is None:
            why = "production en échec (la station ne contient pas de donnée pour cette période)"
            return JSONResponse({"message": why}, 500)
        with self._lock:
            number = str(next(self._numbers))
            self._orders[number] = _Order(body)
        answer = {"elaboreProduitAvecDemandeResponse": {"return": number}}
        return Response(json.dumps(answer), 202, media_type="application/json")

    def order_file(self, request: Request) -> Response:
        """Pending, then once the file, then gone."""
        if (refusal := self._refusal(request)) is not None:
            return refusal
        with self._lock:
            order = self._orders.get(request.query_params.get("id-cmde", ""))
            if order is None:
                return JSONResponse({"message": "la commande n'existe pas"}, 404)
            if order.polls < self.polls:
                order.polls += 1
                return Response(status_code=204)
            if order.read:
                return JSONResponse({"message": "le fichier a déjà été téléchargé"}, 410)
            order.read = True
        return Response(order.body, 201, media_type="text/csv")

    def _periods(self) -> Sequence[tuple[str, int, int]]:
        """The labels shift every January."""
        year = self.publication.today.year
        return (("latest", year - 1, year), ("previous", 2020, year - 2))

    def _stamps(self, first: int, last: int) -> Hours:
        stamps = self._published()
        return stamps[(stamps >= first) & (stamps <= last)]

    def _published(self) -> Hours:
        """The stamps that are out, as hours since 1970: the files are written anew every day."""
        days = (self.publication.first_month.first_day, self.publication.today - _LAG)
        first, last = ((day - date(1970, 1, 1)).days * 24 for day in days)
        hours = np.arange(first + 1, last + 1)
        for month in self.publication.unpublished:
            start, end = (int(moment.timestamp()) // 3600 for moment in month.bounds(_TIMEZONE))
            hours = hours[(hours <= start) | (hours > end)]
        return hours

    def _department_file(self, department: str, first_year: int, last_year: int) -> Path:
        """Written at the first request; equal requests wait for one another."""
        begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) // 3600 for year in (first_year, last_year + 1))
        stamps = self._stamps(begin, end - 1)
        stations = [s for s in STATIONS if s.department == department]
        stations += extras(department, _EXTRAS[self.setting.size])
        digest = hashlib.blake2s(np.asarray(stamps, np.int64).tobytes(), digest_size=8).hexdigest()
        path = self.setting.folder / f"meteo_france-{_GENERATION}-{self.setting.size}-{department}-{digest}.csv.gz"
        with self._lock:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                write_department(path, stations, stamps)
                written = datetime.combine(self.publication.today, datetime.min.time(), UTC).timestamp()
                os.utime(path, (written, written))
        return path

    def _refusal(self, request: Request) -> JSONResponse | None:
        key, token = request.headers.get("apikey", ""), _credentials(request, "Bearer")
        known, given_at = self.setting.keys.get(environment.METEO_FRANCE_API_KEY.name), self._tokens.get(token)
        if given_at is not None and self.publication.clock() - given_at < _TOKEN_LIFE:
            return None
        if key.strip() and known in (None, key):
            return None
        text = "Invalid JWT token" if token else "Invalid Credentials"
        return JSONResponse({"code": "900901", "message": "Invalid Credentials", "description": text}, 401)


def _name(department: str, label: str, first: int, last: int) -> str:
    return f"H_{department}_{label}-{first}-{last}.csv.gz"


def _resource(title: str, url: str, kind: str) -> dict[str, Any]:
    return {"title": title, "url": url, "format": kind, "filetype": "remote", "type": "main", "mime": None}


def _conditional(request: Request, path: Path) -> Response:
    """With a tag of its content's name, which is its stamps', and 304 where the client has it."""
    tag = f'"{path.stem}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return FileResponse(path, media_type="application/gzip", headers={"ETag": tag})


def _credentials(request: Request, kind: str) -> str:
    given, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if given == kind else ""


def _listed(station: Station) -> dict[str, Any]:
    return {"id": station.number, "nom": station.name, "posteOuvert": True, "typePoste": 0, "lon": station.longitude,
            "lat": station.latitude, "alt": station.altitude, "postePublic": True}  # fmt: skip
