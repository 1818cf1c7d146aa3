"""Equal tags mean equal bytes, whatever is loaded while a repeated request waits for the store."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from city_data.store import month_bodies
from city_data.store.database import Database
from city_data.store.partitions import drop_month
from city_data.window import Month
from city_data_tests.api.conftest import LOADED, Load
from city_data_tests.api.locked import NO_TIME, TOKEN, MakeReader, path
from city_data_tests.api.sockets import Answer, Connection, written

COLD = {"api_segment_bytes": 0, "api_answer_bytes": 0}
REQUEST = written(path(dataset="weather"), Authorization=TOKEN, Accept_Encoding="identity")


class FirstReadWaits:
    """The store's segments; the first read has them, and waits before it hands them over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arrived, self.release = threading.Event(), threading.Event()
        self._read, self._is_first = month_bodies.store_segments.read_segments, True
        monkeypatch.setattr(month_bodies.store_segments, "read_segments", self)

    def __call__(self, *args: Any, **more: Any) -> Any:
        waits, self._is_first = self._is_first, False
        found = self._read(*args, **more)
        if waits:
            self.arrived.set()
            assert self.release.wait(10)
        return found


def test_load_between_two_equal_cold_requests_mixes_no_heads(
    make_reader: MakeReader, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of one length: bodies of two versions differ, and their Content-Length does not."""
    load("weather", "2025-10", at=LOADED + timedelta(hours=1), add=200.0)
    reader = make_reader(NO_TIME, **COLD)
    reader.ask(REQUEST)  # from now on it is a repeated request
    store = FirstReadWaits(monkeypatch)
    with Connection(reader.port) as slow, Connection(reader.port) as quick:
        slow.socket.sendall(REQUEST)
        assert store.arrived.wait(10)
        load("weather", "2025-10", at=LOADED + timedelta(hours=2), add=300.0)
        new = quick.ask(REQUEST)
        store.release.set()
        old = slow.read()
    again = reader.ask(REQUEST)[0]
    assert (len(old.body), old.body != new.body) == (len(new.body), True)
    for answer in (old, new, again):
        assert answer.body == named(reader, answer).body
    assert (old.header("etag"), old.header("x-snapshot-id")) != (new.header("etag"), new.header("x-snapshot-id"))
    assert again.header("etag") == new.header("etag")


def test_month_reloaded_during_a_read_is_not_served_under_its_old_version(
    make_reader: MakeReader, load: Load, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new life of the month has the same version number and the same number of rows."""
    reader, read = make_reader(NO_TIME, **COLD), month_bodies.store_segments.read_segments
    reader.ask(REQUEST)

    def reloaded_before(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(month_bodies.store_segments, "read_segments", read)
        drop_month(database, Month(2025, 10))
        load("weather", "2025-10", at=LOADED + timedelta(hours=1), add=300.0)
        return read(*args, **more)

    monkeypatch.setattr(month_bodies.store_segments, "read_segments", reloaded_before)
    (answer,) = reader.ask(REQUEST)
    assert json.loads(answer.body)[0]["temperature"] >= 300.0
    assert (answer.body, answer.header("etag")) == (named(reader, answer).body, reader.ask(REQUEST)[0].header("etag"))


def named(reader: Any, answer: Answer) -> Answer:
    """The answer that its own snapshot id brings."""
    version = answer.header("x-snapshot-id") or ""
    request = written(path(dataset="weather", version=version), Authorization=TOKEN, Accept_Encoding="identity")
    found: Answer = reader.ask(request)[0]
    return found
