"""Meteo-France's DPClim: one order a station, polled until its file is ready; the file can be downloaded once.

Belongs here: the order, its states, keys and tokens. Does not: the content of the file (lines.py).

An order costs a call and can be repeated: a file lost in transfer is ordered again. Each file is written to disk
before the next call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from city_data import environment
from city_data.providers.base import Payload, PermanentError, ProviderError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.meteo_france.lines import HOUR
from city_data.providers.shared.stations import NoData
from city_data.providers.transport.documents import read_json
from city_data.providers.transport.response import (
    MINUTE,
    Response,
    accept_ok,
    refuse_firewall,
    too_many_calls,
)

BASE = "https://public-api.meteofrance.fr/public/DPClim/v1"
TOKENS = "https://portail-api.meteofrance.fr/token"
# The accent comes as UTF-8, as Latin-1 or escaped; the rest of the wording varies.
_NO_DATA = re.compile(r"ne contient pas de donn", re.IGNORECASE)
_FAILED = re.compile(r"production\b.*chec|absence de donn", re.IGNORECASE)
# A range with a gap fails as a whole, and is halved down to a day; a month with one gap takes 10 orders.
_SHORTEST, _MOST_ORDERS = timedelta(days=1), 40
_ORDERS, _FIRST_WAIT, _LONGEST_WAIT, _PATIENCE = 3, 2.0, 15.0, 600.0


class _Refused(ProviderError):
    """The key or token was refused (401)."""


class _RangeFailed(ProviderError):
    """The order failed, as it does for a range with a gap: a smaller range may succeed."""


class _Gone(ProviderError):
    """The order's file was already downloaded."""


@dataclass
class Access:
    """A permanent key, or an application's id, which is exchanged for tokens that last an hour."""

    key: str | None
    application: str | None
    _token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Access | None:
        """The access from the environment; None if neither variable is set: the keyless files serve then."""
        key, application = (
            environment.METEO_FRANCE_API_KEY.get(environ),
            environment.METEO_FRANCE_APPLICATION_ID.get(environ),
        )
        return cls(key, application) if key or application else None

    def get(
        self, http: HttpClient, url: str, params: Mapping[str, str], accept: Callable[[Response], None]
    ) -> Response:
        """An answer to `url`, with a new token if the current one expired. Raises PermanentError if key or new token
        are refused."""
        try:
            return http.get(url, params, self._headers(http), accept)
        except _Refused as error:
            if self.key:
                raise PermanentError(
                    f"the key was refused ({error}); check {environment.METEO_FRANCE_API_KEY}"
                ) from error
        self._token = None
        try:
            return http.get(url, params, self._headers(http), accept)
        except _Refused as error:
            raise PermanentError(
                f"a new token was refused ({error}); check {environment.METEO_FRANCE_APPLICATION_ID}"
            ) from error

    def _headers(self, http: HttpClient) -> Mapping[str, str]:
        if self.key:
            return {"apikey": self.key}
        if self._token is None:
            headers = {"Authorization": f"Basic {self.application}"}
            try:
                answer = http.post(TOKENS, {"grant_type": "client_credentials"}, headers, _judge)
            except _Refused as error:
                raise PermanentError(
                    f"no token was given ({error}); check {environment.METEO_FRANCE_APPLICATION_ID}"
                ) from error
            self._token = _field(answer, "access_token")
        return {"Authorization": f"Bearer {self._token}"}


def fetch(
    access: Access,
    http: HttpClient,
    into: Path,
    stations: Sequence[str],
    bounds: tuple[datetime, datetime],
    as_of: datetime,
) -> list[Payload]:
    """One payload an order: mostly one a station, its CSV as received; more where a range with a gap was halved.

    Raises NoData if no station has any.
    """
    first, last = bounds[0] + HOUR, min(bounds[1], as_of)  # stamps are the ends of hours
    payloads, reasons = [], []
    for station in stations:
        try:
            payloads += _ranges(access, http, into, station, first, last)
        except NoData as error:
            reasons.append(f"station {station}: {error}")
    if not payloads:
        raise NoData("; ".join(reasons))
    return payloads


def order_number(response: Response) -> str:
    """The order's id, a string of digits, from the answer 202."""
    try:
        return _field(response, "elaboreProduitAvecDemandeResponse", "return")
    except TransientError:
        raise
    except PermanentError as error:
        raise PermanentError(f"the answer lacks the order number: {error}") from error


def stations_of(access: Access, http: HttpClient, department: str) -> int:
    """How many hourly stations a department has: the cheapest call that needs a key."""
    answer = access.get(http, f"{BASE}/liste-stations/horaire", {"id-departement": department}, _judge)
    listed = _json(answer)
    if not isinstance(listed, list):
        raise PermanentError(f"{answer.url} did not answer a list: {str(listed)[:200]}")
    return len(listed)


def _ranges(
    access: Access, http: HttpClient, into: Path, station: str, first: datetime, last: datetime
) -> list[Payload]:
    """The station's payloads, oldest first: a range that fails is halved. Raises NoData where no range has data,
    TransientError where all fail."""
    payloads: list[Payload] = []
    waiting, reasons, failed, orders = [(first, last)], list[str](), 0, 0
    while waiting:
        begin, end = waiting.pop()
        orders += 1
        if orders > _MOST_ORDERS:
            raise TransientError(f"station {station}: {_MOST_ORDERS} orders, and {len(waiting) + 1} ranges are left")
        name = f"{station}.csv" if (begin, end) == (first, last) else f"{station}-{begin:%Y%m%dT%H}.csv"
        params = {"id-station": station, "date-deb-periode": _iso(begin), "date-fin-periode": _iso(end)}
        try:
            payloads.append(_station(access, http, into / name, params))
        except NoData as error:
            reasons.append(str(error))
        except _RangeFailed as error:
            reasons.append(str(error))
            if end - begin <= _SHORTEST:
                failed += 1
                continue
            middle = begin + HOUR * ((end - begin) // HOUR // 2)
            waiting += [(middle + HOUR, end), (begin, middle)]
    if not payloads:
        kind = TransientError if failed else NoData
        raise kind("; ".join(dict.fromkeys(reasons)))
    return payloads


def _station(access: Access, http: HttpClient, path: Path, params: Mapping[str, str]) -> Payload:
    url = f"{BASE}/commande-station/horaire"
    for _ in range(_ORDERS):
        order = order_number(access.get(http, url, params, _judge))
        try:
            response = _file(access, http, order)
        except _Gone:
            continue
        path.write_bytes(response.body)
        return Payload(path.name, path, url, {**params, "order": order}, "text/csv", origin=response.origin)
    raise TransientError(f"the files of {_ORDERS} orders were deleted before they had arrived")


def _file(access: Access, http: HttpClient, order: str) -> Response:
    """Poll for the order's file with growing waits."""
    begun, wait = http.clock.monotonic(), _FIRST_WAIT
    while http.clock.monotonic() - begun < _PATIENCE:
        response = access.get(http, f"{BASE}/commande/fichier", {"id-cmde": order}, _judge_file)
        if response.status != 204:
            return response
        http.clock.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)
    raise TransientError(f"order {order} was not ready in {_PATIENCE:.0f} s", MINUTE)


def _judge(response: Response) -> None:
    text = " ".join(response.body[:300].decode("utf-8", "replace").split())
    if response.status == 401:
        raise _Refused(text or "401")
    refuse_firewall(response)
    if response.status == 403:
        raise PermanentError(f"the application may not use this product (403): {text}; subscribe it to DPClim")
    if response.status == 429:
        raise too_many_calls(response, text)
    if response.status == 500 and _NO_DATA.search(text):
        raise NoData(text)
    if response.status == 500 and _FAILED.search(text):
        raise _RangeFailed(text)
    accept_ok(response)
    if response.status != 204 and not text:
        raise TransientError(f"{response.url} answered with an empty body")
    if text.startswith("<"):
        raise TransientError(f"{response.url} answered an HTML page: {text[:200]}")


def _judge_file(response: Response) -> None:
    if response.status == 410:
        raise _Gone
    _judge(response)


def _json(response: Response) -> object:
    try:
        return read_json(response.body)
    except ValueError as error:
        raise TransientError(f"{response.url} answered broken JSON: {error}") from error


def _field(response: Response, *names: str) -> str:
    value = _json(response)
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or not value:
        raise PermanentError(f"{response.url} answered without {'.'.join(names)}")
    return value


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")
