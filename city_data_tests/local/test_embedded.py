"""Embedded servers: their data survives, and the servers end with their parent process."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import redis

from city_data.local.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedRedis

_STARTER = """
import sys
from contextlib import closing
from pathlib import Path
from city_data.local.embedded import EmbeddedPostgres, EmbeddedRedis
folder = Path(sys.argv[1])
for server in (EmbeddedPostgres(folder / "postgres", durable=False), EmbeddedRedis(folder / "redis")):
    server.start()
    print(server._process.pid, flush=True)
sys.stdin.read()
"""


def test_cluster_survives_a_killed_parent_and_a_restart(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        redis_pid = [int(starter.stdout.readline()) for _ in range(2)][1]
        starter.send_signal(signal.SIGKILL)
        starter.wait()

    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()  # waits for what the killed one left
    server.create_database("kept")
    server.create_database("kept")
    with psycopg.connect(server.url("kept")) as connection:
        connection.execute("CREATE TABLE answers AS SELECT 42 AS answer")
    server.stop()
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.url("kept"))
    server.start()
    with psycopg.connect(server.url("kept")) as connection:
        assert connection.execute("SELECT answer FROM answers").fetchone() == (42,)
    server.stop()
    assert not (tmp_path / "postgres" / "data" / "postmaster.pid").exists()
    assert "redis" not in _command_of(redis_pid)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_session_that_computes_ends_before_its_server_is_started_again(tmp_path: Path, number: int) -> None:
    """It would go on writing to the cluster beside the new server."""
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()
    with closing(psycopg.connect(server.url())) as connection:
        session = connection.info.backend_pid
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        assert server._process is not None
        os.kill(server._process.pid, number)
        server.restart()
        assert "postgres" not in _command_of(session)
    psycopg.connect(server.url()).close()
    server.stop(keep=False)


def test_server_that_shuts_down_and_waits_for_open_sessions_counts_as_silent(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    server.start()
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            assert server.answers()
            assert server._process is not None
            server._process.terminate()
            while server._refusal() is None:
                connection.execute("SELECT 1")
            assert not server.answers()
            assert server.ended() is None
            server.restart()
        assert server.answers()
    finally:
        server.stop(keep=False)


def test_server_whose_port_is_taken_reports_the_cause(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=r"(?s)PostgreSQL did not start.*in use"):
            EmbeddedPostgres(tmp_path / "postgres", port=port, durable=False).start()
        with pytest.raises(EmbeddedError, match=r"(?s)Redis did not start.*in use"):
            EmbeddedRedis(tmp_path / "redis", port=port).start()


def test_redis_on_a_port_of_another_redis_does_not_start(tmp_path: Path, redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2].split("/")[0])
    with pytest.raises(EmbeddedError, match="Redis did not start"):
        EmbeddedRedis(tmp_path / "second", port=port).start()


def _command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_redis_starts_beside_a_torn_dump(tmp_path: Path) -> None:
    """It keeps nothing, and yet reads what an earlier configuration or a crash has left."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "dump.rdb").write_bytes(b"REDIS0009\xfa")
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    server.stop()


def test_redis_needs_its_password_and_lacks_dangerous_commands(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    port, password = server.url.rpartition(":")[2].split("/")[0], server.url.split(":")[2].partition("@")[0]
    with redis.Redis(port=int(port)) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with redis.Redis.from_url(server.url) as client:
        client.set("a", "1")
        for words in (
            ("CONFIG", "GET", "*"),
            ("FLUSHALL",),
            ("EVAL", "return 1", "0"),
            ("SHUTDOWN",),
            ("MODULE", "LIST"),
        ):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(*words)
        assert client.get("a") == b"1"
    assert server._process is not None
    assert password not in _command_of(server._process.pid)
    assert stat.S_IMODE((tmp_path / "redis" / "redis.conf").stat().st_mode) == 0o600
    server.stop()
