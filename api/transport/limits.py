"""What every request and answer passes. Belongs here: caps on a body and on requests under way, headers for safety.

Does not: slow or idle sockets (protocol.py), or who asks (auth/gate.py). Plain ASGI: Starlette's BaseHTTPMiddleware
passes a body through a queue, which costs more than serving it.
"""

from __future__ import annotations

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import RETRY_AFTER_S, error_response
from api.observability import Metrics, request_log

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_CSP = b"content-security-policy"
_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
# FastAPI's documentation pages, on this machine only, load a script from there and start it from the page.
_DOCS = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net; worker-src blob:; "
    b"style-src 'self' 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com; "
    b"font-src https://fonts.gstatic.com; img-src 'self' data: https:; frame-ancestors 'none'"
)
# Of every answer that is no page.
SAFE_HEADERS = [*_ALWAYS, (_CSP, _NOTHING)]
_DOCS_PATHS = ("/docs", "/redoc")
_HEALTH = "/health/"


class ConcurrencyLimiter:
    """The requests that are being answered, each inside a `with`: at most `most` are to be let in. One an app."""

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
    """ASGI middleware. Health is answered however many requests are under way: a busy reader is not a dead one."""

    def __init__(self, app: ASGIApp, under_way: ConcurrencyLimiter, *, max_body_bytes: int) -> None:
        self._app, self._under_way, self._max_body_bytes = app, under_way, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                message["headers"] = [*own, *_ALWAYS, *_policy(scope, own), *request_log(scope).headers]
            await send(message)

        length, chunked = _body(scope)
        if length > self._max_body_bytes:
            await error_response(413, self._too_large())(scope, receive, guarded)
        elif scope["path"].startswith(_HEALTH):
            await self._app(scope, receive, guarded)
        elif self._under_way.is_full:
            detail = "More requests are under way than this service takes at once; ask again soon."
            await error_response(503, detail, {"Retry-After": str(RETRY_AFTER_S)})(scope, receive, guarded)
        else:
            with self._under_way:
                await self._app(scope, self._counting(receive) if chunked else receive, guarded)

    def _counting(self, receive: Receive) -> Receive:
        """A body of unannounced length, refused once it has passed the cap."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, self._too_large())
            return message

        return counted

    def _too_large(self) -> str:
        return f"The body is larger than {self._max_body_bytes} bytes."


def _body(scope: Scope) -> tuple[int, bool]:
    """The announced length, and whether the length is not announced."""
    length, chunked = 0, False
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"transfer-encoding":
            chunked = True
    return length, chunked


def _policy(scope: Scope, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What an answer that states none may load: nothing. The page of routes/page.py states its own."""
    if any(name == _CSP for name, _ in headers):
        return []
    is_html = any(name == b"content-type" and value.startswith(b"text/html") for name, value in headers)
    return [(_CSP, _DOCS if is_html and scope["path"].startswith(_DOCS_PATHS) else _NOTHING)]
