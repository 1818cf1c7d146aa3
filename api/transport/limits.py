"""Limits of every request that the cache leaves to the routes. Belongs here: limits of body size and of concurrent
requests, security headers.

Does not: slow or idle sockets (protocol.py), or checking tokens (auth/gate.py). Plain ASGI: Starlette's
BaseHTTPMiddleware passes a body through a queue, which costs more than serving it.
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.gate import Authorizer
from api.errors import MALFORMED, ServiceUnavailable, error_response, refusal
from api.observability import Metrics, request_log

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_CSP = b"content-security-policy"
_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
# FastAPI's documentation pages, served in local mode only, load a script from there and start it inline.
_DOCS = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; worker-src blob:; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    b"font-src https://fonts.gstatic.com; img-src 'self' data: https:; frame-ancestors 'none'"
)
# Headers of every answer but a page.
SAFE_HEADERS = [*_ALWAYS, (_CSP, _NOTHING)]
_DOCS_PATHS = ("/docs", "/redoc")
_HEALTH, _API = "/health/", "/api/"


class ConcurrencyLimiter:
    """The requests being answered, each inside a `with`; `is_full` at `most` of them. One per application."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._metrics, self._count = most, metrics, 0

    @property
    def is_full(self) -> bool:
        return self._count >= self._most

    def __enter__(self) -> None:
        self._count += 1
        self._metrics.in_progress.set(self._count)

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        self._metrics.in_progress.set(self._count)


class Guard:
    """ASGI middleware. Health is answered however many requests are under way: a busy reader is not a dead one.

    The caller is authenticated before the body is read, and a request counts only after its body has arrived: half
    requests, and requests without a valid token, take no place of others.
    """

    def __init__(
        self, app: ASGIApp, under_way: ConcurrencyLimiter, authorizer: Authorizer, *, max_body_bytes: int
    ) -> None:
        self._app, self._under_way, self._authorizer = app, under_way, authorizer
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.get("headers", ())
                message["headers"] = [*headers, *_ALWAYS, *_policy(scope, headers), *request_log(scope).headers]
            await send(message)

        try:
            await self._pass_on(scope, receive, guarded)
        except (HTTPException, ServiceUnavailable) as error:  # raised by this middleware; the routes handle their own
            await refusal(error)(scope, receive, guarded)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts, length, has_body = _announced(scope)
        if hosts != 1 and (hosts or scope["http_version"] != "1.0"):
            await error_response(400, MALFORMED)(scope, receive, send)
            return
        if length > self._max_body_bytes:
            raise HTTPException(413, self._too_large())
        if scope["path"].startswith(_HEALTH):
            await self._app(scope, receive, send)
            return
        if has_body and scope["path"].startswith(_API):
            await self._authorizer.authenticate(scope)
            body = await self._whole_body(receive)
            if body is None:  # the client disconnected
                return
            receive = _replay(body, receive)
        if self._under_way.is_full:
            raise ServiceUnavailable("Too many requests are being answered at the moment; try again soon.")
        with self._under_way:
            await self._app(scope, receive, send)

    async def _whole_body(self, receive: Receive) -> bytes | None:
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise HTTPException(413, self._too_large())
            more = message.get("more_body", False)
        return bytes(body)

    def _too_large(self) -> str:
        return f"The body is larger than {self._max_body_bytes} bytes."


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body, which has already been read, and then continues."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed


def _announced(scope: Scope) -> tuple[int, int, bool]:
    """The number of Host headers, the announced length of the body, and whether a body is announced."""
    hosts, length, has_body = 0, 0, False
    for name, value in scope["headers"]:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value) if value.isdigit() else 0
            has_body = has_body or length > 0
        elif name == b"transfer-encoding":
            has_body = True
    return hosts, length, has_body


def _policy(scope: Scope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The Content-Security-Policy of an answer without one: it may load nothing. routes/page.py sets its own."""
    if any(name == _CSP for name, _ in headers):
        return []
    is_html = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
    return [(_CSP, _DOCS if is_html and scope["path"].startswith(_DOCS_PATHS) else _NOTHING)]
