"""Deadlines and limits of sockets, on top of uvicorn's protocol. Belongs here: time limits of a client, the number of
connections, the size of a request's head and of a body's framing.

Does not: requests that have arrived completely (limits.py). uvicorn itself never closes a socket that sends no request
or half of one, does not limit trailers and treats them as headers, and never stops waiting for a client to read.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Generator
from typing import Any, ClassVar, Literal

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import MALFORMED

REQUEST_S, ANSWER_S, KEEP_ALIVE_S, STOPPING_S = 8.0, 5.0, 5, 10
MIN_PROGRESS = 16 * 1024
MAX_HEADER_BYTES = 32 * 1024
DRAIN_POLL_S = 0.1
_SPARE_FILES = 128
_HEADERS_TOO_LARGE = b"431 Request Header Fields Too Large"
_TOO_LARGE = b"The request line and headers are larger than this service takes."
_FRAMING_TOO_LARGE = b"The body's chunks and trailers are larger than this service takes."
_TOO_SLOW = b"The request did not arrive in time."


class WatchedTransport:
    """A transport that is aborted if its peer reads too slowly: in every ANSWER_S it has to take MIN_PROGRESS bytes, or
    all that is left. One timer runs as long as bytes are unsent, also after the server has closed.

    Writes of one turn of the event loop are sent together: a packet and a system call for the head alone, and one for
    each month of a body, took a sixth of the time of a read from memory.
    """

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._timer: TimerHandle | None = None
        self._parts: list[bytes] = []
        self._written = self._taken = self._left = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def stop_watching(self) -> None:
        """Call once the connection is lost."""
        self._parts.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._written += sum(map(len, parts))
            self._transport.writelines(parts)
            if self._timer is None:
                self._watch()

    def _watch(self) -> None:
        self._left = self._transport.get_write_buffer_size()
        self._taken = self._written - self._left
        self._timer = self._loop.call_later(ANSWER_S, self._judge)

    def _judge(self) -> None:
        taken = self._written - self._transport.get_write_buffer_size() - self._taken
        self._timer = None
        if taken < min(MIN_PROGRESS, self._left):
            self._transport.abort()
        elif self._transport.get_write_buffer_size():
            self._watch()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with REQUEST_S for a request to arrive completely. At `most` open sockets, a new connection
    closes the one that has waited longest for its request.
    """

    most: ClassVar[int]
    waiting: ClassVar[dict[GuardedProtocol, None]]

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.watched = WatchedTransport(transport, self.loop)
        self.transport = self.watched  # type: ignore[assignment]
        self._deadline: TimerHandle | None = None
        self._part: Literal["none", "head", "body"] = "none"
        self._completed = self._fed = self._head_bytes = self._body_bytes = self._framing_bytes = 0
        self._refused = False
        if len(self.connections) > self.most:
            next(iter(self.waiting), self).transport.abort()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.watched.stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        part, completed, body_bytes = self._part, self._completed, self._body_bytes
        self._fed = len(data)
        super().data_received(data)
        if self._refused:
            return
        if part == "body" and completed == self._completed:
            # Chunk sizes and their extensions, then trailers, which the parser reports only at the end of the message.
            self._framing_bytes += len(data) - (self._body_bytes - body_bytes)
            if self._framing_bytes > MAX_HEADER_BYTES + self._body_bytes:
                self._refuse(_HEADERS_TOO_LARGE, _FRAMING_TOO_LARGE)
        elif self._part != "body" and completed == self._completed:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES:
                self._refuse(_HEADERS_TOO_LARGE, _TOO_LARGE)
        # Any byte, even an empty line between requests, stops uvicorn's own timer for idle sockets.
        if self._deadline is None and (self._part != "none" or completed == self._completed):
            self._await_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = "head"
        self._body_bytes = self._framing_bytes = 0

    def on_headers_complete(self) -> None:
        may_be_large = self._head_bytes + self._fed > MAX_HEADER_BYTES
        self._part, self._head_bytes = "body", 0
        if may_be_large and _size(self.url, self.headers) > MAX_HEADER_BYTES:
            self._refuse(_HEADERS_TOO_LARGE, _TOO_LARGE)
        else:
            super().on_headers_complete()
        self.headers = []  # the request keeps its own: a trailer must not become a header of it

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._part, self._head_bytes = "none", 0
        self._completed += 1
        if not self._refused:
            super().on_message_complete()
            self._stop_waiting()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._deadline is None and self.cycle.response_complete:
            self.waiting[self] = None  # until uvicorn's own timer closes it, or another connection needs its place

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own text
        if not self._refused:
            self._refuse(b"400 Bad Request", MALFORMED.encode())

    def _await_request(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(REQUEST_S, self._too_slow)
        self.waiting[self] = None

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        if self.pipeline:  # its bytes are left unread while an earlier request is being answered
            self._await_request()
        elif self.transport.get_write_buffer_size() or not (self._head_bytes or self._part == "head"):
            self.transport.abort()
        else:
            self._refuse(b"408 Request Timeout", _TOO_SLOW)

    def _refuse(self, status: bytes, detail: bytes) -> None:
        """Send an error in the shape of all errors, and close; only close if an answer is already being sent."""
        self._refused = True
        cycle = self.cycle
        if cycle is not None and (not cycle.response_complete if self._part != "body" else cycle.response_started):
            self.transport.abort()
            return
        body = b'{"detail": "' + detail + b'"}'
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d" % len(body)
        self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n\r\n" + body)
        self.transport.close()


def _size(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


class Draining(uvicorn.Server):
    """A server that, once stopped, serves on until its connections are closed, at most `drain_s`.

    Each answer closes its connection, so that a client goes elsewhere for its next request. uvicorn closes idle
    connections at once, and a request that is on its way there then is lost.
    """

    def __init__(self, settings: uvicorn.Config, drain_s: float) -> None:
        super().__init__(settings)
        self._drain_s = drain_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain_s
        self.server_state.default_headers.append((b"connection", b"close"))
        while self.server_state.connections and not self.force_exit and loop.time() < end:
            await asyncio.sleep(DRAIN_POLL_S)
        await super().shutdown(sockets)


class Beside(uvicorn.Server):
    """A second server in the loop of the first, which handles the signals and stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def config(app: ASGIApp, host: str, port: int, most: int, *, lifespan: bool = True) -> uvicorn.Config:
    """A server's settings. At most `most` sockets are open at once, or as many as the process may open."""
    protocol = type("Protocol", (GuardedProtocol,), {"most": min(most, _files(most)), "waiting": {}})
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        lifespan="on" if lifespan else "off",
        access_log=False,
        proxy_headers=False,  # nothing depends on a client's address, so no proxy is trusted
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOPPING_S,
    )


def run(main: uvicorn.Config, metrics: uvicorn.Config | None, drain_s: float = 0.0) -> None:
    """Serve until SIGINT or SIGTERM, and drain after it."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=main.get_loop_factory()) as runner:
        runner.run(_serve(Draining(main, drain_s), Beside(metrics) if metrics else None))


async def _serve(server: uvicorn.Server, beside: Beside | None) -> None:
    if beside is None:
        await server.serve()
        return
    task = asyncio.create_task(beside.serve())
    try:
        await server.serve()
    finally:
        beside.should_exit = True
        await task


def _files(wanted: int) -> int:
    """The number of sockets that may be open, after raising the system's limit towards the wanted number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + _SPARE_FILES:
        soft = min(wanted + _SPARE_FILES, hard) if hard != resource.RLIM_INFINITY else wanted + _SPARE_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, soft - _SPARE_FILES)
