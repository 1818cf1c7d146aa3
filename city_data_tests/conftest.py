"""Real servers for every test that needs one: PostgreSQL 18 and Redis from their wheels, one of each a test process."""

from __future__ import annotations

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import dagster_postgres.utils
import hypothesis
import pytest
import redis
import yaml

from city_data.defs.assets import failures
from city_data.defs.storage import shared_engine
from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis
from city_data.local.redis_server import DISABLED_COMMANDS
from city_data.providers.transport.clock import SystemClock
from city_data.sandbox import Sandbox, running
from city_data.store.connections import shared_database
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data_tests.databases import TEMPLATE, fresh_database
from city_data_tests.terminal import set_variables
from city_data_tests.world import AS_OF, World, environment, of_the_past

# Hundreds of processes start in the tests, each of which would compile the platform again, and so would a second run.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# By default each quarter more objects has all of them looked through, 0.4 s each: a fifth of the tests' own time.
gc.set_threshold(20_000, 20, 20)

# A busy machine is no finding: a slow example failed now and then where other work ran beside the suite. In CI
# hypothesis also chooses the same examples every time, by its own profile for it.
hypothesis.settings.register_profile("suite", parent=hypothesis.settings.default, deadline=None)
hypothesis.settings.load_profile("suite")

_templates: set[str] = set()


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test keeps its downloads to itself, and no key of the user's turns it to another way."""
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "downloads"))
    for name in ("METEO_FRANCE_API_KEY", "METEO_FRANCE_APPLICATION_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a command over a home that is not there yet; set in this process too.

    A command that runs until it is stopped sets signal handlers, which the next test must not have.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield set_variables(tmp_path, monkeypatch)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running server; its database `template_city_data` has the whole schema.

    Not below pytest's own folder: a second run of the tests closes that folder to all but its owner, and PostgreSQL,
    which never runs as root, loses its files in the middle of a test.
    """
    folder = tempfile.mkdtemp(prefix="city_data-postgres-")
    server = EmbeddedPostgres(Path(folder), durable=False)
    try:
        server.start()
        server.create_database(TEMPLATE)
        migrated = Database(server.url(TEMPLATE))
        upgrade(migrated)
        migrated.dispose()
        yield server
    finally:
        server.stop(keep=False)  # hundreds of databases, whose last pages took more than a minute to write
        # Their 300 files each take some 10 s to delete, for which nobody waits.
        os.spawnlp(os.P_NOWAIT, "rm", "rm", "-rf", folder)


@pytest.fixture(scope="session")
def postgres_url(postgres: EmbeddedPostgres) -> str:
    return postgres.url()


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> str:
    """A fresh database with the whole schema."""
    return fresh_database(postgres)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.dispose()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A running server. A test that stops one starts its own."""
    disabled = [name for name in DISABLED_COMMANDS if name != "FLUSHALL"]
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), disabled=disabled)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Redis."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running(tmp_path_factory.mktemp("world-sandbox"), as_of=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture
def instance(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance on PostgreSQL, as a deployment's is."""
    if "template_dagster" not in _templates:
        postgres.create_database("template_dagster")
        with _dagster_instance(postgres.url("template_dagster"), tmp_path / "template"):
            _templates.add("template_dagster")
    with _dagster_instance(fresh_database(postgres, "template_dagster"), tmp_path / "dagster") as opened:
        yield opened


@pytest.fixture
def world(
    shared_sandbox: Sandbox,
    database: Database,
    database_url: str,
    redis_url: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    def open_instance() -> dg.DagsterInstance:
        opened: dg.DagsterInstance = request.getfixturevalue("instance")
        return opened

    built = World(shared_sandbox, database, database_url, redis_url, open_instance, tmp_path, monkeypatch)
    built.write_cities(of_the_past())
    for name, value in environment(tmp_path, shared_sandbox, database_url, redis_url).items():
        monkeypatch.setenv(name, value)
    built.at(AS_OF)
    yield built
    shared_sandbox.faults.clear()
    shared_sandbox.publication.unpublished = set()
    shared_sandbox.publication.revisions = {}
    shared_database(database_url).dispose()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not wait: neither the client's between attempts, nor Dagster's between tries of a step or of a
    connection, which are six in 12 s."""
    monkeypatch.setattr(failures, "MAX_RETRIES", 0)
    monkeypatch.setattr(dagster_postgres.utils, "calculate_delay", lambda **_: 0.0)
    monkeypatch.setattr(SystemClock, "sleep", lambda _clock, _seconds: None)


@contextmanager
def _dagster_instance(url: str, home: Path) -> Iterator[dg.DagsterInstance]:
    home.mkdir()
    storage = {"module": "city_data.defs.storage", "class": "PooledPostgresStorage", "config": {"postgres_url": url}}
    config = {"storage": {"custom": storage}, "telemetry": {"enabled": False}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened
    shared_engine(url).dispose()
