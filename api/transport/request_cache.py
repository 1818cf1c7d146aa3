"""Questions asked before: answered without parsing and ASGI, and in the very turn of the loop where all is at hand.

Belongs here: what a question meant, and whether all that its answer rests on still holds. Does not: sockets
(protocol.py), or any rule of its own: whatever is not certain now is left to the routes, and the bytes, headers,
metrics and log are theirs. A read from memory took 174 us by way of ASGI, of which its socket took 39 (measured).
"""

from __future__ import annotations

import hashlib
import re
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from api.auth.gate import Authorizer
from api.bodies.month_bodies import SegmentGone
from api.bodies.reader import Answer
from api.bodies.responses import AnswerResponse, answer_headers, etag, is_known
from api.caching import LruCache
from api.history_service import HistoryService, ResolvedRequest
from api.observability import Metrics, RequestLog, record_request
from api.query.planning import Plan
from api.transport.limits import SAFE_HEADERS, ConcurrencyLimiter
from city_data.store.database import DatabaseUnavailable

# The key in a scope of a request's own bytes, where it came whole and alone (protocol.py).
REQUEST = "city_data.request"
_REMEMBERED = 2_000
_MOST_BYTES = 16 * 1024  # less than protocol.py takes, which refuses more
_STATUS = {200: b"HTTP/1.1 200 OK\r\n", 304: b"HTTP/1.1 304 Not Modified\r\n"}
Lines = Sequence[tuple[bytes, bytes]]
_MATTER = frozenset({b"authorization", b"accept", b"accept-encoding", b"if-none-match"})
# They change how an answer travels, or what is added to it.
_LONG_WAY = frozenset({b"origin", b"expect", b"upgrade", b"content-length", b"transfer-encoding"})
# RFC 9112, without what its readers disagree on: bare line ends, folded lines, bytes beyond ASCII.
_PLAIN = re.compile(rb"GET [!-~]+ HTTP/1\.1\r\n(?:[!#-'*+.^-z|~0-9A-Z-]+:[\t -~]*\r\n)*\r\n")


@dataclass(frozen=True)
class Head:
    """The header lines of an answer, good for the plan and the body that they were built from and for no other."""

    plan: weakref.ref[Plan]
    length: int | None
    lines: bytes = field(repr=False)
    log: RequestLog

    def is_of(self, plan: Plan, answer: Answer | None) -> bool:
        """`answer` is None for a 304."""
        return self.plan() is plan and self.length == (answer.length if answer is not None else None)


@dataclass
class CachedRequest:
    """A resolved request, and the last head of its answers.

    `headers` are what the client knows (If-None-Match); `token` is a digest.
    """

    meant: ResolvedRequest
    headers: Headers
    token: bytes | None
    route: str
    head: Head | None = None


class RequestCache:
    """One an app. For one event loop."""

    def __init__(
        self, answering: HistoryService, gate: Authorizer, metrics: Metrics, under_way: ConcurrencyLimiter
    ) -> None:
        self._answering, self._gate, self._metrics, self._under_way = answering, gate, metrics, under_way
        self._seen: LruCache[bytes, CachedRequest] = LruCache(_REMEMBERED)

    def remember(self, scope: Scope, headers: Headers, token: bytes | None, meant: ResolvedRequest) -> None:
        """A question that was answered from the current versions; `headers` are the `relevant` ones."""
        request = scope.get(REQUEST)
        key = question_key(request) if request is not None else None
        if key is not None:
            known = Headers(raw=[header for header in headers.raw if header[0] == b"if-none-match"])
            self._seen.put(key, CachedRequest(meant, known, token, scope["route"].path), 1)

    def find(self, request: bytes) -> CachedRequest | None:
        """The question that these bytes ask, where it was asked before."""
        key = question_key(request)
        return self._seen.get(key) if key is not None else None

    def answer(self, seen: CachedRequest, opening: Lines) -> list[bytes] | None:
        """Head and body, where all is at hand and the caller may have it. `opening` are the server's own headers."""
        began = time.perf_counter()
        plan = self._answering.cached_plan(seen.meant)
        if plan is None:
            return None
        known = _is_known(seen, plan)
        answer = None if known else self._answering.reader.cached_answer(plan, seen.meant.representation)
        if answer is None and not known:
            return None
        added = self._gate.readmit(seen.token, seen.meant.tenant)
        if added is None:
            return None
        if answer is not None:
            self._answering.reader.count_memory_hit(plan)
        return self._sent(seen, plan, answer, opening, added, began)

    async def fetch(self, seen: CachedRequest, opening: Lines) -> list[bytes] | None:
        """As `answer`, with what has to be waited for; None where the routes have to say what is wrong.

        The caller is let in before anything is asked of the store, and so pays twice where the routes end it.
        """
        began = time.perf_counter()
        if self._under_way.is_full:
            return None
        with self._under_way:
            added = self._gate.readmit(seen.token, seen.meant.tenant)
            if added is None:
                return None
            try:
                plan = await self._answering.plan(seen.meant)
                known = _is_known(seen, plan)
                answer = None if known else await self._answering.reader.answer(plan, seen.meant.representation)
            except (SegmentGone, DatabaseUnavailable, SQLAlchemyError):
                return None
        return self._sent(seen, plan, answer, opening, added, began)

    def _sent(
        self, seen: CachedRequest, plan: Plan, answer: Answer | None, opening: Lines, added: Lines, began: float
    ) -> list[bytes]:
        """Counted and told as sent."""
        status = 200 if answer is not None else 304
        made = _head(seen, plan, answer)
        head = b"".join((_STATUS[status], _lines(opening), made.lines, _lines(added), b"\r\n"))
        if answer is not None:
            made.log.served_from = answer.served_from
        record_request(self._metrics, "GET", seen.route, status, made.log, time.perf_counter() - began)
        return [head, *(answer.chunks if answer is not None else ())]


def _is_known(seen: CachedRequest, plan: Plan) -> bool:
    """Whether the client has the plan's answer already."""
    if seen.head is not None and seen.head.plan() is plan:
        return seen.head.length is None
    return is_known(seen.headers, etag(plan.tag, seen.meant.representation))


def _head(seen: CachedRequest, plan: Plan, answer: Answer | None) -> Head:
    """The head of this plan's answer; `answer` is None for a 304.

    Other requests run while this one waits for the store, and leave the head of their own plan in `seen`.
    """
    if seen.head is None or not seen.head.is_of(plan, answer):
        meant, said = seen.meant, answer_headers(plan, seen.meant.distance_km, seen.meant.representation)
        response = (
            Response(status_code=304, headers=said)
            if answer is None
            else AnswerResponse(answer, meant.representation, said)
        )
        log = RequestLog(records=None if answer is None else answer.records)
        log.add_range(meant.tenant, meant.city.city_id, meant.distance_km, meant.interval.days)
        lines = _lines([*response.raw_headers, *SAFE_HEADERS])
        seen.head = Head(weakref.ref(plan), None if answer is None else answer.length, lines, log)
    return seen.head


def question_key(request: bytes) -> bytes | None:
    """What equal questions share: request line and headers that matter, whatever ids a proxy adds to each request.

    None for what is no plain GET, to the letter: its bytes are then the parser's to judge. By digest: whoever can read
    this memory must not find tokens in it.
    """
    if len(request) > _MOST_BYTES or _PLAIN.fullmatch(request) is None:
        return None
    first, *lines = request[:-4].split(b"\r\n")
    kept = [first]
    for line in lines:
        name, _, value = line.partition(b":")
        lowered = name.lower()
        if lowered in _MATTER:
            kept.append(line)
        elif lowered in _LONG_WAY or (lowered == b"connection" and value.strip().lower() != b"keep-alive"):
            return None
    return hashlib.sha256(b"\n".join(kept)).digest()


def relevant(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """All that an answer may depend on."""
    return Headers(raw=[header for header in headers if header[0] in _MATTER])


def _lines(headers: Lines) -> bytes:
    return b"".join([b"%s: %s\r\n" % line for line in headers])
