"""Sockets. Belongs here: how long a client may take, how many may be connected, how much a header may hold; running.

Does not: requests that have arrived whole (limits.py). uvicorn alone never closes a socket that sends no request or
half of one: its own timeout counts only after an answer, and any byte stops it. Granian keeps half a body open
(measured).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import resource
from asyncio import TimerHandle, Transport
from collections.abc import Generator, Iterable
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.transport.request_cache import REQUEST, RequestCache

REQUEST_S, ANSWER_S, KEEP_ALIVE_S, STOPPING_S = 8.0, 5.0, 5, 10
MIN_PROGRESS = 16 * 1024
MAX_HEADER_BYTES = 32 * 1024
_SPARE_FILES = 128
_HEAD = b"HTTP/1.1 "
_TOO_LARGE = b"The request line and headers are larger than this service takes."
_NO_HTTP = b"This is no HTTP request."
_TOO_SLOW = b"The request did not arrive in time."


class JoiningTransport:
    """Holds an answer's head until its body comes, in the same turn of the loop: two writes are two packets and two
    calls of the system, which were half of what a read costs (measured).
    """

    def __init__(self, transport: Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.writelines((head, data))
        elif data.startswith(_HEAD) and len(data) <= MAX_HEADER_BYTES:
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self._flush()
        self._transport.writelines(parts)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with deadlines: REQUEST_S for a request to arrive whole, and MIN_PROGRESS bytes of an answer
    taken in every ANSWER_S. Where `most` sockets are open, the one that has waited longest for its request must go.
    """

    most: ClassVar[int]
    waiting: ClassVar[dict[GuardedProtocol, None]]
    hits: ClassVar[RequestCache | None]

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = JoiningTransport(transport, self.loop)  # type: ignore[assignment]
        self._deadline: TimerHandle | None = None
        self._stall: TimerHandle | None = None
        self._head_bytes, self._in_head, self._refused = 0, True, False
        self._begun = self._ended = 0
        self._fetching: asyncio.Task[list[bytes] | None] | None = None
        self._stopping = False
        if len(self.connections) > self.most:
            next(iter(self.waiting), self).transport.abort()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        self._set_stall(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        idle = answered and self._begun == self._ended
        if idle and self.hits is not None and self._hit(self.hits, data):
            return
        # Any byte, even an empty line between requests, stops uvicorn's own timer for idle sockets.
        if self._deadline is None and answered:
            self._await_request()
        self._take(data, alone=idle)
        if self._in_head and not self._refused:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEADER_BYTES:
                self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        self._head_bytes, self._in_head = 0, True

    def on_headers_complete(self) -> None:
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEADER_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", _TOO_LARGE)
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._ended += 1
        if not self._refused:
            super().on_message_complete()
            self._arrived()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's words, as plain text
        if not self._refused:
            self._refuse(b"400 Bad Request", _NO_HTTP)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        self._set_stall(None)
        super().resume_writing()

    def _hit(self, hits: RequestCache, data: bytes) -> bool:
        """Answer a question asked before, unless the last answer still waits to be taken."""
        seen = None if self.flow.write_paused or self.transport.is_closing() else hits.find(data)
        if seen is None:
            return False
        self._arrived()
        self._unset_keepalive_if_required()
        opening = self.server_state.default_headers
        parts = hits.answer(seen, opening)
        if parts is not None:
            self._send(parts)
            return True
        self.flow.pause_reading()
        self._fetching = self.loop.create_task(hits.fetch(seen, opening))
        self.tasks.add(self._fetching)  # type: ignore[arg-type]  # those that a server waits for when it stops
        self._fetching.add_done_callback(functools.partial(self._fetched, data))
        return True

    def _fetched(self, data: bytes, task: asyncio.Task[list[bytes] | None]) -> None:
        self._fetching = None
        self.tasks.discard(task)
        if task.cancelled() or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if error := task.exception():
            self.loop.call_exception_handler({"message": "a question asked before", "exception": error})
        parts = task.result() if error is None else None
        if parts is None:  # whatever is wrong, the routes find it too, and say it
            self._take(data)
        else:
            self._send(parts)
        if self._stopping:
            self.shutdown()

    def _send(self, parts: list[bytes]) -> None:
        self.transport.writelines(parts)
        self.on_response_complete()

    def shutdown(self) -> None:
        if self._fetching is not None:
            self._stopping = True  # the answer first
        else:
            super().shutdown()

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_S, self._too_slow)
        self.waiting[self] = None

    def _arrived(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        began = self._head_bytes > 0 or not self._in_head
        under_way = self.cycle is not None and not self.cycle.response_complete
        if self.transport.get_write_buffer_size() or under_way or not began:
            self.transport.abort()
        else:
            self._refuse(b"408 Request Timeout", _TOO_SLOW)

    def _take(self, data: bytes, *, alone: bool = True) -> None:
        """The long way; `alone` where nothing came before in the same request."""
        begun = self._begun
        super().data_received(data)
        if alone and self._begun == self._ended == begun + 1 and not self._refused:
            self.cycle.scope[REQUEST] = data  # type: ignore[literal-required]

    def _refuse(self, status: bytes, detail: bytes) -> None:
        """In the error shape of all answers; then closed."""
        self._refused = True
        body = b'{"detail": "' + detail + b'"}'
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d" % len(body)
        self.transport.write(b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n\r\n" + body)
        self.transport.close()

    def _watch_answer(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._set_stall(self.loop.call_later(ANSWER_S, self._judge_answer, left))

    def _judge_answer(self, left_before: int) -> None:
        if left_before - self.transport.get_write_buffer_size() < MIN_PROGRESS:
            self.transport.abort()
        else:
            self._watch_answer()

    def _set_stall(self, timer: TimerHandle | None) -> None:
        if self._stall is not None:
            self._stall.cancel()
        self._stall = timer


class Beside(uvicorn.Server):
    """A second server in the loop of the first, which alone hears signals and stops it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def config(
    app: ASGIApp, host: str, port: int, most: int, *, lifespan: bool = True, hits: RequestCache | None = None
) -> uvicorn.Config:
    """A server's settings. At most `most` sockets are open at once, or what the process may open.

    `hits` are asked before the application."""
    protocol = type("Protocol", (GuardedProtocol,), {"most": min(most, _files(most)), "waiting": {}, "hits": hits})
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        lifespan="on" if lifespan else "off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOPPING_S,
    )


def run(main: uvicorn.Config, metrics: uvicorn.Config | None) -> None:
    """Serve until SIGINT or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=main.get_loop_factory()) as runner:
        runner.run(_serve(uvicorn.Server(main), Beside(metrics) if metrics else None))


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
    """How many sockets may be open, after asking the system for as many as are wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + _SPARE_FILES:
        soft = min(wanted + _SPARE_FILES, hard) if hard != resource.RLIM_INFINITY else wanted + _SPARE_FILES
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, soft - _SPARE_FILES)
