"""A read of history past FastAPI's own way to a route, which costs several times what the read does.

Belongs here: recognising a question that is well formed. Does not: any rule of its own. The gate, the question's model
and the answer are those of the routes; what is not well formed goes on to them, to be refused in their words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl
from uuid import UUID

import pydantic
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from api.auth.gate import Authorizer
from api.auth.tokens import token_digest
from api.history_service import HistoryService, IncomingRequest
from api.query.historical_request import TENANT_PATH, HistoricalRequest
from api.transport.request_cache import RequestCache, relevant
from city_data.datasets import DATASETS, DatasetName

_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TAILS: dict[str, DatasetName] = {
    tail: name for name in DATASETS for tail in (f"/operations/historical-{name}-optimized", f"/historical-{name}")
}
_PATH = re.compile(re.escape(TENANT_PATH).replace(re.escape("{tenant_id}"), f"({_UUID})") + f"({'|'.join(_TAILS)})")
_QUESTION = "question"


@dataclass(frozen=True)
class _Words:
    tenant: str
    dataset: DatasetName
    asked: HistoricalRequest


@dataclass(frozen=True)
class _Template:
    """What metrics and logs call the route."""

    path: str


class Shortcut(BaseRoute):
    """Stands before the routes that it shortens."""

    def __init__(self, answering: HistoryService, gate: Authorizer, hits: RequestCache) -> None:
        self._answering, self._gate, self._hits = answering, gate, hits
        self._templates = {tail: _Template(TENANT_PATH + tail) for tail in _TAILS}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or scope["method"] != "GET":
            return Match.NONE, {}
        found = _PATH.fullmatch(scope["path"])
        asked = _asked(scope["query_string"]) if found else None
        if found is None or asked is None:
            return Match.NONE, {}
        question = _Words(found[1], _TAILS[found[2]], asked)
        return Match.FULL, {_QUESTION: question, "route": self._templates[found[2]]}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        question: _Words = scope[_QUESTION]
        headers = relevant(scope["headers"])
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given, asked = (token if scheme.lower() == "bearer" and token else None), question.asked
        await self._gate.admit(scope, given, question.tenant)
        whole = IncomingRequest(scope, headers, "query", question.dataset, UUID(question.tenant), asked)
        meant = await self._answering.resolve(whole)
        response = await self._answering.respond(whole, meant)
        if _is_lasting(asked):
            self._hits.remember(scope, headers, token_digest(given) if given else None, meant)
        await response(scope, receive, send)


def _is_lasting(asked: HistoricalRequest) -> bool:
    """Whether the words mean the same for ever: no place, moment or source that is asked of others."""
    given = (asked.version, asked.as_of, asked.resolution)
    return asked.latitude is not None and asked.longitude is not None and given == (None, None, None)


@lru_cache(maxsize=512)
def _asked(query: bytes) -> HistoricalRequest | None:
    """A query as its model, the last of equal names as in FastAPI; None where it is not well formed."""
    try:
        return HistoricalRequest.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))
    except (pydantic.ValidationError, ValueError):
        return None
