"""A database of 24 months, and the reader as it is deployed: one process, tokens asked for."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import pandas as pd
import psutil
import psycopg
import yaml

from city_data.cities import DEFAULT_FILE
from city_data.datasets import TRAFFIC, expected_stamps
from city_data.frames import canonical
from city_data.local.embedded import free_port
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data.store.months import MonthLoad, replace_month
from city_data.window import Month
from city_data_tests.api.conftest import month_load
from city_data_tests.api.issuer import AUDIENCE, ISSUER, TENANT_A, Issuer, key_set

FIRST, LAST = Month(2024, 11), Month(2026, 10)
MONTHS = list(FIRST.until(LAST + 1))
ZONE = "Europe/Madrid"
ROWS = sum(len(month.hours(ZONE)) for month in MONTHS)
PATH = f"/api/v1/tenants/{TENANT_A}/external/operations/historical-traffic-optimized"
COPY = (
    "COPY (SELECT date, traffic_volume, pedestrian_count, congestion_level, average_speed, source"
    " FROM city_traffic_data WHERE city_id = '{city}' AND date >= '{start}' AND date < '{end}' ORDER BY date) TO STDOUT"
)
_WAIT_S = 60.0
_OURS = ("CITY_DATA", "API_", "AUTH", "ENABLED_CITIES")


def question(start: str = f"{FIRST}-01", end: str = str(LAST.last_day), **more: str) -> str:
    """The path and query of a read of Madrid, or of the place in `more`."""
    here = {"latitude": "40.4168", "longitude": "-3.7038", "start_date": start, "end_date": end}
    return PATH + "?" + urlencode(here | more)


def ranges() -> list[str]:
    """From every day of the first month to every day of the last, shuffled."""
    first, last = FIRST.days(), LAST.days()
    made = [question(str(start), str(end)) for start in first for end in last]
    random.Random(1).shuffle(made)
    return made[:900]


def equal_ranges() -> list[str]:
    """The same 24 months by other ends, in months that hold nothing: equal questions at once would share one answer."""
    before, after = (FIRST - 1).days(), (LAST + 1).days()
    return [question(str(start), str(end)) for start in before for end in after]


def fill(url: str) -> None:
    """Madrid's traffic, hour by hour, with the digits that real means have."""
    database, chance = Database(url), random.Random(7)
    upgrade(database)
    for month in MONTHS:
        replace_month(database, _load(month, chance))
    database.dispose()


def _load(month: Month, chance: random.Random) -> MonthLoad:
    stamps = expected_stamps(month, ZONE, "hourly")
    columns = {
        "date": pd.DatetimeIndex(stamps),
        "traffic_volume": [round(chance.gauss(420, 160) % 2000, 2) for _ in stamps],
        "average_speed": [round(chance.gauss(61, 9), 2) for _ in stamps],
        "congestion_level": [chance.choice(["low", "low", "medium", "high"]) for _ in stamps],
        "source": "madrid_opendata",
    }
    raw = {"coverage": 0.98, "stations": 4100, "method_version": 1}
    frame = pd.DataFrame({**columns, "raw_data": [raw] * len(stamps)})
    load = month_load("traffic", str(month))
    return type(load)(
        **{**load.__dict__, "frame": canonical.canonical_frame(frame, TRAFFIC), "source": "madrid_opendata"}
    )


def multiply(url: str, cities: int, first: int = 1) -> None:
    """The ledger and the versions with their segments, for so many cities more, s<first> and on."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("city_month", "month_version"):
            _copy_city(connection, table, first, cities)
            connection.execute(f"ANALYZE {table}".encode())


def multiply_rows(connection: psycopg.Connection[Any], cities: int) -> None:
    """The rows of so many cities more."""
    _copy_city(connection, "city_traffic_data", 1, cities)
    connection.execute(b"VACUUM ANALYZE city_traffic_data")


def _copy_city(connection: psycopg.Connection[Any], table: str, first: int, cities: int) -> None:
    query = b"SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
    names = [row[0] for row in connection.execute(query, [table])]
    changed = {"city_id": "'s' || n", "frame": "''::bytea"}  # no read of JSON needs a frame
    chosen = ", ".join(changed.get(name, name) for name in names)
    connection.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {chosen} FROM {table},"
        f" generate_series({first}, {first + cities - 1}) n WHERE city_id = 'madrid'".encode()
    )


def place(number: int) -> dict[str, str]:
    """Where the city s<number> is: on a grid of the southern seas."""
    return {"latitude": str(-60.0 + number // 100), "longitude": str(-170.0 + number % 100 * 3)}


def registry(folder: Path, cities: int) -> Path:
    """Madrid, and so many cities more."""
    (madrid,) = [one for one in yaml.safe_load(DEFAULT_FILE.read_text())["cities"] if one["city_id"] == "madrid"]
    more = [
        madrid | {"city_id": f"s{n}", "name": f"S{n}"} | {name: float(value) for name, value in place(n).items()}
        for n in range(1, cities + 1)
    ]
    path = folder / f"cities-{cities}.yaml"
    path.write_text(yaml.safe_dump({"cities": [madrid, *more]}))
    return path


class Reader:
    """A running reader, and a token for it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, token: str) -> None:
        self.process, self.url = process, url
        self.headers = {"Authorization": f"Bearer {token}"}

    @property
    def megabytes(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1024 / 1024


class Store(NamedTuple):
    """A filled database with its Redis, and the checkout whose reader serves it; None is this one."""

    database_url: str
    redis_url: str
    checkout: Path | None = None


def fill_by(store: Store) -> None:
    """As `fill`, by the checkout's own code, whose tables may be others."""
    script = "import sys; from city_data_tests.bench.serving import world; world.fill(sys.argv[1])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, store.database_url], cwd=store.checkout, check=True)


@contextmanager
def reader(
    folder: Path, database_url: str, issuer: Issuer, checkout: Path | None = None, /, **changes: str
) -> Iterator[Reader]:
    """`python -m api` with AUTH_MODE=jwt, its log written to a file as a container's is to a pipe."""
    port, keys = free_port(), folder / "jwks.json"
    keys.write_bytes(key_set(issuer))
    variables: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
        "API_DATABASE_URL": database_url,
        "API_PORT": str(port),
        "AUTH_MODE": "jwt",
        "AUTH_JWKS_FILE": str(keys),
        "AUTH_JWT_ISSUER": ISSUER,
        "AUTH_JWT_AUDIENCE": AUDIENCE,
        "API_RATE_PER_S": "1000000",
        "API_RATE_BURST": "1000000",
        **changes,
    }
    with (folder / f"reader-{port}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "api"], cwd=checkout, env=variables, stdout=log, stderr=log)
    try:
        running = Reader(process, f"http://127.0.0.1:{port}", issuer.token(exp=int(time.time()) + 7200))
        await_answer(running.url + "/health/ready", process)
        yield running
    finally:
        process.terminate()
        process.wait(30)


def await_answer(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code < 400:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise OSError(f"{url} did not come up")


def copied(connection: psycopg.Connection[tuple[object, ...]], city: str) -> float:
    bounds = {"start": FIRST.bounds(ZONE)[0], "end": LAST.bounds(ZONE)[1]}
    started, lines = time.perf_counter(), 0
    with connection.cursor() as cursor, cursor.copy(COPY.format(city=city, **bounds).encode()) as copy:
        for block in copy:
            lines += bytes(block).count(b"\n")
    if lines != ROWS:
        raise RuntimeError(f"{lines} rows copied, not {ROWS}")
    return (time.perf_counter() - started) * 1000
