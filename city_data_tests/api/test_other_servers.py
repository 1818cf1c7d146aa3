"""The application is plain ASGI: another server sends the same bytes, from the cache and from the routes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hypercorn.asyncio
import hypercorn.config

from city_data.local.embedded import free_port
from city_data_tests.api.issuer import TENANT_B
from city_data_tests.api.locked import NO_TIME, TOKEN, MakeReader, path, same
from city_data_tests.api.sockets import Connection, written

REQUESTS = [
    written(path(), Authorization=TOKEN, Accept_Encoding="gzip"),
    written(path(), Authorization=TOKEN, Accept_Encoding="identity"),
    written(path(dataset="weather", format="csv"), Authorization=TOKEN),
    written(path(format="parquet"), Authorization=TOKEN),
    written(path(columns="nothing"), Authorization=TOKEN),
    written(path(tenant=TENANT_B), Authorization=TOKEN),
    written(path(), Authorization="Bearer none"),
    written(path()),
    written("/health/live"),
    written("/nothing"),
]


@contextmanager
def by_hypercorn(app: Any) -> Iterator[int]:
    """The port of hypercorn in a thread of its own."""
    settings, port = hypercorn.config.Config(), free_port()
    settings.bind, settings.include_server_header = [f"127.0.0.1:{port}"], False
    settings.errorlog = None
    stop, loop = asyncio.Event(), asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(hypercorn.asyncio.serve(app, settings, shutdown_trigger=stop.wait))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        _await(port)
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _await(port: int) -> None:
    while True:
        try:
            with Connection(port):
                return
        except ConnectionRefusedError:
            continue


def test_hypercorn_sends_the_same_bytes(make_reader: MakeReader) -> None:
    reader, other = make_reader(NO_TIME), make_reader(NO_TIME)
    with by_hypercorn(other.app) as port:
        for request in REQUESTS:
            ours = reader.ask(request, times=2)
            with Connection(port) as connection:
                theirs = [connection.ask(request) for _ in range(2)]
            for one, another in zip(ours, theirs, strict=True):
                assert same(one, another), request
        cached = other.routed
        with Connection(port) as connection:
            assert [connection.ask(request).status for request in REQUESTS[:4]] == [200] * 4
        assert other.routed == cached  # hypercorn lets a client ask again before its answer is cached
    assert reader.routed == 2 * len(REQUESTS) - 4
