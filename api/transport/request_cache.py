"""Cache of resolved requests: repeats are answered before routing, synchronously when plan and body are in memory.

Belongs here: the key of a request, and checking that a cached one is still valid. Does not: rules of its own. Token,
tenant, rate and ledger are checked at every hit; anything uncertain is left to the routes, and bytes, headers, metrics
and log are the same as theirs. Plain ASGI: the outermost application that answers requests.
"""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth.gate import Authorizer, bearer_token
from api.auth.tokens import token_digest
from api.bodies.answering import ResolvedRequest, lasting_request
from api.bodies.reader import Answer
from api.bodies.responses import AnswerResponse, etag, is_known, send_body
from api.observability import Metrics, RequestLog, log_request
from api.transport.limits import SAFE_HEADERS, ConcurrencyLimiter
from city_data.lru_cache import LruCache
from city_data.store.database import DatabaseUnavailable
from city_data.store.month_bodies import SegmentGone
from city_data.store.plans import Plan
from city_data.store.training_plans import TrainingPlan

_REMEMBERED = 2_000
_LONGEST_QUERY = 4_096
Key = tuple[str, bytes, bytes]
AnyPlan = Plan | TrainingPlan
# All request headers that an answer may depend on.
_RELEVANT = frozenset({b"authorization", b"accept", b"accept-encoding", b"if-none-match"})
# Headers that announce a body, or change how the answer is sent or what is added to it.
_BY_ROUTES = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"range", b"if-range"})


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer, valid only for the plan and body that they were built from."""

    plan: weakref.ref[AnyPlan]
    length: int | None
    status: int
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    log: RequestLog
    observe: Callable[[float], None]

    def is_of(self, plan: AnyPlan, answer: Answer | None) -> bool:
        """`answer` is None for a 304."""
        return self.plan() is plan and self.length == (answer.length if answer is not None else None)


@dataclass
class CachedRequest:
    """A resolved request, and the last head of its answers.

    `known` are the client's If-None-Match headers; `token` is a digest.
    """

    resolved: ResolvedRequest[Any]
    known: Headers
    token: bytes | None
    route: str
    head: Head | None = None


class RequestCache:
    """An ASGI application before another. For one event loop."""

    def __init__(
        self,
        authorizer: Authorizer,
        metrics: Metrics,
        under_way: ConcurrencyLimiter,
        *,
        varies_by_origin: bool,
    ) -> None:
        """`varies_by_origin`: answers to browsers of other origins have headers that this cache does not make."""
        self._authorizer, self._metrics, self._under_way = authorizer, metrics, under_way
        self._by_routes = _BY_ROUTES | {b"origin"} if varies_by_origin else _BY_ROUTES
        self._requests: LruCache[Key, CachedRequest] = LruCache(_REMEMBERED)
        self._app: ASGIApp | None = None

    def stand_before(self, app: ASGIApp) -> None:
        """`app` answers the requests that are not cached."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._app is not None  # noqa: S101 - `stand_before` comes first
        key = request_key(scope, self._by_routes) if scope["type"] == "http" and scope["method"] == "GET" else None
        cached = self._requests.get(key) if key is not None else None
        if cached is None or not await self._answer(cached, send):
            await self._app(scope, receive, send)
            if key is not None and (resolved := lasting_request(scope)) is not None:
                self._requests.put(key, _cached_request(scope, resolved), 1)

    async def _answer(self, cached: CachedRequest, send: Send) -> bool:
        """Answer a repeat; False where nothing was sent, and the routes have to answer or report an error.

        The caller is admitted before the store is queried, and so is charged twice where the routes answer after it.
        """
        began = time.perf_counter()
        added = self._authorizer.readmit(cached.token, cached.resolved.tenant)
        if added is None:
            return False
        plan_and_answer = self._in_memory(cached) or await self._from_store(cached)
        if plan_and_answer is None:
            return False
        plan, answer = plan_and_answer
        head = self._head(cached, plan, answer)
        if answer is not None:
            head.log.served_from = answer.served_from
        await send({"type": "http.response.start", "status": head.status, "headers": [*head.headers, *added]})
        await send_body(send, answer.chunks if answer is not None else (b"",))
        seconds = time.perf_counter() - began
        head.observe(seconds)
        log_request("GET", cached.route, head.status, head.log, seconds)
        return True

    def _in_memory(self, cached: CachedRequest) -> tuple[AnyPlan, Answer | None] | None:
        """Plan and answer, which is None for a 304; None where the store has to be read."""
        resolved = cached.resolved
        plan = resolved.cached_plan() if resolved.cached_plan is not None else None
        if plan is None:
            return None
        if _is_known(cached, plan):
            return plan, None
        answer = resolved.bodies.cached_answer(plan, resolved.representation)
        return None if answer is None else (plan, answer)

    async def _from_store(self, cached: CachedRequest) -> tuple[AnyPlan, Answer | None] | None:
        """As `_in_memory`, after reading the store; None where the routes have to answer."""
        if self._under_way.is_full:
            return None
        resolved = cached.resolved
        with self._under_way:
            try:
                plan = await resolved.make_plan(False)
                if _is_known(cached, plan):
                    return plan, None
                if resolved.bodies.cost(plan, resolved.representation):
                    return None
                return plan, await resolved.bodies.answer(plan, resolved.representation)
            except (SegmentGone, DatabaseUnavailable, SQLAlchemyError):
                return None

    def _head(self, cached: CachedRequest, plan: AnyPlan, answer: Answer | None) -> Head:
        """The head of this plan's answer; `answer` is None for a 304.

        Other requests run while this one waits for the store, and leave the head of their own plan in `cached`.
        """
        if cached.head is None or not cached.head.is_of(plan, answer):
            resolved = cached.resolved
            headers = resolved.headers_of(plan)
            response = (
                Response(status_code=304, headers=headers)
                if answer is None
                else AnswerResponse(answer, resolved.representation, headers)
            )
            log = RequestLog(records=None if answer is None else answer.records)
            resolved.describe(log)
            length = None if answer is None else answer.length
            lines = [*response.raw_headers, *SAFE_HEADERS]
            status = response.status_code
            observe = self._metrics.durations("GET", cached.route, log.city, status)
            cached.head = Head(weakref.ref(plan), length, status, lines, log, observe)
        return cached.head


def request_key(scope: Scope, by_routes: frozenset[bytes]) -> Key | None:
    """Equal for requests that have the same answer, whatever ids a proxy adds; None for requests that are left to the
    routes. Headers are digested, so that this memory holds no tokens.
    """
    if len(scope["query_string"]) > _LONGEST_QUERY:
        return None
    kept, hosts = [], 0
    for name, value in scope["headers"]:
        if name in _RELEVANT:
            kept += [name, value]
        elif name == b"host":
            hosts += 1
        elif name in by_routes:
            return None
    if hosts != 1:
        return None
    return scope["path"], scope["query_string"], hashlib.sha256(b"\n".join(kept)).digest()


def _cached_request(scope: Scope, resolved: ResolvedRequest[Any]) -> CachedRequest:
    known = Headers(raw=[header for header in scope["headers"] if header[0] == b"if-none-match"])
    token = bearer_token(scope)
    return CachedRequest(resolved, known, token_digest(token) if token is not None else None, scope["route"].path)


def _is_known(cached: CachedRequest, plan: AnyPlan) -> bool:
    """Whether the client has the plan's answer already."""
    if cached.head is not None and cached.head.plan() is plan:
        return cached.head.length is None
    return is_known(cached.known, etag(plan.tag, cached.resolved.representation))
