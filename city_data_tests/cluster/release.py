"""A release on a real cluster: kubectl and helm as an operator runs them, and what the chart's README has them create.

Belongs here: the cluster's addresses from the environment, commands, waiting. Does not: the behaviour that is tested
(test_release.py).
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from city_data.local.embedded import EmbeddedPostgres
from city_data_tests.helm.charting import CHART, helm_binary

NAMESPACE = "city-data-test"
RELEASE = "city-data"
DATABASE_PORT = 5432
LONGEST_LOOK_S = 15.0


@dataclass(frozen=True)
class Place:
    """The cluster under test, from the environment."""

    image: str  # repository:tag, on every node
    chart: Path  # this project's, or an older one
    host: str  # this machine, as pods see it
    outside: str  # an address of this machine that stands for the internet
    metadata: str  # an address of this machine that stands for a cloud's metadata service
    node: str | None  # one that may be lost: not that of the control plane
    lose: tuple[str, ...]  # command that takes its power; its name is appended
    regain: tuple[str, ...]


def place() -> Place | None:
    """None where the environment names no cluster."""
    image = os.environ.get("CLUSTER_TEST_IMAGE")
    if not image or not os.environ.get("KUBECONFIG"):
        return None
    return Place(
        image=image,
        chart=Path(os.environ.get("CLUSTER_TEST_CHART", CHART)),
        host=os.environ["CLUSTER_TEST_HOST"],
        outside=os.environ["CLUSTER_TEST_OUTSIDE"],
        metadata=os.environ.get("CLUSTER_TEST_METADATA", "169.254.169.254"),
        node=os.environ.get("CLUSTER_TEST_NODE"),
        lose=tuple(shlex.split(os.environ.get("CLUSTER_TEST_LOSE", ""))),
        regain=tuple(shlex.split(os.environ.get("CLUSTER_TEST_REGAIN", ""))),
    )


class ReachablePostgres(EmbeddedPostgres):
    """The embedded PostgreSQL, on every address of this machine, for pods with a password."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, port=DATABASE_PORT, durable=False)
        rules = folder.parent / "pg_hba.conf"
        rules.write_text("host all all 0.0.0.0/0 scram-sha-256\n")
        self._options = {**self._options, "listen_addresses": "*", "hba_file": str(rules), "max_connections": "300"}


@dataclass
class Release:
    """One release in a namespace of its own."""

    chart: Path
    values: Path
    log: list[str] = field(default_factory=list)

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        done = subprocess.run(
            ["kubectl", "--namespace", NAMESPACE, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def helm(self, *arguments: str) -> str:
        done = subprocess.run(
            [helm_binary(), *arguments, "--namespace", NAMESPACE],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def upgrade(self, *arguments: str) -> str:
        return self.helm("upgrade", "--install", RELEASE, str(self.chart), "--values", str(self.values), *arguments)

    def items(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        chosen = ["--selector", selector] if selector else []
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, *chosen, "--output", "json"))["items"]
        return found

    def pods(self, component: str) -> list[dict[str, Any]]:
        """The pods of a role that are not leaving."""
        found = self.items("pods", f"app.kubernetes.io/component={component}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def run_pods(self) -> list[dict[str, Any]]:
        running = self.items("pods", f"city-data/release={RELEASE}")
        return [pod for pod in running if pod["status"].get("phase") == "Running"]

    def backfill(self, first: str, last: str, dataset: str = "weather") -> str:
        """Launch months by hand, as the README has it; returns the backfill's id."""
        said = self.kubectl(
            "exec", f"deploy/{RELEASE}-code", "--", "city-data", "backfill", "--cluster", f"http://{RELEASE}-webserver",
            "--no-wait", "--city", "madrid", "--dataset", dataset, "--from", first, "--to", last,
        )  # fmt: skip
        return said.split("backfill ")[1].split()[0]

    def note(self, text: str) -> None:
        self.log.append(text)
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201  the run's own log


def ended(dagster: dg.DagsterInstance, backfill_id: str, seconds: float) -> str:
    """The status of a backfill, once it has ended."""

    def status() -> str:
        backfill = dagster.get_backfill(backfill_id)
        assert backfill is not None
        return str(backfill.status.value)

    until(f"the end of backfill {backfill_id}", seconds, lambda: status().startswith(("COMPLETED", "FAILED")), every=3)
    return status()


def is_running(pod: dict[str, Any]) -> bool:
    return all("running" in one["state"] for one in pod["status"].get("containerStatuses", [{"state": {}}]))


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def until(what: str, seconds: float, holds: Callable[[], object], every: float = 1.0) -> float:
    """Wait until something holds; returns the seconds that it took. This machine's own standstills are not counted, as
    its nodes stand still with it."""
    took, seen = 0.0, time.monotonic()
    while not holds():
        assert took < seconds, f"{what}: not within {seconds:.0f} s"
        time.sleep(every)
        took, seen = took + min(time.monotonic() - seen, every + LONGEST_LOOK_S), time.monotonic()
    return took
