"""Questions: which requests they are, which are retried, what is cached, and which frame comes out.

Belongs here: the logic of both clients, without any waiting. A plan is a generator that yields what must be done (a
request to send, a wait) and is driven by a loop that blocks or awaits (client.py, async_client.py). Does not: sending.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import httpx
import pandas as pd
from typing_extensions import Unpack

from city_data_client.arguments import Ahead, Frame, Range, query_of, service_url
from city_data_client.cache import DiskCache, Kept, default_folder
from city_data_client.errors import RETRIED, CityDataError, ServiceUnavailable, UnexpectedAnswer, error_of
from city_data_client.frames import CSV, JSON, accepted, cities_frame, empty_frame, frame_of, skill_frame

OPTIMIZED_VARIABLE = "USE_OPTIMIZED_EXTERNAL_ENDPOINTS"
LOCAL_TENANT = "00000000-0000-4000-8000-000000000001"
T = TypeVar("T")


@dataclass(frozen=True)
class Wait:
    """Seconds until the next try."""

    seconds: float


Step = httpx.Request | Wait
# What became of a step: a request's response or failure, nothing for a wait.
Outcome = httpx.Response | httpx.TransportError | None
Plan = Generator[Step, Any, T]


def advance(plan: Plan[T], outcome: Outcome) -> Step:
    """The plan's next step. Raises StopIteration with the answer, and whatever the plan ends with."""
    return plan.throw(outcome) if isinstance(outcome, httpx.TransportError) else plan.send(outcome)


@dataclass(frozen=True)
class Retries:
    """`attempts` tries in all. The first wait is `backoff` seconds, then twice as long each time, unless the service
    says how long; never longer than `longest_wait` seconds.
    """

    attempts: int = 4
    backoff: float = 0.5
    longest_wait: float = 30.0

    def wait(self, attempt: int, response: httpx.Response | None) -> float:
        header = response.headers.get("retry-after", "") if response is not None else ""
        seconds = float(header) if header.isdecimal() else self.backoff * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311
        return min(seconds, self.longest_wait)


class Questions:
    """What both clients know: how a question becomes requests, and answers become frames."""

    def __init__(
        self,
        url: str,
        token: str | None,
        tenant_id: str | None,
        cache: Path | Literal[False] | None,
        cache_bytes: int,
        retries: Retries,
        optimized: bool | None,
    ) -> None:
        self._url = service_url(url)
        self._tenant = tenant_id or LOCAL_TENANT
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._cache = None if cache is False else DiskCache(cache or default_folder(), cache_bytes)
        self._retries = retries
        self._optimized = _optimized() if optimized is None else optimized

    def _cities(self) -> Plan[pd.DataFrame]:
        document = yield from self._document("/api/v1/external/cities")
        return cities_frame(document)

    def _availability(self, city: str) -> Plan[dict[str, Any]]:
        document: dict[str, Any] = yield from self._document(
            f"/api/v1/external/operations/cities/{_part(city)}/availability"
        )
        return document

    def _skill(self, city: str) -> Plan[pd.DataFrame]:
        return skill_frame((yield from self._document(f"/api/v1/cities/{_part(city)}/forecast/skill")))

    def _history(self, dataset: str, **question: Unpack[Range]) -> Plan[pd.DataFrame]:
        tenant, dataset = f"/api/v1/tenants/{self._tenant}/external/operations", _part(dataset)
        if not self._optimized:
            body = query_of(question)
            if unknown := [name for name in body if name not in _OLD_FIELDS]:
                raise ValueError(f"the deprecated routes know no {', '.join(unknown)}; unset {OPTIMIZED_VARIABLE}")
            request = self._request("POST", f"{tenant}/{dataset}/historical", json=body, accept=JSON)
            answer = yield from self._answer(request, None)
            return frame_of(answer.headers, answer.body)
        path = f"{tenant}/historical-{dataset}-optimized"
        return (yield from self._frame(path, query_of(question)))

    def _training_frame(self, **question: Unpack[Frame]) -> Plan[pd.DataFrame]:
        if question.get("columns") is not None:
            raise ValueError("a training frame comes with all its columns; choose among them in the frame")
        path = f"/api/v1/tenants/{self._tenant}/external/operations/training-frame"
        return (yield from self._frame(path, query_of(question, Frame)))

    def _forecast_frame(self, **question: Unpack[Ahead]) -> Plan[pd.DataFrame]:
        path = f"/api/v1/tenants/{self._tenant}/external/forecast-frame"
        return (yield from self._frame(path, query_of(question, Ahead)))

    def _frame(self, path: str, query: Mapping[str, str]) -> Plan[pd.DataFrame]:
        request = self._request("GET", path, params=query, accept=accepted())
        # A token is another tenant's key: answers are kept by tenant (in the path), never across addresses.
        answer = yield from self._answer(request, f"{request.url} {request.headers['accept']}")
        frame = frame_of(answer.headers, answer.body)
        if len(frame.columns):
            return frame
        # An empty list of JSON names no columns. A header of CSV does.
        header = yield from self._answer(self._request("GET", path, params=query, accept=CSV), None)
        return empty_frame(answer.headers, header.body)

    def _document(self, path: str) -> Plan[Any]:
        answer = yield from self._answer(self._request("GET", path, accept=JSON), None)
        try:
            return httpx.Response(200, content=answer.body).json()
        except ValueError as error:
            raise UnexpectedAnswer(f"{path} answered broken JSON: {error}") from error

    def _request(self, method: str, path: str, *, accept: str, **what: Any) -> httpx.Request:
        headers = {**self._headers, "Accept": accept, "Accept-Encoding": "gzip"}
        return httpx.Request(method, f"{self._url}{path}", headers=headers, **what)

    def _answer(self, request: httpx.Request, name: str | None) -> Plan[Kept]:
        kept = self._cache.get(name) if self._cache and name else None
        if kept is not None:
            request.headers["If-None-Match"] = kept.etag
        response = yield from self._asked(request)
        if response.status_code == 304 and kept is not None:
            return Kept({**kept.headers, **response.headers}, kept.body)
        if response.status_code != 200:
            raise error_of(response)
        answer = Kept({name.lower(): value for name, value in response.headers.items()}, response.content)
        if self._cache and name and "etag" in answer.headers:
            self._cache.put(name, answer)
        return answer

    def _asked(self, request: httpx.Request) -> Plan[httpx.Response]:
        for attempt in range(self._retries.attempts):
            last = attempt + 1 == self._retries.attempts
            try:
                response: httpx.Response = yield request
            except httpx.TransportError as error:
                if last:
                    raise ServiceUnavailable(f"{self._url} does not answer: {type(error).__name__}: {error}") from error
                yield Wait(self._retries.wait(attempt, None))
                continue
            if response.status_code not in RETRIED or last:
                return response
            yield Wait(self._retries.wait(attempt, response))
        raise CityDataError("no attempt was allowed: Retries(attempts=...) must be at least 1")


_OLD_FIELDS = ("latitude", "longitude", "start_date", "end_date")


def _part(name: str) -> str:
    """One part of a path, whatever the name has in it."""
    return quote(name, safe="")


def _optimized() -> bool:
    """The rollout's switch: anything but 0, false or no selects the routes that replaced the deprecated ones."""
    return os.environ.get(OPTIMIZED_VARIABLE, "true").strip().lower() not in ("0", "false", "no")
