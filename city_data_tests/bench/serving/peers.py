"""Servers to compare with: nginx for a file, Datasette and ROAPI for the same rows. Belongs here: starting them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from city_data.local.embedded import free_port
from city_data_tests.bench.serving.world import await_answer

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}
}}
"""


@contextmanager
def nginx(program: str, folder: Path, files: dict[str, bytes]) -> Iterator[str]:
    """One worker, with sendfile, and no log. Gives its URL."""
    port = free_port()
    (folder / "files").mkdir()
    for name, content in files.items():
        (folder / "files" / name).write_bytes(content)
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port))
    for path in (folder, folder / "files"):
        path.chmod(0o755)
    with _running(
        [program, "-c", str(config), "-g", f"user {_user()};"], f"http://127.0.0.1:{port}/{next(iter(files))}"
    ):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def reference(database_url: str, redis_url: str) -> Iterator[str]:
    port = free_port()
    module = "city_data_tests.bench.serving.reference"
    command = [sys.executable, "-m", module, database_url, redis_url, str(port)]
    with _running(command, f"http://127.0.0.1:{port}/openapi.json"):
        yield f"http://127.0.0.1:{port}"


def environment(folder: Path) -> Path:
    """A virtual environment of its own with both peers, thrown away with the folder. Gives its bin."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    into = folder / "venv" / "bin"
    subprocess.run([into / "pip", "install", "-qq", "datasette==0.65.5", "roapi==0.12.7"], check=True)
    return into


@contextmanager
def datasette(into: Path, folder: Path, database_url: str) -> Iterator[str]:
    path, port = folder / "traffic.db", free_port()
    query = "SELECT date::text, traffic_volume, pedestrian_count, congestion_level, average_speed, source"
    with psycopg.connect(database_url) as source, sqlite3.connect(path) as target:
        rows = source.execute(
            f"{query} FROM city_traffic_data WHERE city_id = 'madrid' ORDER BY date".encode()
        ).fetchall()
        target.execute(
            "CREATE TABLE t (date, traffic_volume, pedestrian_count, congestion_level, average_speed, source)"
        )
        target.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", rows)
    command = [into / "datasette", "serve", path, "-p", str(port), "--setting", "max_returned_rows", "20000"]
    url = f"http://127.0.0.1:{port}/traffic/t.json?_shape=array&_size=max&_nocount=1"
    with _running(list(map(str, command)), url):
        yield url


@contextmanager
def roapi(into: Path, folder: Path, parquet: bytes) -> Iterator[str]:
    path, port = folder / "t.parquet", free_port()
    path.write_bytes(parquet)
    command = [str(into / "roapi"), "--table", f"t={path}", "--addr-http", f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}/api/tables/t?limit=100000"
    with _running(command, url):
        yield url


@contextmanager
def _running(command: list[str], url: str) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        await_answer(url, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _user() -> str:
    import getpass

    return getpass.getuser()
