"""The platform on one machine: embedded PostgreSQL and Redis, Dagster, the reader, and in the demo the sandbox.

Belongs here: the processes with their ports and environment. Does not: their work, or the command line.
All state is in one folder, the home. All processes end with the command that started them: see `Children`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import psutil
import yaml

from city_data import environment
from city_data.errors import CityDataError
from city_data.local import tokens
from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis, die_with_parent, free_port, log_end
from city_data.local.ports import Ports, is_free

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
CONCURRENT_RUNS = 2
# Without authentication the reader accepts any tenant; examples use this one.
DEMO_TENANT = "00000000-0000-4000-8000-000000000001"

Mode = Literal["demo", "live"]


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


@contextmanager
def joined(folder: Path, mode: Mode | None = None) -> Iterator[dict[str, str]]:
    """The environment variables that connect the platform's parts.

    A deployment's own `CITY_DATA_DATABASE_URL` takes precedence. Otherwise this joins the platform that runs in
    `folder`, or starts its databases until the context ends.
    Raises LocalError for a folder that is unusable or belongs to another mode, EmbeddedError, DatabaseUnavailable.
    """
    if environment.DATABASE_URL.get():
        yield dict(os.environ)
        return
    with ExitStack() as stack:
        with usable(folder):
            own = _running(folder) or _started(folder, mode, stack)
        yield {**os.environ, **own}


@contextmanager
def services(folder: Path, ports: Ports, variables: Mapping[str, str], collecting: bool = False) -> Iterator[Children]:
    """Run Dagster's code server, webserver and daemon, the reader, and with `collecting` the collector, until the
    context ends."""
    code_port = free_port()
    workspace = folder / "dagster" / "workspace.yaml"
    location = {"grpc_server": {"host": "127.0.0.1", "port": code_port, "location_name": "city_data"}}
    workspace.write_text(yaml.safe_dump({"load_from": [location]}))
    dagster = [sys.executable, "-m", "dagster"]
    with Children(folder / "logs", variables) as children:
        children.start("code", [*dagster, "code-server", "start", "-m", "city_data.definitions", "-p", str(code_port)])
        if collecting:
            children.start("collector", [sys.executable, "-m", "city_data.cli", "collect"])
        own = {"API_PORT": str(ports.api), **tokens.settings(folder, variables)}
        children.start("api", [sys.executable, "-m", "api"], own)
        children.await_port("code", code_port)
        webserver = [sys.executable, "-m", "dagster_webserver", "-w", str(workspace), "-p", str(ports.ui)]
        children.start("webserver", webserver)
        children.start("daemon", [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)])
        yield children


class Children:
    """Child processes with one log file each. The kernel ends them with this process, however it ends."""

    def __init__(self, logs: Path, variables: Mapping[str, str]) -> None:
        self._logs, self._variables = logs, variables
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._running.values():
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for child in self._running.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child, signal.SIGKILL)
                child.wait()

    def start(self, name: str, command: list[str], extra: Mapping[str, str] | None = None) -> None:
        """Start in a new session, so that Ctrl-C reaches only this process, which stops its children in order."""
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603  our own command lines
                command,
                env={**self._variables, **(extra or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_killed_with_parent,
            )

    def log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def await_port(self, name: str, port: int) -> None:
        """Wait until a child listens. Raises LocalError with the end of its log if it ended or timed out."""
        self.await_true(name, lambda: not is_free(port))

    def await_true(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            self.refuse_dead(name)
            if time.monotonic() > deadline:
                raise LocalError(f"{name} did not start within {START_TIMEOUT_S:.0f} s: {self._tail(name)}")
            time.sleep(0.1)

    def refuse_dead(self, *names: str) -> None:
        """Raises LocalError with the end of its log if a named child (any child by default) has ended."""
        for name in names or tuple(self._running):
            if self._running[name].poll() is not None:
                raise LocalError(f"{name} ended with code {self._running[name].returncode}: {self._tail(name)}")

    def _tail(self, name: str) -> str:
        return log_end(self.log(name))


# Environment names, not values: a literal password here would be copied into every run's arguments.
DAGSTER_CONFIG: dict[str, object] = {
    "storage": {"postgres": {"postgres_url": {"env": environment.DAGSTER_URL.name}}},
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},  # hides the newsletter invitation on the first page
    "run_coordinator": {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"max_concurrent_runs": CONCURRENT_RUNS, "dequeue_interval_seconds": 1},
    },
    "run_monitoring": {"enabled": True},
    "run_retries": {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False},
}


def set_pools(variables: Mapping[str, str]) -> None:
    """Set each provider's pool to one slot."""
    import dagster as dg

    from city_data.operations import migrate

    with dg.DagsterInstance.from_config(variables["DAGSTER_HOME"]) as instance:
        migrate.set_pools(instance, {})


def _started(folder: Path, mode: Mode | None, stack: ExitStack) -> dict[str, str]:
    mode = _claim(folder, mode)
    own = _start_databases(folder, stack)
    if mode == "demo":
        own |= _start_sandbox(folder, stack)
    (folder / "dagster").mkdir(exist_ok=True)
    (folder / "dagster" / "dagster.yaml").write_text(yaml.safe_dump(DAGSTER_CONFIG))
    (folder / "platform.json").write_text(json.dumps({"pid": os.getpid(), "environment": own}))
    stack.callback((folder / "platform.json").unlink, missing_ok=True)
    return own


def _start_databases(folder: Path, stack: ExitStack) -> dict[str, str]:
    from city_data.pipeline.feeds import record_providers
    from city_data.providers import discover
    from city_data.store.database import Database, availability
    from city_data.store.migrate import upgrade
    from city_data.store.roles import READER

    postgres = EmbeddedPostgres(folder / "postgres")
    postgres.start()
    stack.callback(postgres.stop)
    redis = EmbeddedRedis(folder / "redis")
    redis.start()
    stack.callback(redis.stop)
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


def _start_sandbox(folder: Path, stack: ExitStack) -> dict[str, str]:
    """Start the sandbox as a child process, route every provider's hosts to it and generate the API keys."""
    port = free_port()
    children = stack.enter_context(Children(folder / "logs", os.environ))
    command = [sys.executable, "-m", "city_data.sandbox", "--port", str(port), "--state", str(folder / "sandbox")]
    children.start("sandbox", command)
    children.await_port("sandbox", port)
    from city_data.providers import discover

    hosts = sorted({host for provider in discover().values() for host in provider.capabilities.hosts})
    keys = {p.capabilities.key_variable for p in discover().values() if p.capabilities.key_variable}
    return {
        environment.ROUTES.name: json.dumps({host: f"http://127.0.0.1:{port}/{host}" for host in hosts}),
        **{key: secrets.token_hex(8) for key in keys},
    }


def _claim(folder: Path, mode: Mode | None) -> Mode:
    """Record the mode of a home: sandbox rows and real ones never share one."""
    mark = folder / "mode"
    recorded = mark.read_text().strip() if mark.exists() else None
    if recorded is None and mode is None:
        raise LocalError(f"{folder} holds no platform yet; run `city-data demo` or `city-data up` first")
    if recorded is not None and mode is not None and recorded != mode:
        raise LocalError(
            f"{folder} holds a {recorded} platform; set {environment.HOME} to another folder for a {mode} one"
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(mode or recorded or "live")
    return "demo" if mark.read_text() == "demo" else "live"


def _running(folder: Path) -> dict[str, str] | None:
    """The environment of the platform that runs in `folder`, or None."""
    file = folder / "platform.json"
    try:
        document = json.loads(file.read_text())
        return dict(document["environment"]) if psutil.pid_exists(document["pid"]) else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise LocalError(f"{file} is damaged; delete it where no platform runs in {folder}") from error


def _killed_with_parent() -> None:
    """SIGKILL: Dagster's code server ignored SIGTERM after its parent was killed. None of them has unsaved data."""
    die_with_parent(signal.SIGKILL)


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return  # it has ended by itself
