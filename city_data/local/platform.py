"""The platform on one machine: embedded PostgreSQL and Redis, Dagster, the reader, and in the demo the sandbox.

Belongs here: the processes with their ports and environment. Does not: their work, or the command line.
All state is in one folder, the home. All processes end with the command that started them: see `Children`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import yaml

from city_data import environment
from city_data.errors import CityDataError
from city_data.local import health, home, tokens
from city_data.local.child import free_port
from city_data.local.children import Children, kill_leftovers
from city_data.local.dagster_config import DAEMON_VARIABLES, DAGSTER_CONFIG
from city_data.local.embedded import EmbeddedPostgres
from city_data.local.ports import Ports
from city_data.local.redis_server import EmbeddedRedis
from city_data.local.supervisor import Report, Supervisor

if TYPE_CHECKING:
    from dagster import DagsterInstance

START_TIMEOUT_S = 90.0
POLL_S = 0.1
# Without authentication the reader accepts any tenant; examples use this one.
DEMO_TENANT = "00000000-0000-4000-8000-000000000001"

Mode = Literal["demo", "live"]


class _State(TypedDict):
    """`mode` is that of `demo` and `up`, None where another command has started the databases."""

    pid: int
    mode: Mode | None
    environment: dict[str, str]


class LocalError(CityDataError):
    """The platform cannot start or be reached; the text says how to fix it."""


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Wraps file access in the home: an OSError becomes a LocalError that names the option."""
    try:
        yield
    except OSError as error:
        raise LocalError(
            f"the home {folder} cannot be used: {error}; name another with --home or {environment.HOME}"
        ) from error


@dataclass(frozen=True)
class Platform:
    """A running platform's databases: `variables` is the environment that reaches them."""

    home: Path
    variables: Mapping[str, str]
    supervisor: Supervisor


@contextmanager
def joined(folder: Path, report: Report) -> Iterator[Mapping[str, str]]:
    """The environment variables that connect the platform's parts.

    A deployment's own `CITY_DATA_DATABASE_URL` takes precedence. Otherwise this joins the platform that runs in
    `folder`, or starts its databases until the context ends.
    Raises LocalError for a folder that is unusable or belongs to another mode, EmbeddedError, DatabaseUnavailable.
    """
    if environment.DATABASE_URL.get():
        yield dict(os.environ)
        return
    with ExitStack() as stack:
        lock, users = _locks(folder, None, stack)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not lock.acquire():
            with usable(folder):
                users.acquire(shared=True, wait=True)
                variables = _recorded(folder)
            if variables is not None:
                yield {**os.environ, **variables["environment"]}
                return
            users.release()  # its owner is starting or stopping
            if time.monotonic() > deadline:
                raise LocalError(f"another command has held {folder} for {START_TIMEOUT_S:.0f} s without starting")
            time.sleep(POLL_S)
        yield stack.enter_context(_databases(folder, None, users, report)).variables


@contextmanager
def owned(folder: Path, mode: Mode, report: Report) -> Iterator[Platform]:
    """The databases of `folder`, started here and stopped when the context ends, or a deployment's own.

    Waits for a short command that has started them. Raises LocalError where a platform runs there already, and all
    that `joined` raises.
    """
    with ExitStack() as stack:
        if environment.DATABASE_URL.get():
            with usable(folder):
                home.create(folder)
                (folder / "dagster").mkdir(exist_ok=True, mode=0o700)
            yield Platform(folder, dict(os.environ), stack.enter_context(_supervisor(folder, report)))
            return
        lock, users = _locks(folder, mode, stack)
        waiting = False
        while not lock.acquire():
            with usable(folder):
                running = _recorded(folder)
            if running is not None and running["mode"] is not None:
                raise LocalError(f"a {running['mode']} platform runs in {folder} already, as process {running['pid']}")
            if running is not None and not waiting:
                report(f"waiting for process {running['pid']}, which uses the databases of {folder}")
                waiting = True
            time.sleep(POLL_S)
        yield stack.enter_context(_databases(folder, mode, users, report))


@contextmanager
def services(platform: Platform, ports: Ports, collecting: bool = False) -> Iterator[Children]:
    """Run Dagster's code server, webserver and daemon, the reader, and with `collecting` the collector, until the
    context ends."""
    from city_data.operations import recovery

    folder, variables, code_port = platform.home, platform.variables, free_port()
    workspace = folder / "dagster" / "workspace.yaml"
    location = {"grpc_server": {"host": "127.0.0.1", "port": code_port, "location_name": "city_data"}}
    home.write_private(workspace, yaml.safe_dump({"load_from": [location]}))
    python = [sys.executable, "-m"]
    with Children(folder, variables, platform.supervisor) as children:
        code = [*python, "dagster", "code-server", "start", "-m", "city_data.definitions", "-p", str(code_port)]
        asks_code, fails_dead = partial(health.answers_code_server, code_port), partial(_fail, recovery.fail_dead_runs)
        children.start("code", code, answers=asks_code, before_restart=fails_dead)
        if collecting:
            children.start("collector", [*python, "city_data.cli", "collect"])
        own = {environment.API_PORT.name: str(ports.api), **tokens.settings(folder, variables)}
        asks_api = partial(health.answers_http, f"http://127.0.0.1:{ports.api}/health/live")
        children.start("api", [*python, "api"], own, answers=asks_api, essential=True)
        # Both need the code server. The first backfill does not, and starts while that imports.
        webserver = [*python, "city_data.local.webserver", "-w", str(workspace), "-p", str(ports.ui)]
        asks_webserver = partial(health.answers_http, f"http://127.0.0.1:{ports.ui}/server_info")
        children.start_after("code", code_port, "webserver", webserver, answers=asks_webserver)
        daemon = [*python, "dagster._daemon", "run", "-w", str(workspace)]
        fails_lost = partial(_fail, recovery.fail_lost_launches)
        children.start_after("code", code_port, "daemon", daemon, extra=DAEMON_VARIABLES, before_restart=fails_lost)
        yield children


def prepare_dagster(report: Report) -> None:
    """Migrate the storage of DAGSTER_HOME and its asset names, set each pool to one slot, and fail the killed runs."""
    from city_data.operations import migrate, recovery
    from city_data.operations.former_keys import rename_assets
    from city_data.operations.instance import deployed_instance

    with deployed_instance() as instance:
        migrate.prepare_dagster(instance, {}, lambda _: None)
        rename_assets(instance, report)
        dead = recovery.fail_dead_runs(instance)
    for run_id in dead:
        report(f"run {run_id[:8]} had no process any more and was failed")


def _fail(runs: Callable[[DagsterInstance], object]) -> None:
    """Fail runs of DAGSTER_HOME by a function that chooses them. Raises DatabaseUnavailable."""
    from city_data.operations.instance import deployed_instance

    with deployed_instance() as instance:
        runs(instance)


def _locks(folder: Path, mode: Mode | None, stack: ExitStack) -> tuple[home.FileLock, home.FileLock]:
    """The owner's lock, and the one that its users share; released when the stack unwinds."""
    with usable(folder):
        _claim(folder, mode)
        lock, users = home.FileLock(folder / "owner.lock"), home.FileLock(folder / "users.lock")
    stack.callback(lock.release)
    stack.callback(users.release)
    return lock, users


@contextmanager
def _databases(folder: Path, mode: Mode | None, users: home.FileLock, report: Report) -> Iterator[Platform]:
    """Start the databases, and in a demo's home the sandbox. They stop after the last command that joined them."""
    with ExitStack() as stack:
        with usable(folder):
            kill_leftovers(folder)
            supervisor = stack.enter_context(_supervisor(folder, report))
            variables = _start_databases(folder, stack, supervisor)
            if (folder / "mode").read_text() == "demo":
                variables |= _start_sandbox(folder, stack, supervisor)
            (folder / "dagster").mkdir(exist_ok=True, mode=0o700)
            home.write_private(folder / "dagster" / "dagster.yaml", yaml.safe_dump(DAGSTER_CONFIG))
            state = {"pid": os.getpid(), "mode": mode, "environment": variables}
            home.write_private(folder / "platform.json", json.dumps(state))
        stack.callback(_await_users, folder, users, report)
        stack.callback((folder / "platform.json").unlink, missing_ok=True)
        yield Platform(folder, {**os.environ, **variables}, supervisor)


def _supervisor(folder: Path, report: Report) -> Supervisor:
    return Supervisor(report, has_space=partial(home.has_space, folder))


def _await_users(folder: Path, users: home.FileLock, report: Report) -> None:
    if not users.acquire():
        report(f"waiting for another command that uses the databases of {folder}; Ctrl-C stops them now")
        users.acquire(wait=True)


def _start_databases(folder: Path, stack: ExitStack, supervisor: Supervisor) -> dict[str, str]:
    from city_data.pipeline.feeds import record_providers
    from city_data.providers import discover
    from city_data.store.database import Database, availability
    from city_data.store.migrate import upgrade
    from city_data.store.roles import READER

    postgres = EmbeddedPostgres(folder / "postgres")
    redis = EmbeddedRedis(folder / "redis")
    for name, server, essential in (("PostgreSQL", postgres, True), ("Redis", redis, False)):
        server.start()
        stack.callback(server.stop)
        stack.callback(supervisor.forget, name)
        answers, restart = server.answers, server.restart
        supervisor.watch(name, server.ended, restart, answers=answers, is_ready=True, essential=essential)
    with availability():
        postgres.create_database("city_data")
        postgres.create_database("dagster", durable=False)
        database = Database(postgres.url("city_data"))
        upgrade(database)
        record_providers(database, discover().values())
        database.dispose()
        reader_url = postgres.create_login("city_data_api", READER, "city_data")
    return {
        environment.DATABASE_URL.name: postgres.url("city_data"),
        "API_DATABASE_URL": reader_url,
        environment.REDIS_URL.name: redis.url,
        environment.RAW_URL.name: str(folder / "raw"),
        environment.DOWNLOADS.name: environment.DOWNLOADS.get() or str(folder / "cache"),
        environment.DAGSTER_URL.name: postgres.url("dagster"),
        environment.DAGSTER_HOME.name: str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def _start_sandbox(folder: Path, stack: ExitStack, supervisor: Supervisor) -> dict[str, str]:
    """Start the sandbox as a child process, route every provider's hosts to it and generate the API keys."""
    port = free_port()
    children = stack.enter_context(Children(folder, os.environ, supervisor))
    command = [sys.executable, "-m", "city_data.sandbox", "--port", str(port), "--state", str(folder / "sandbox")]
    children.start("sandbox", command, answers=partial(health.answers_http, f"http://127.0.0.1:{port}/"))
    children.await_port("sandbox", port)
    from city_data.providers import discover

    hosts = sorted({host for provider in discover().values() for host in provider.capabilities.hosts})
    keys = {p.capabilities.key_variable for p in discover().values() if p.capabilities.key_variable}
    return {
        environment.ROUTES.name: json.dumps({host: f"http://127.0.0.1:{port}/{host}" for host in hosts}),
        **{key: secrets.token_hex(8) for key in keys},
    }


def _claim(folder: Path, mode: Mode | None) -> None:
    """Record the mode of a home: sandbox rows and real ones never share one."""
    mark = folder / "mode"
    recorded = mark.read_text().strip() if mark.exists() else None
    if recorded is None and mode is None:
        raise LocalError(f"{folder} holds no platform yet; run `city-data demo` or `city-data up` first")
    if recorded is not None and mode is not None and recorded != mode:
        raise LocalError(
            f"{folder} holds a {recorded} platform; set {environment.HOME} to another folder for a {mode} one"
        )
    home.create(folder)
    if recorded is None and mode is not None:
        home.write_private(mark, mode)


def _recorded(folder: Path) -> _State | None:
    """The state that the owner of the home has written, or None before it has started and once it stops."""
    file = folder / "platform.json"
    try:
        document = json.loads(file.read_text())
        return _State(pid=int(document["pid"]), mode=document["mode"], environment=dict(document["environment"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{file} is damaged; stop the platform that runs in {folder}, and start it again") from error
