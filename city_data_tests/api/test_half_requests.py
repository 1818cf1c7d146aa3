"""Requests that never end, and answers that nobody takes: they cost their sender a socket, and others nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from contextlib import ExitStack

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from api.transport import protocol
from city_data_tests.api.issuer import TENANT_A
from city_data_tests.api.locked import TOKEN, MakeReader, path
from city_data_tests.api.sockets import Connection, sent_until_closed, serving, small_windows, written

SHORT_S = 0.6
POST = f"/api/v1/tenants/{TENANT_A}/external/operations/traffic/historical"
CHUNKED = {"Content_Type": "application/json", "Transfer_Encoding": "chunked"}
QUESTION = json.dumps(
    {"latitude": 40.42, "longitude": -3.7, "start_date": "2025-10-05", "end_date": "2025-10-06"}
).encode()


@pytest.fixture
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same deadlines, sooner."""
    for name in ("REQUEST_S", "ANSWER_S", "KEEP_ALIVE_S"):
        monkeypatch.setattr(protocol, name, SHORT_S)


@pytest.mark.parametrize(
    "trailer",
    [b"X-Endless: " + b"a" * 60_000, b"X: y\r\n" * 10_000],
    ids=["one header without an end", "headers without an end"],
)
@pytest.mark.parametrize("authorization", [{}, {"Authorization": TOKEN}], ids=["a stranger", "a caller"])
def test_endless_trailers_are_cut_off(make_reader: MakeReader, trailer: bytes, authorization: dict[str, str]) -> None:
    """At 166940c 46 MB were taken, and kept: a worker of 201 MB had 858."""
    reader = make_reader()
    with Connection(reader.port) as connection:
        connection.socket.sendall(written(POST, "POST", **CHUNKED, **authorization) + b"0\r\n")
        assert sent_until_closed(connection, trailer, 46_000_000) < 8_000_000  # what two kernels' buffers may hold


@pytest.mark.parametrize("framing", [b"1\r\na\r\n", b"1;" + b"x" * 200 + b"\r\na\r\n"], ids=["small", "extended"])
def test_chunks_that_are_mostly_framing_are_cut_off(make_reader: MakeReader, framing: bytes) -> None:
    reader = make_reader()
    with Connection(reader.port) as connection:
        connection.socket.sendall(written(POST, "POST", Authorization=TOKEN, **CHUNKED))
        assert sent_until_closed(connection, framing * 1_000, 46_000_000) < 8_000_000


def test_header_in_a_trailer_authorises_nobody(make_reader: MakeReader) -> None:
    reader = make_reader()
    body = b"%x\r\n%s\r\n0\r\n" % (len(QUESTION), QUESTION)
    with Connection(reader.port) as connection:
        connection.socket.sendall(written(POST, "POST", **CHUNKED))
        answer = connection.ask(body + f"Authorization: {TOKEN}\r\n\r\n".encode())
        assert (answer.status, answer.header("www-authenticate")) == (401, 'Bearer realm="city_data"')
        whole = connection.ask(written(POST, "POST", Authorization=TOKEN, **CHUNKED) + body + b"X-Sum: 1\r\n\r\n")
        assert (whole.status, whole.header("x-city-id")) == (200, "madrid")


@pytest.mark.parametrize("body", [b"{", b"", b"[]", QUESTION])
def test_body_without_a_token_is_401_whatever_it_is(make_reader: MakeReader, body: bytes) -> None:
    reader = make_reader()
    length = {"Content_Type": "application/json", "Content_Length": str(len(body))}
    (answer,) = reader.ask(written(POST, "POST", **length) + body)
    assert answer.status == 401
    (known,) = reader.ask(written(POST, "POST", Authorization=TOKEN, **length) + body)
    assert known.status == (200 if body == QUESTION else 422)


def test_half_requests_do_not_count_as_concurrent(make_reader: MakeReader) -> None:
    """At 166940c 260 half requests of strangers gave every caller 503."""
    reader = make_reader(api_concurrency=4)
    half = {"Content_Type": "application/json", "Content_Length": "100"}
    with ExitStack() as stack:
        for authorization in [{}] * 20 + [{"Authorization": TOKEN}] * 20:
            one = stack.enter_context(Connection(reader.port))
            one.socket.sendall(written(POST, "POST", **half, **authorization) + b"{")
            if not authorization:
                assert one.read().status == 401
        for number in range(3):
            question = written(path(start_date=f"2025-10-0{number + 1}"), Authorization=TOKEN)
            assert reader.ask(question)[0].status == 200


def test_half_of_a_pipelined_request_is_closed_in_time(make_reader: MakeReader, shorter: None) -> None:
    reader = make_reader()
    reader.ask(written("/health/live"))  # a reader's first answer may take longer than the shortened deadline
    half = {"Content_Type": "application/json", "Content_Length": "100"}
    with Connection(reader.port) as connection:
        both = written("/health/live") + written(POST, "POST", Authorization=TOKEN, **half) + b"{"
        assert connection.ask(both).status == 200
        began = time.monotonic()
        assert connection.socket.recv(100) == b""
        assert time.monotonic() - began < SHORT_S + 3


async def answers_60_kb(scope: Scope, receive: Receive, send: Send) -> None:
    """Less than what uvicorn's transport counts as much, more than the kernel takes here."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"60000")]})
    await send({"type": "http.response.body", "body": b"x" * 60_000})


def rest(stuck: socket.socket) -> bytes:
    """All that comes until the server has closed, or half a second after the last of it."""
    found, more = b"", b"x"
    stuck.settimeout(0.5)
    with contextlib.suppress(ConnectionResetError, TimeoutError):
        while more:
            found += (more := stuck.recv(100_000))
    return found


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_sockets_of_unread_answers_are_closed(shorter: None, connection: str) -> None:
    """At 166940c 40 of 40 sockets were held for 96 s, and every new connection was reset."""
    request = written("/", Connection=connection)
    with serving(answers_60_kb, most=40, send_buffer=4_096) as port, small_windows(port, 40, request) as stuck:
        time.sleep(SHORT_S * 4)  # of the kernels' clocks, which nothing can turn
        assert max(len(rest(one)) for one in stuck) < 60_000
        assert len(httpx.get(f"http://127.0.0.1:{port}/").content) == 60_000


def test_idle_connections_are_closed_for_new_ones(shorter: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "KEEP_ALIVE_S", 60)
    with serving(answers_60_kb, most=10) as port, ExitStack() as stack:
        idle = [stack.enter_context(Connection(port)) for _ in range(10)]
        for one in idle:
            assert one.ask(written("/")).status == 200
        assert len(httpx.get(f"http://127.0.0.1:{port}/").content) == 60_000
        assert idle[0].socket.recv(1) == b""
        assert idle[1].ask(written("/")).status == 200


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nhost: a\r\n"])
@pytest.mark.parametrize("target", [path(), "/health/live", "/nothing"])
def test_not_exactly_one_host_is_400(make_reader: MakeReader, hosts: bytes, target: str) -> None:
    reader = make_reader()
    reader.ask(written(target, Authorization=TOKEN))
    request = f"GET {target} HTTP/1.1\r\n".encode() + hosts + f"Authorization: {TOKEN}\r\n\r\n".encode()
    (answer,) = reader.ask(request)
    assert (answer.status, json.loads(answer.body)) == (400, {"detail": "Malformed HTTP request."})


def test_expensive_answers_cost_more_of_the_rate_limit(make_reader: MakeReader) -> None:
    reader = make_reader(api_rate_per_s=0.001, api_rate_burst=20)

    def left(**query: str) -> tuple[int, int]:
        (answer,) = reader.ask(written(path(**query), Authorization=TOKEN))
        return answer.status, int(answer.header("ratelimit-remaining") or -1)

    assert left() == (200, 19)
    assert left() == (200, 18)
    assert left(columns="traffic_volume") == (200, 15)  # the request, and two months to make
    assert left(columns="traffic_volume") == (200, 14)  # known by now
    assert left(format="parquet") == (200, 11)
    assert left(columns="source") == (200, 8)
    assert left(columns="average_speed") == (200, 5)
    assert left(columns="congestion_level") == (200, 2)
    assert left(columns="pedestrian_count") == (429, 1)
    assert left() == (200, 0)
