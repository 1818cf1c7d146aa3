"""A deployment of some tree of this project: its databases, the sandbox, Dagster's code server, webserver and daemon.

Belongs here: the processes, their environment, CPU and database. Does not: the measurements (__main__.py).
Everything runs with the tree's own Python and modules, so that an earlier release is measured as it was.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import yaml

from city_data.local.child import free_port
from city_data.local.embedded import EmbeddedPostgres

STARTED_WITHIN_S = 600.0
CONCURRENT_RUNS = 4
# A run of the earlier release takes longer than 180 s to start where the machine has other work.
START_TIMEOUT_S = 3600
DAGSTER = ("code", "webserver", "daemon")
_CONFIG = """
import json
try:
    from city_data.local.dagster_config import DAGSTER_CONFIG, DAEMON_VARIABLES
except ImportError:
    from city_data.local import DAGSTER_CONFIG
    DAEMON_VARIABLES = {}
print(json.dumps([DAGSTER_CONFIG, DAEMON_VARIABLES]))
"""


@dataclass
class Deployment:
    """A running tree. `tree` is the folder of its checkout, with its virtual environment in `.venv`."""

    tree: Path
    folder: Path
    postgres: EmbeddedPostgres
    variables: dict[str, str]
    url: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """An answer of Dagster's GraphQL."""
        response = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=600)
        answer = response.json()
        if "errors" in answer:
            raise RuntimeError(str(answer["errors"])[:2000])
        data: dict[str, Any] = answer["data"]
        return data

    def cpu(self) -> float:
        """CPU seconds so far of Dagster's processes and the runs, those that have ended included."""
        return sum(_tree_cpu(psutil.Process(self.processes[name].pid)) for name in DAGSTER)

    def database_bytes(self) -> int:
        with psycopg.connect(self.postgres.url("dagster"), autocommit=True) as connection:
            connection.execute("VACUUM")
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def deployed(
    tree: Path, folder: Path, cities: Path, moment: datetime, cities_a_run: int | None = None
) -> Iterator[Deployment]:
    """The tree with the cities of a registry file, stopped when the context ends."""
    folder.mkdir(mode=0o755)
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "postgres", durable=False)
        postgres.start()
        stack.callback(postgres.stop, keep=False)
        for name in ("city_data", "dagster"):
            postgres.create_database(name)
        deployment = Deployment(tree, folder, postgres, _variables(tree, folder, postgres, cities, moment))
        if cities_a_run is not None:
            deployment.variables["CITY_DATA_CITIES_A_RUN"] = str(cities_a_run)
        stack.callback(_stop, deployment)
        _start_sandbox(deployment, moment)
        config, daemon = json.loads(_python(deployment, "-c", _CONFIG))
        _write_config(deployment, config)
        _python(deployment, "-m", "city_data.cli", "migrate")
        _start_dagster(deployment, daemon)
        yield deployment


def _variables(tree: Path, folder: Path, postgres: EmbeddedPostgres, cities: Path, moment: datetime) -> dict[str, str]:
    (folder / "home").mkdir()
    return {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PYTHONWARNINGS": "ignore",
        "CITY_DATA_DATABASE_URL": postgres.url("city_data"),
        "CITY_DATA_DAGSTER_URL": postgres.url("dagster"),
        "CITY_DATA_REDIS_URL": "",
        "CITY_DATA_RAW_URL": str(folder / "raw"),
        "CITY_DATA_CACHE_DIR": str(folder / "downloads"),
        "CITY_DATA_CITIES": str(cities),
        "DAGSTER_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "AUTH_MODE": "none",
    }


def _start_sandbox(deployment: Deployment, moment: datetime) -> None:
    port = str(free_port())
    options = ["--port", port, "--state", str(deployment.folder / "sandbox"), "--as-of", moment.isoformat()]
    command = [interpreter(deployment.tree), "-m", "city_data.sandbox", *options]
    log = (deployment.folder / "sandbox.log").open("wb")
    process = subprocess.Popen(
        command, env=deployment.variables, cwd=deployment.tree, stdout=subprocess.PIPE, stderr=log
    )
    deployment.processes["sandbox"] = process
    assert process.stdout is not None
    deployment.variables["CITY_DATA_ROUTES"] = json.dumps(json.loads(process.stdout.readline())["routes"])


def _write_config(deployment: Deployment, config: dict[str, Any]) -> None:
    coordinator = config["run_coordinator"]["config"]
    if "max_concurrent_runs" in coordinator:
        coordinator["max_concurrent_runs"] = CONCURRENT_RUNS
    else:
        config["concurrency"]["runs"]["max_concurrent_runs"] = CONCURRENT_RUNS
    config["run_monitoring"]["start_timeout_seconds"] = START_TIMEOUT_S
    (deployment.folder / "home" / "dagster.yaml").write_text(yaml.safe_dump(config))


def _start_dagster(deployment: Deployment, daemon: Mapping[str, str]) -> None:
    code, web = free_port(), free_port()
    workspace = deployment.folder / "workspace.yaml"
    location = {"grpc_server": {"host": "127.0.0.1", "port": code, "location_name": "city_data"}}
    workspace.write_text(yaml.safe_dump({"load_from": [location]}))
    dagster = ["-m", "dagster", "code-server", "start", "-m", "city_data.definitions", "-p", str(code)]
    _start(deployment, "code", *dagster)
    _await(deployment, "code", lambda: _answers(code))
    _start(deployment, "webserver", "-m", "dagster_webserver", "-w", str(workspace), "-p", str(web))
    deployment.url = f"http://127.0.0.1:{web}"
    _await(deployment, "webserver", lambda: _answers(web))
    deployment.variables.update(daemon)
    _start(deployment, "daemon", "-m", "dagster._daemon", "run", "-w", str(workspace))


def _start(deployment: Deployment, name: str, *arguments: str) -> None:
    log = (deployment.folder / f"{name}.log").open("wb")
    command = [interpreter(deployment.tree), *arguments]
    deployment.processes[name] = subprocess.Popen(
        command, env=deployment.variables, cwd=deployment.tree, stdout=log, stderr=log
    )


def _python(deployment: Deployment, *arguments: str) -> str:
    command = [interpreter(deployment.tree), *arguments]
    return subprocess.run(
        command, env=deployment.variables, cwd=deployment.tree, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def start_reader(deployment: Deployment) -> str:
    """The address of the tree's reader, started."""
    port = free_port()
    deployment.variables["API_PORT"] = str(port)
    _start(deployment, "reader", "-m", "api")
    _await(deployment, "reader", lambda: _answers(port))
    return f"http://127.0.0.1:{port}"


def interpreter(tree: Path) -> str:
    """The tree's own Python."""
    return str(tree / ".venv" / "bin" / "python")


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _await(deployment: Deployment, name: str, answers: Callable[[], bool]) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while not answers():
        if deployment.processes[name].poll() is not None or time.monotonic() > until:
            raise RuntimeError((deployment.folder / f"{name}.log").read_text(errors="replace")[-2000:])
        time.sleep(0.2)


def _tree_cpu(process: psutil.Process) -> float:
    return sum(_cpu(one) for one in [process, *process.children(recursive=True)])


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # it ended just now, and is in its parent's next figure
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def _stop(deployment: Deployment) -> None:
    for process in reversed(deployment.processes.values()):
        process.terminate()
    for process in deployment.processes.values():
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
