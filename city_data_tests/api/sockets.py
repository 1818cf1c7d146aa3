"""The real server over real sockets, for what a test client cannot show."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from api.transport import protocol
from city_data.local.embedded import free_port


@contextlib.contextmanager
def serving(app: object, most: int = 4_000, *, lifespan: bool = False, send_buffer: int | None = None) -> Iterator[int]:
    """The port of a server in a separate thread, which stops at the end as at SIGTERM.

    `send_buffer` is the size of each socket's send buffer in the kernel; without it, the kernel's default.
    """
    port = free_port()
    config = protocol.config(app, "127.0.0.1", port, most, lifespan=lifespan)  # type: ignore[arg-type]
    running = protocol.Beside(config)
    listening = socket.create_server(("127.0.0.1", port), backlog=2_048)
    if send_buffer is not None:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    thread = threading.Thread(target=lambda: _run(running, listening))
    thread.start()
    while not running.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        running.should_exit = True
        thread.join()


def _run(running: uvicorn.Server, listening: socket.socket) -> None:
    """Run in the same kind of event loop as `python -m api`."""
    with asyncio.Runner(loop_factory=running.config.get_loop_factory()) as runner:
        runner.run(running.serve(sockets=[listening]))


class Counted:
    """The application, with a count of its requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self.count = app, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.count += 1
        await self._app(scope, receive, send)


class Answer:
    def __init__(self, read: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = read.status, read.getheaders(), read.read()

    def header(self, name: str) -> str | None:
        return next((text for known, text in self.headers if known.lower() == name.lower()), None)


class _Received(io.BufferedReader):
    """What a socket received. `http.client` closes it after each answer, when the buffer may have the next one."""

    def close(self) -> None:
        pass


class _Bytes(io.RawIOBase):
    def __init__(self, of: socket.socket) -> None:
        self._socket = of

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        return self._socket.recv_into(buffer)


class Connection:
    """One socket, which sends the given bytes unchanged; its answers are read one after the other."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=15)
        self._received = _Received(_Bytes(self.socket))

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self, request: bytes) -> Answer:
        self.socket.sendall(request)
        return self.read()

    def read(self) -> Answer:
        with self.socket.makefile("rb", buffering=0):  # which keeps a socket open that is closed meanwhile
            response = http.client.HTTPResponse(self)  # type: ignore[arg-type]  of a socket it calls makefile alone
            response.begin()
            return Answer(response)

    def makefile(self, _: str) -> io.BufferedReader:
        return self._received


def written(path: str, method: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    """A request as a client writes it; `X_Y="z"` is the header `X-Y: z`."""
    lines = [f"{method} {path} HTTP/{version}", "Host: reader"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def sent_until_closed(connection: Connection, block: bytes, most: int) -> int:
    """Bytes that could be sent before the server closed, or `most`."""
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < most:
            connection.socket.sendall(block)
            sent += len(block)
    return sent


@contextlib.contextmanager
def small_windows(port: int, count: int, request: bytes) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            one = stack.enter_context(socket.socket())
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            one.settimeout(15)
            one.connect(("127.0.0.1", port))
            one.sendall(request)
            found.append(one)
        yield found
