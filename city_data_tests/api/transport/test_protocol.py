"""Sockets as an attacker opens them, against the real server: none of them may keep the others out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from api.transport import protocol
from city_data_tests.api.conftest import TENANT, MakeClient
from city_data_tests.api.sockets import Connection, serving, written

SHORT_S = 0.6
BIG = b"x" * 30_000_000


@pytest.fixture
def port(client: TestClient) -> Iterator[int]:
    """The reader itself."""
    with serving(client.app) as number:
        yield number


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same deadlines, sooner."""
    monkeypatch.setattr(protocol, "REQUEST_S", SHORT_S)
    monkeypatch.setattr(protocol, "ANSWER_S", SHORT_S)
    monkeypatch.setattr(protocol, "KEEP_ALIVE_S", SHORT_S)


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", port)
        yield [stack.enter_context(socket.create_connection(address, timeout=15)) for _ in range(count)]


@contextlib.contextmanager
def connect(port: int) -> Iterator[socket.socket]:
    with connected(port, 1) as (one,):
        yield one


def rest(open_socket: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := open_socket.recv(1_000_000):
            found += part
    return found


def alive(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5).status_code == 200


def test_deadlines_lie_under_ten_seconds() -> None:
    assert max(protocol.REQUEST_S, protocol.ANSWER_S, protocol.KEEP_ALIVE_S) < 10


def test_thousand_idle_or_slow_sockets_are_closed_and_block_no_client(port: int) -> None:
    began = time.monotonic()
    with connected(port, 1_000) as idle, connected(port, 50) as slow:
        for one in slow:
            one.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        while time.monotonic() - began < protocol.REQUEST_S - 3:
            for one in slow:
                one.sendall(b"a")
            assert alive(port)
            time.sleep(0.5)
        assert {rest(one) for one in idle} == {b""}
        assert all(rest(one).startswith(b"HTTP/1.1 408 Request Timeout\r\n") for one in slow)
        assert time.monotonic() - began < 10
        assert alive(port)


BODY = f"POST /api/v1/tenants/{TENANT}/external/operations/traffic/historical HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET / HT", b"408 Request Timeout"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"408 Request Timeout"),
        (b"\r\n", b"408 Request Timeout"),
        (BODY + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{", b""),
        (BODY + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", b""),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n\r\n", b'"alive"'),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /hea", b'"alive"'),
    ],
)
@pytest.mark.usefixtures("shorter")
def test_half_request_is_closed_at_its_deadline(
    port: int, monkeypatch: pytest.MonkeyPatch, sent: bytes, answer: bytes
) -> None:
    with connect(port) as one:
        one.sendall(sent)
        began = time.monotonic()
        assert answer in rest(one)
        assert time.monotonic() - began < SHORT_S + 2


@pytest.mark.usefixtures("shorter")
def test_complete_request_has_no_deadline_for_its_answer() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(SHORT_S * 2)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with serving(slow) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "ok"


async def big(scope: Scope, receive: Receive, send: Send) -> None:
    length = str(len(BIG)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": BIG})


@pytest.mark.usefixtures("shorter")
def test_client_that_reads_nothing_is_disconnected_and_slow_client_gets_the_whole_answer() -> None:
    with serving(big) as port, connected(port, 2) as (stuck, slow):
        for one in (stuck, slow):
            one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        taken = 0
        began = time.monotonic()
        while taken < len(BIG):
            taken += len(slow.recv(200_000))
            time.sleep(0.015)
        assert time.monotonic() - began > SHORT_S * 3
        assert len(rest(stuck)) < len(BIG)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 40_000 + b"\r\n\r\n",
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 40_000,
        b"GET /" + b"a" * 40_000,
        b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    ],
)
def test_headers_over_the_limit_are_431(port: int, head: bytes) -> None:
    with connect(port) as one:
        one.sendall(head)
        assert rest(one).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert alive(port)


@pytest.mark.parametrize(
    "sent", [b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: 2%L\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"]
)
def test_malformed_http_is_400_in_the_shape_of_all_errors(port: int, sent: bytes) -> None:
    with connect(port) as one:
        one.sendall(sent)
        answer = rest(one)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b'{"detail": "Malformed HTTP request."}')


def test_new_connection_at_the_limit_closes_the_longest_idle_one(client: TestClient) -> None:
    with serving(client.app, most=20) as port, connected(port, 20) as idle:
        assert alive(port)
        assert rest(idle[0]) == b""
        idle[1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            idle[1].recv(1)


def test_stopped_server_answers_until_its_clients_have_gone_elsewhere(client: TestClient) -> None:
    """A request that was on its way when the server was stopped is answered, and closes its connection."""
    running = protocol.Draining(protocol.config(client.app, "127.0.0.1", 0, 100, lifespan=False), drain_s=30)
    listening = socket.create_server(("127.0.0.1", 0))
    number = listening.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[listening])))
    thread.start()
    with Connection(number) as kept, Connection(number) as other:
        for one in (kept, other):
            assert one.ask(written("/health/live")).header("connection") is None
        running.should_exit = True
        while running.server_state.default_headers[-1:] != [(b"connection", b"close")]:
            time.sleep(0.01)
        answers = [one.ask(written("/health/live")) for one in (kept, other)]
        assert [(answer.status, answer.header("connection")) for answer in answers] == [(200, "close")] * 2
        with Connection(number) as late:
            assert late.ask(written("/health/live")).status == 200
        thread.join(10)
        assert not thread.is_alive()


def test_concurrent_requests_over_the_limit_are_503_except_health(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make_client(api_concurrency=1)
    held, release = threading.Event(), threading.Event()

    def waits(*_: object, **__: object) -> list[object]:
        held.set()
        release.wait(10)
        return []

    monkeypatch.setattr("api.query.versions.read_months", waits)
    with serving(client.app) as port:
        url = f"http://127.0.0.1:{port}"
        first = threading.Thread(target=lambda: httpx.get(f"{url}/api/v1/cities/madrid/data-availability"))
        first.start()
        assert held.wait(5)
        busy = httpx.get(f"{url}/api/v1/cities")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "2")
        assert busy.json()["detail"].startswith("Too many requests are being answered")
        assert alive(port)
        release.set()
        first.join()
        assert httpx.get(f"{url}/api/v1/cities").status_code == 200


def test_head_and_body_of_an_answer_leave_together() -> None:
    class Recording(asyncio.Transport):
        def __init__(self) -> None:
            super().__init__()
            self.sent: list[list[bytes]] = []

        def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
            self.sent.append([bytes(part) for part in parts])

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            self.sent.append([])

        def get_write_buffer_size(self) -> int:
            return 0

    async def written() -> list[list[bytes]]:
        recording = Recording()
        watched = protocol.WatchedTransport(recording, asyncio.get_running_loop())
        for part in (b"head", b"body"):
            watched.write(part)
        await asyncio.sleep(0)
        watched.write(b"the last")
        watched.close()
        watched.stop_watching()
        return recording.sent

    assert asyncio.run(written()) == [[b"head", b"body"], [b"the last"], []]
