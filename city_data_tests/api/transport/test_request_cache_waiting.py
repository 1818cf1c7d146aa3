"""A question asked before whose answer has to be waited for keeps its place, and nobody else from theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import api.query.versions
from api.transport import protocol
from city_data.store.database import DatabaseUnavailable
from city_data_tests.api.conftest import Load, MakeClient
from city_data_tests.api.locked import NO_TIME, TOKEN, MakeReader, Reader, path
from city_data_tests.api.sockets import Answer, Connection, serving, written

REQUEST = written(path(), Authorization=TOKEN)


class Held:
    """A ledger that answers once it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
        self.error = error
        self.asked, self.release, self._read = threading.Event(), threading.Event(), api.query.versions.read_months
        monkeypatch.setattr("api.query.versions.read_months", self)

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.asked.set()
        self.release.wait(10)
        if self.error is not None:
            raise self.error
        return self._read(*args, **more)


@pytest.fixture
def held(make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Reader, Held]]:
    """A reader that knows REQUEST, and whose ledger waits."""
    reader = make_reader(NO_TIME, api_concurrency=1)
    reader.ask(REQUEST)
    ledger = Held(monkeypatch)
    yield reader, ledger
    ledger.release.set()


def test_answers_come_in_the_order_of_their_requests(held: tuple[Reader, Held]) -> None:
    reader, ledger = held
    with Connection(reader.port) as connection:
        connection.socket.sendall(REQUEST)
        assert ledger.asked.wait(5)
        connection.socket.sendall(written("/health/live"))
        ledger.release.set()
        first, second = connection.read(), connection.read()
    assert first.header("etag") is not None
    assert b'"alive"' in second.body


def test_waiting_repeats_count_as_concurrent_requests(held: tuple[Reader, Held]) -> None:
    reader, ledger = held
    with Connection(reader.port) as connection:
        connection.socket.sendall(REQUEST)
        assert ledger.asked.wait(5)
        (busy,) = reader.ask(REQUEST)
        ledger.release.set()
        assert connection.read().status == 200
    assert (busy.status, busy.header("Retry-After")) == (503, "2")
    assert reader.ask(REQUEST)[0].status == 200


def test_client_that_disconnects_does_not_affect_others(held: tuple[Reader, Held]) -> None:
    reader, ledger = held
    with Connection(reader.port) as connection:
        connection.socket.sendall(REQUEST)
        assert ledger.asked.wait(5)
    ledger.release.set()
    until = time.monotonic() + 5
    while (answer := reader.ask(REQUEST)[0]).status != 200:
        assert time.monotonic() < until
    assert answer.body


@pytest.mark.parametrize(("error", "status"), [(None, 200), (DatabaseUnavailable("away"), 503)])
def test_stopping_server_answers_waiting_requests_first(
    make_client: MakeClient, load: Load, monkeypatch: pytest.MonkeyPatch, error: Exception | None, status: int
) -> None:
    for month in ("2025-10", "2025-11"):
        load("traffic", month)
    client = make_client(api_ledger_ttl_s=0)
    request, answers = written(path()), list[Answer]()
    with ExitStack() as stack:
        port = stack.enter_context(serving(client.app))
        connection = stack.enter_context(Connection(port))
        connection.ask(request)
        ledger = Held(monkeypatch, error)
        connection.socket.sendall(request)
        assert ledger.asked.wait(5)
        waiting = threading.Thread(target=lambda: answers.append(connection.read()))
        waiting.start()
        began = time.monotonic()
        threading.Timer(0.3, ledger.release.set).start()
        stack.pop_all().close()  # stops while the ledger is being asked
        waiting.join(10)
    assert [answer.status for answer in answers] == [status]
    assert began + protocol.STOPPING_S > time.monotonic()


def test_client_that_does_not_read_is_disconnected(make_reader: MakeReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ANSWER_S", 0.6)
    reader = make_reader()
    plain = written(path(), Authorization=TOKEN, Accept_Encoding="identity")
    reader.ask(plain)
    with Connection(reader.port) as connection:
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ask_until(connection, plain, began + 10)
        assert time.monotonic() - began < 8


def ask_until(connection: Connection, request: bytes, until: float) -> None:
    """Ask again and again, and read nothing."""
    while time.monotonic() < until:
        connection.socket.sendall(request)
        time.sleep(0.001)
