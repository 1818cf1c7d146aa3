"""Dagster's webserver on one machine: pages of other sites neither read it nor change anything through it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from city_data.local.embedded import free_port

READ, CHANGE = "{version}", 'mutation {terminateRun(runId: "x") {__typename}}'


@pytest.fixture(scope="module")
def webserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("webserver"), free_port()
    (folder / "workspace.yaml").write_text("load_from: []\n")
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    line = [sys.executable, "-m", "city_data.local.webserver", "-w", str(folder / "workspace.yaml"), "-p", str(port)]
    variables = {**os.environ, "DAGSTER_HOME": str(folder), "DAGSTER_DISABLE_TELEMETRY": "1"}
    with (folder / "log").open("wb") as log, subprocess.Popen(line, env=variables, stdout=log, stderr=log) as process:
        deadline = time.monotonic() + 90
        while not _listens(port):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(webserver: str, query: str, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{webserver}/graphql", json={"query": query}, headers=named)


def test_own_page_reads_and_changes(webserver: str) -> None:
    port = webserver.rpartition(":")[2]
    assert httpx.get(webserver).status_code == 200
    assert httpx.get(f"http://localhost:{port}/server_info").status_code == 200
    for headers in ({}, {"Origin": webserver, "Sec_Fetch_Site": "same-origin"}):
        assert ask(webserver, READ, **headers).json()["data"]["version"]
        assert "terminateRun" in ask(webserver, CHANGE, **headers).json()["data"]
    assert httpx.get(f"{webserver}/graphql", params={"query": READ}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:3000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "["},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_request_of_another_site_is_403(webserver: str, headers: dict[str, str]) -> None:
    for query in (READ, CHANGE):
        assert ask(webserver, query, **headers).status_code == 403
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    for path in ("/", "/graphql", "/server_info"):
        assert httpx.get(webserver + path, headers=named).status_code == 403


def test_websocket_of_another_site_is_refused(webserver: str) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    foreign = httpx.get(f"{webserver}/graphql", headers={**upgrade, "Origin": "https://evil.example"})
    assert foreign.status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        CHANGE,
        f"query Read {READ} {CHANGE.replace('mutation', 'mutation Change')}",
        f"# read\n\n{CHANGE}",
        "fragment f on Mutation {__typename} mutation {...f}",
    ],
)
def test_mutation_by_get_is_405(webserver: str, query: str) -> None:
    assert httpx.get(f"{webserver}/graphql", params={"query": query}).status_code == 405
    assert httpx.get(f"{webserver}/graphql", params=[("query", READ), ("query", query)]).status_code == 405
