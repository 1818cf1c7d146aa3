"""Frames of 24 months beside the histories that they are made of, and beside a COPY of the same rows.

A frame's peer has the same values in as many rows: one request for the history of each of its datasets, with all
columns, one after the other on the same connection. A frame of days stands beside histories of days; so does one of
parts of days, which no history has. Bodies are read as they come, compressed, by a client that decodes nothing. Tokens
are checked. For first reads the reader remembers neither months nor answers; PostgreSQL has the rows in memory, for
the COPY too.
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import psycopg

from city_data.datasets import DATASETS, Dataset, DatasetName
from city_data.local.embedded import EmbeddedPostgres
from city_data.store.training_plans import frame_datasets
from city_data_tests.api.issuer import TENANT_A, Issuer
from city_data_tests.bench.figure import Figure
from city_data_tests.bench.serving import frame_months, world

WARM, FIRST_READS = 41, 11
_EXTERNAL = f"/api/v1/tenants/{TENANT_A}/external"
_TODAY = "2026-10-22T06:00:00+00:00"  # so that the months ahead are stored


@dataclass(frozen=True)
class Question:
    """A frame, and the reads of its peer: the histories of `datasets`, by days or as they are stored."""

    name: str
    path: str
    datasets: Sequence[DatasetName]
    lead: int | None
    peers: Sequence[str]


def run(folder: Path) -> Iterator[Figure]:
    postgres = EmbeddedPostgres(folder / "postgres")
    postgres.start()
    try:
        postgres.create_database("bench")
        url, issuer = postgres.url("bench"), Issuer()
        frame_months.fill(url)
        here = {"CITY_DATA_CITIES": str(frame_months.registry(folder)), "CITY_DATA_AS_OF": _TODAY}
        with world.reader(folder, url, issuer, **here) as reader:
            for question in _questions():
                yield from _warm(reader, question)
            yield Figure("a worker's memory after these reads", reader.megabytes, 220, "MB")
        with (
            world.reader(folder, url, issuer, **here, API_FRAME_BYTES="0", API_ANSWER_BYTES="0") as reader,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            for question in (one for one in _questions() if one.datasets):
                yield _first_read(reader, question, connection)
            yield Figure("a worker's memory after first reads", reader.megabytes, 220, "MB")
    finally:
        postgres.stop()


def _questions() -> list[Question]:
    made = []
    for grid in ("daily", "dayparts", "hourly"):
        for lead in (None, 3):
            datasets = list(frame_datasets("forecast" if lead else None).values())
            chosen = {"weather": "forecast", "lead_days": str(lead)} if lead else {}
            path = _path("operations/training-frame", resolution=grid, **chosen)
            name = f"training frame, {grid}{f', forecast of {lead} days before' if lead else ''}"
            # The history of forecasts has all leads; the one that the frame replaces has as many rows as the frame.
            peers = [_history(DATASETS[one], daily=grid != "hourly") for one in frame_datasets()]
            made.append(Question(name, path, datasets, lead, peers))
    peers = [_history(DATASETS[one], daily=True) for one in frame_datasets()]
    ahead = f"{_EXTERNAL}/forecast-frame?" + urlencode({"latitude": "40.4168", "longitude": "-3.7038", "days": "7"})
    return [*made, Question("forecast frame, daily, 7 days", ahead, [], None, peers)]


def _path(route: str, **more: str) -> str:
    return world.question(**more).replace(world.PATH, f"{_EXTERNAL}/{route}")


def _history(dataset: Dataset, *, daily: bool) -> str:
    more = {"columns": ",".join([*dataset.column_names, "source"])}
    more |= {"resolution": "daily"} if daily and dataset.resolution != "daily" else {}
    return _path(f"operations/historical-{dataset.name}-optimized", **more)


def _warm(reader: world.Reader, question: Question) -> Iterator[Figure]:
    """Beside the histories of all its datasets; and the body's size beside theirs."""
    with _Client(reader) as client:
        for path in (question.path, *question.peers):
            client.read(path)
        frame, peer = [], []
        for _ in range(WARM):
            frame.append(client.read(question.path).ms)
            peer.append(sum(client.read(path).ms for path in question.peers))
        sizes = client.read(question.path).size, sum(client.read(path).size for path in question.peers)
    what = f"{question.name}, warm: {sizes[0] / 1e3:.0f} KB / its histories: {sizes[1] / 1e3:.0f} KB"
    yield Figure(what, statistics.median(frame), 2, "ms", statistics.median(peer))


def _first_read(reader: world.Reader, question: Question, connection: psycopg.Connection[tuple[object, ...]]) -> Figure:
    with _Client(reader) as client:
        client.read(question.path)  # the process's own first: imports and connections
        pairs = [
            (client.read(question.path).ms, frame_months.copy_ms(connection, list(question.datasets), question.lead))
            for _ in range(FIRST_READS)
        ]
    read, copied = (statistics.median(pair[n] for pair in pairs) for n in (0, 1))
    return Figure(f"{question.name}, first read / one COPY of its rows", read, 4, "ms", copied)


@dataclass(frozen=True)
class _Read:
    ms: float
    size: int


class _Client:
    """A connection that is kept, and reads bodies without decoding them."""

    def __init__(self, reader: world.Reader) -> None:
        self._connection = http.client.HTTPConnection(reader.url.removeprefix("http://"), timeout=60)
        self._headers = reader.headers | {"Accept-Encoding": "gzip"}

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def read(self, path: str) -> _Read:
        started = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        ms = (time.perf_counter() - started) * 1000
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body[:200]!r}")
        return _Read(ms, len(body))
