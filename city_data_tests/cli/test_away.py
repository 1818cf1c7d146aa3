"""An unreachable or damaged dependency of a command: one line on stderr and exit code 2."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import psycopg
import pytest
import yaml

from city_data.cli import errors
from city_data.cli.commands import app
from city_data.local.embedded import EmbeddedPostgres
from city_data_tests.terminal import assert_one_line, command


@pytest.fixture
def crowded(postgres: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """A migrated database with a login that gets no connection, as when all are taken."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE crowded LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
        host = database_url.split("@")[1]
        yield f"postgresql://crowded:secret@{host}"
        connection.execute("DROP ROLE crowded")


@pytest.mark.parametrize("name", ["status", "backfill", "replay", "expire", "migrate"])
def test_database_without_connections_left_is_one_line(
    variables: dict[str, str],
    crowded: str,
    monkeypatch: pytest.MonkeyPatch,
    no_waiting: None,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    name: str,
) -> None:
    dagster = tmp_path / "dagster"
    dagster.mkdir()
    (dagster / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"postgres": {"postgres_url": crowded}}}))
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", crowded)
    monkeypatch.setenv("CITY_DATA_RAW_URL", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(dagster))
    assert errors.run(app, [name], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "too many connections")


@pytest.mark.parametrize("name", ["status", "replay", "expire"])
def test_database_without_the_schema_is_one_line(
    variables: dict[str, str],
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    postgres.create_database("never_migrated")
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", postgres.url("never_migrated"))
    monkeypatch.setenv("CITY_DATA_RAW_URL", str(tmp_path))
    assert errors.run(app, [name], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "run `city-data migrate`")


def test_alive_file_that_cannot_be_touched_is_one_line(
    variables: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    own = {**variables, "CITY_DATA_DATABASE_URL": database_url, "CITY_DATA_RAW_URL": str(tmp_path)}
    done = command(own, "collect", "--alive", str(tmp_path / "no" / "alive"))
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, "cannot be touched: No such file")


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"data": []}', b'{"errors": [{"message": "no"}]}', b"{}"])
def test_webserver_other_than_dagster_is_one_line(
    variables: dict[str, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    answer: bytes,
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Suppressed: stderr has the command's own line only."""

    monkeypatch.setenv("CITY_DATA_DATABASE_URL", database_url)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert errors.run(app, ["backfill", "--cluster", url], "city-data") == 2
        server.shutdown()
    assert_one_line(capfd.readouterr().err, url)


@pytest.mark.parametrize("url", ["webserver", "http://[", "http://127.0.0.1:1", "ftp://webserver"])
def test_address_without_a_webserver_is_one_line(
    variables: dict[str, str],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    url: str,
) -> None:
    monkeypatch.setenv("CITY_DATA_DATABASE_URL", database_url)
    assert errors.run(app, ["backfill", "--cluster", url], "city-data") == 2
    assert_one_line(capfd.readouterr().err, url)


def test_key_file_without_a_key_is_one_line(
    variables: dict[str, str], capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "auth").mkdir()
    (tmp_path / "auth" / "key.pem").write_text("not a key")
    assert errors.run(app, ["token", "--home", str(tmp_path)], "city-data") == 2
    assert_one_line(capfd.readouterr().err, "delete it, and a new one is created")


def test_busy_exporter_port_is_one_line(variables: dict[str, str], database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        done = command({**variables, "CITY_DATA_DATABASE_URL": database_url}, "exporter", "--port", str(port))
    assert done.returncode == 2, done.stderr
    assert_one_line(done.stderr, f"cannot listen on 127.0.0.1 port {port}: Address already in use")
