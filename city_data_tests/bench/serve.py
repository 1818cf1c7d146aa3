"""The reader under load, beside nginx, COPY, the original plan's endpoint and two peers, each as a ratio of one run.

Load comes from wrk in a process of its own, over loopback alone, in short rounds that take turns. nginx and wrk are
Debian's (`.ci/tools nginx wrk` unpacks them); what cannot be had is told as skipped.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

import httpx
import psycopg

from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis
from city_data_tests.api.issuer import Issuer
from city_data_tests.bench.figure import Figure
from city_data_tests.bench.serving import peers, world
from city_data_tests.bench.serving.load import Measured, NotAnswered, measure
from city_data_tests.tools import find_program

ROUNDS, SECONDS = 3, 2
# An hour of it, as a worker is promised to bear: BENCH_MIX_S=3600.
MIX_S = int(os.environ.get("BENCH_MIX_S", "60"))
GIVEN_BACK_S = 12  # a worker gives back the memory of answers under way every ten seconds
# Another checkout of this project, whose reader is measured in turn with this one: BENCH_BESIDE=../before.
BESIDE = os.environ.get("BENCH_BESIDE")
COLD_CITIES = 9
WHOLE = world.question()
Rates = dict[str, Measured]


def run(folder: Path) -> Iterator[Figure]:
    """Each figure as it is measured; a peer that falls over costs its own figures alone."""
    folder.chmod(0o755)
    wrk, nginx = find_program("wrk"), find_program("nginx")
    if wrk is None:
        yield Figure.skipped("the reader under load", "wrk is not here; `.ci/tools nginx wrk` brings it on Debian")
        return
    with ExitStack() as stack:
        postgres, stores = EmbeddedPostgres(folder / "postgres"), []
        postgres.start()
        stack.callback(postgres.stop)
        for name in ("bench", "beside"):
            redis = EmbeddedRedis(folder / f"redis-{name}")
            redis.start()
            stack.callback(redis.stop)
            postgres.create_database(name)
            stores.append(world.Store(postgres.url(name), redis.url))
        ours, other = stores
        beside = other._replace(checkout=Path(BESIDE).resolve(strict=True)) if BESIDE else None
        yield from Bench(folder, ours, beside, wrk, nginx).figures()


class Bench:
    def __init__(
        self, folder: Path, store: world.Store, beside: world.Store | None, wrk: str, nginx: str | None
    ) -> None:
        self._folder, self._store, self._beside = folder, store, beside
        self._url, self._redis_url, _ = store
        self._wrk, self._nginx, self._issuer = wrk, nginx, Issuer()

    def figures(self) -> Iterator[Figure]:
        world.fill(self._url)
        with world.reader(self._folder, self._url, self._issuer, CITY_DATA_REDIS_URL=self._redis_url) as reader:
            bodies = self._bodies(reader)
            yield from self._against_nginx(reader, bodies)
            yield from _unless_it_falls(reader, "the original plan", lambda: self._against_the_plan(reader))
            yield from self._against_peers(reader, bodies["parquet"])
            yield self._memory_after_a_mix(reader)
        yield from self._cold()
        yield from self._flat()

    def _bodies(self, reader: world.Reader) -> dict[str, bytes]:
        """What the reader sends for each form, for nginx to send the same."""
        found = {}
        for name, (path, encoding) in _FORMS.items():
            with httpx.stream("GET", reader.url + path, headers=_headers(reader, encoding), timeout=60) as response:
                response.raise_for_status()
                found[name] = b"".join(response.iter_raw())
                if int(response.headers["content-length"]) != len(found[name]):
                    raise RuntimeError(f"{name}: {len(found[name])} bytes")
        return found

    def _against_nginx(self, reader: world.Reader, bodies: dict[str, bytes]) -> Iterator[Figure]:
        with ExitStack() as stack:
            work = self._work(stack, self._store, reader)
            before: dict[str, Callable[[], Measured]] = {}
            if self._beside is not None:
                world.fill_by(self._beside)
                before = {f"before {name}": one for name, one in self._work(stack, self._beside).items()}
            floors: dict[str, Callable[[], Measured]] = {}
            if self._nginx is not None:
                base = stack.enter_context(peers.nginx(self._nginx, self._folder, bodies))
                floors = {f"nginx {name}": self._at(base, [f"/{name}"], {}) for name in ("gzip", "arrow", "parquet")}
            rates = _alternate(work | before | floors)
        for name, of, limit in _RATIOS:
            what = f"{_NAMES[name]} / nginx, the same file"
            if floors:
                yield _faster(what, rates[name], rates[f"nginx {of}"].per_second, limit)
            else:
                yield Figure.skipped(what, "nginx is not here; `.ci/tools nginx wrk` brings it on Debian")
        for name, limit in _BESIDE.items() if before else ():
            yield _faster(
                f"{_NAMES[name]} / the checkout beside", rates[name], rates[f"before {name}"].per_second, limit
            )
        pair = _alternate({name: work[name] for name in ("zstd", "gzip")}, rounds=7)
        yield _faster("zstd, asked before / gzip", pair["zstd"], pair["gzip"].per_second, 1.0)
        yield Figure("gzip from cache, 8 connections: p99", rates["gzip"].p99_ms, 25, "ms")

    def _work(
        self, stack: ExitStack, store: world.Store, reader: world.Reader | None = None
    ) -> dict[str, Callable[[], Measured]]:
        """The loads, each on a reader of the store's code with the caches that it is about."""

        def started(**changes: str) -> world.Reader:
            changes["CITY_DATA_REDIS_URL"] = store.redis_url
            code = store.checkout
            return stack.enter_context(world.reader(self._folder, store.database_url, self._issuer, code, **changes))

        reader = reader or started()
        work = {name: self._load(reader, [path], encoding) for name, (path, encoding) in _FORMS.items()}
        return work | {
            "spliced": self._load(started(API_ANSWER_BYTES="0"), world.ranges(), "gzip"),
            "redis": self._load(started(API_ANSWER_BYTES="0", API_SEGMENT_BYTES="0"), world.equal_ranges(), "gzip"),
            "routed": self._load(reader, [f"{WHOLE}&resolution=native"], "gzip"),
        }

    def _against_the_plan(self, reader: world.Reader) -> Iterator[Figure]:
        start, end = world.FIRST.bounds(world.ZONE)[0], world.LAST.bounds(world.ZONE)[1]
        query = str(httpx.QueryParams({"city_id": "madrid", "start": start.isoformat(), "end": end.isoformat()}))
        with peers.reference(self._url, self._redis_url) as base:
            for path in ("/plan", "/cached"):
                answer = httpx.get(f"{base}{path}?{query}", timeout=60).raise_for_status()
                if len(answer.json()) != world.ROWS:
                    raise RuntimeError(f"{path}: {len(answer.json())} records")
            ours = self._load(reader, [WHOLE], "gzip")()
            cached = self._at(base, [f"/cached?{query}"], {}, seconds=8)()
            plan = self._at(base, [f"/plan?{query}"], {}, seconds=16)()
        yield _faster("gzip, asked before / the plan's endpoint as written", ours, plan.per_second, 500)
        yield _faster("gzip, asked before / the plan's cache path", ours, cached.per_second, 50)

    def _against_peers(self, reader: world.Reader, parquet: bytes) -> Iterator[Figure]:
        try:
            into = peers.environment(self._folder)
        except subprocess.CalledProcessError as error:
            yield Figure.skipped("Datasette and ROAPI", f"not installed: {error}")
            return
        for name, opened in (
            ("Datasette", lambda: peers.datasette(into, self._folder, self._url)),
            ("ROAPI", lambda: peers.roapi(into, self._folder, parquet)),
        ):
            yield from _unless_it_falls(reader, name, partial(self._against_peer, reader, name, opened))

    def _against_peer(
        self, reader: world.Reader, name: str, opened: Callable[[], AbstractContextManager[str]]
    ) -> Iterator[Figure]:
        with opened() as url:
            if len(httpx.get(url, timeout=60).json()) != world.ROWS:
                raise NotAnswered(url, "not all rows")
            base, path = url[: url.index("/", 8)], url[url.index("/", 8) :]
            theirs = self._at(base, [path], {}, seconds=8)
            rates = _alternate({"theirs": theirs, "plain": self._load(reader, [WHOLE], "identity")}, rounds=1)
        yield _faster(f"JSON, not compressed / {name}", rates["plain"], rates["theirs"].per_second, 1.0)
        medians = rates["plain"].median_ms, rates["theirs"].median_ms
        yield Figure(f"the same, median latency / {name}", medians[0], 1.0, "ms", medians[1])

    def _memory_after_a_mix(self, reader: world.Reader) -> Figure:
        """Every form of many ranges, one after the other, for MIX_S seconds."""
        chance, until, asked = random.Random(3), time.monotonic() + MIX_S, 0
        peak = 0.0
        while time.monotonic() < until:
            kind = chance.choice(["json", "ndjson", "csv", "arrow", "parquet"])
            paths = [f"{path}&format={kind}" for path in chance.sample(world.ranges(), 20)]
            paths += [f"{path}&resolution=daily&include=raw" for path in chance.sample(world.ranges(), 3)]
            paths += [path.replace("historical-traffic-optimized", "training-frame") for path in paths[:2]]
            encoding = chance.choice(["gzip", "zstd", "identity"])
            asked += round(self._load(reader, paths, encoding, seconds=3)().per_second * 3)
            peak = max(peak, reader.megabytes)
        time.sleep(GIVEN_BACK_S)
        what = f"a worker's memory after {MIX_S:g} s of {asked} mixed reads (highest {peak:.0f} MB)"
        return Figure(what, reader.megabytes, 220, "MB")

    def _cold(self) -> Iterator[Figure]:
        """Every city's first read in a reader that has no cache, by turns with a COPY of the same rows."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            world.multiply(self._url, COLD_CITIES)
            world.multiply_rows(connection, COLD_CITIES)
            cities = world.registry(self._folder, COLD_CITIES)
            with world.reader(self._folder, self._url, self._issuer, CITY_DATA_CITIES=str(cities)) as reader:
                _timed(reader, WHOLE)  # the process's own first: imports and connections
                pairs = [
                    (_timed(reader, world.question(**world.place(n))), world.copied(connection, f"s{n}"))
                    for n in range(1, COLD_CITIES + 1)
                ]
        read, copied = (statistics.median(pair[n] for pair in pairs) for n in (0, 1))
        yield Figure("first read of a city, no cache / one COPY of its rows", read, 5, "ms", copied)

    def _flat(self) -> Iterator[Figure]:
        """The ledger asked at every read, so that its size could show."""
        medians = []
        for cities in (3, 3_000):
            world.multiply(self._url, cities, first=COLD_CITIES + 1 if cities == 3 else COLD_CITIES + 4)
            changes = {"API_LEDGER_TTL_S": "0", "CITY_DATA_CITIES": str(world.registry(self._folder, cities))}
            with world.reader(self._folder, self._url, self._issuer, **changes) as reader:
                rounds = [self._load(reader, [WHOLE], "gzip", connections=1)() for _ in range(ROUNDS)]
                medians.append(statistics.median(one.median_ms for one in rounds))
        yield Figure("latency with 3,000 cities in tables and registry / with 3", medians[1], 1.3, "ms", medians[0])

    def _load(
        self,
        reader: world.Reader,
        paths: list[str],
        encoding: str,
        seconds: int = SECONDS,
        connections: int = 8,
        **headers: str,
    ) -> Callable[[], Measured]:
        return self._at(reader.url, paths, _headers(reader, encoding) | headers, seconds, connections)

    def _at(
        self, base: str, paths: list[str], headers: dict[str, str], seconds: int = SECONDS, connections: int = 8
    ) -> Callable[[], Measured]:
        return lambda: measure(self._wrk, base, paths, headers, self._folder, seconds=seconds, connections=connections)


_FORMS = {
    "gzip": (WHOLE, "gzip"),
    "zstd": (WHOLE, "zstd"),
    "arrow": (f"{WHOLE}&format=arrow", "identity"),
    "parquet": (f"{WHOLE}&format=parquet", "identity"),
}
_NAMES = {
    "gzip": "gzip, a range asked before",
    "zstd": "zstd, a range asked before",
    "spliced": "gzip, 900 other ranges, spliced from memory",
    "redis": "gzip, spliced from Redis",
    "routed": "gzip, a range asked before, by the routes",  # whose resolution is never cached
    "arrow": "Arrow",
    "parquet": "Parquet",
}
_RATIOS = (
    ("gzip", "gzip", 0.33),
    ("spliced", "gzip", 0.2),
    ("redis", "gzip", 0.1),
    ("routed", "gzip", 0.1),
    ("arrow", "arrow", 0.4),
    ("parquet", "parquet", 0.4),
)


# Of the speed of the checkout beside; the last is shown alone, as no promise is about it.
_BESIDE = {"gzip": 0.7, "zstd": 0.7, "spliced": 0.9, "redis": 0.9, "arrow": 1.0, "parquet": 1.0, "routed": 0.0}


def _unless_it_falls(reader: world.Reader, name: str, measured: Callable[[], Iterator[Figure]]) -> Iterator[Figure]:
    """The figures beside a peer, or that it did not stand the load. What the reader does not stand is raised."""
    try:
        yield from measured()
    except (NotAnswered, httpx.HTTPError, subprocess.SubprocessError, OSError) as error:
        if isinstance(error, NotAnswered) and error.base == reader.url:
            raise
        yield Figure.skipped(f"beside {name}", f"it fell over: {error}")


def _headers(reader: world.Reader, encoding: str) -> dict[str, str]:
    return reader.headers | {"Accept-Encoding": encoding}


def _alternate(work: dict[str, Callable[[], Measured]], rounds: int = ROUNDS) -> Rates:
    """Every one in turn, and the round of its median rate; a first round, not counted, warms all."""
    for one in work.values():
        one()
    found = [{name: one() for name, one in work.items()} for _ in range(rounds)]
    return {
        name: sorted((of_round[name] for of_round in found), key=lambda one: one.per_second)[rounds // 2]
        for name in work
    }


def _faster(name: str, ours: Measured, floor: float, limit: float) -> Figure:
    return Figure(name, ours.per_second, limit, "/s", floor, at_least=True)


def _timed(reader: world.Reader, path: str) -> float:
    started = time.perf_counter()
    httpx.get(reader.url + path, headers=_headers(reader, "gzip"), timeout=60).raise_for_status()
    return (time.perf_counter() - started) * 1000
