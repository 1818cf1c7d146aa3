"""One release through what happens on a real cluster, in order: install, reads, network, absences, upgrade, rollback.

By `make cluster-test`; skipped where the environment names no cluster.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg
import httpx
import psycopg
import pytest

from city_data_tests.api.issuer import Issuer, bearer
from city_data_tests.cluster.reader import ROUTE, Reader, address
from city_data_tests.cluster.release import (
    RELEASE,
    Place,
    ReachablePostgres,
    Release,
    ended,
    is_ready,
    is_running,
    until,
)

ROLES = ("api", "code", "collector", "daemon", "exporter", "webserver")
# Which role may connect to which.
PAIRS = {("daemon", "code"), ("webserver", "code"), ("code", "webserver")}
# Run in a pod: HOST:PORT..., prints those with which a connection is had.
CONNECT = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def connects(target):
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
    except OSError:
        return False
    return True
with ThreadPoolExecutor(16) as pool:
    found = list(pool.map(connects, sys.argv[1:]))
print(*(target for target, had in zip(sys.argv[1:], found) if had))
"""


def succeeded(release: Release) -> int:
    runs = release.items("jobs", f"city-data/release={RELEASE}")
    return sum(job["status"].get("succeeded", 0) for job in runs)


def test_install_loads_months_without_a_hand(release: Release, notes: str) -> None:
    """Into a namespace with enforced `restricted`; the init Job ends once runs are requested, and they succeed."""
    took = until(
        "the init Job",
        300,
        lambda: (
            "1" in release.kubectl("get", "job", f"{RELEASE}-backfill-1", "--output", "jsonpath={.status.succeeded}")
        ),
    )
    release.note(f"init backfill requested its first run after {took:.0f} s")
    took = until("two ready replicas", 300, lambda: [is_ready(pod) for pod in release.pods("api")] == [True, True])
    release.note(f"API ready {took:.0f} s later")
    assert len({pod["spec"]["nodeName"] for pod in release.pods("api")}) == 2
    took = until("all runs", 400, lambda: succeeded(release) == 6)
    release.note(f"6 runs succeeded, {took:.0f} s later")


def test_month_is_read_with_a_token_alone(release: Release, issuer: Issuer) -> None:
    url = address(release) + ROUTE
    assert httpx.get(url).status_code == 401
    answer = httpx.get(url, headers=bearer(issuer.token()))
    assert answer.status_code == 200
    assert answer.json()["weather_record_count"] > 0


@pytest.mark.parametrize("role", ROLES)
def test_role_connects_to_what_it_needs_alone(role: str, release: Release, cluster: Place) -> None:
    """To every other role, and outside: listeners stand at every address, so that a policy refuses what is refused."""
    outside = {f"{cluster.host}:5432", f"{cluster.outside}:443", f"{cluster.outside}:25", f"{cluster.metadata}:80"}
    ports = ports_of_roles(release)
    needed = {f"{cluster.host}:5432"} | {target for target, of in ports.items() if (role, of) in PAIRS}
    if role in ("collector", "daemon", "webserver"):  # the sources, and the API server, whose port is theirs
        needed.add(f"{cluster.outside}:443")
    others = {target for target, of in ports.items() if of != role}
    with listening(cluster.metadata, 80), listening(cluster.outside, 25):
        reached = set(in_pod(release, role, CONNECT, *sorted(outside | others)).split())
    release.note(f"{role} reaches {sorted(reached)} of {len(outside | others)}")
    assert reached == needed


def ports_of_roles(release: Release) -> dict[str, str]:
    """The role that listens, by HOST:PORT."""
    return {
        f"{pod['status']['podIP']}:{port['containerPort']}": role
        for role in ROLES
        for pod in release.pods(role)
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    }


def test_extra_environment_is_in_every_process(release: Release) -> None:
    without = [
        role
        for role in (*ROLES, "migration", "backfill")
        for pod in release.pods(role)
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])
        if "CITY_DATA_AS_OF" not in environment_of(release, container)
    ]
    assert without == []


def environment_of(release: Release, container: dict[str, Any]) -> set[str]:
    """The names of its variables, its ConfigMaps' too."""
    maps = [one["configMapRef"]["name"] for one in container.get("envFrom", []) if "configMapRef" in one]
    contents = [json.loads(release.kubectl("get", "configmap", name, "--output", "json"))["data"] for name in maps]
    return {one["name"] for one in container.get("env", [])}.union(*contents)


def test_idle_minute_takes_at_most_20_connections(release: Release, database: ReachablePostgres) -> None:
    """New ones to Dagster's database, by its own count."""
    before = sessions(database)
    time.sleep(60)
    taken = sessions(database) - before
    release.note(f"connections to Dagster's database in an idle minute: {taken}")
    assert taken <= 20


def sessions(database: ReachablePostgres) -> int:
    with psycopg.connect(database.url()) as connection:
        row = connection.execute("SELECT sessions FROM pg_stat_database WHERE datname = 'dagster'").fetchone()
    assert row is not None
    return int(row[0])


def in_pod(release: Release, role: str, script: str, *arguments: str) -> str:
    until(f"{role} runs", 200, lambda: any(is_running(pod) for pod in release.pods(role)))
    return release.kubectl(
        "exec", f"deploy/{RELEASE}-{role}", "--container", role, "--", "python", "-c", script, *arguments
    )


@pytest.mark.parametrize("role", ROLES)
def test_exec_needs_no_choice_of_a_container(role: str, release: Release) -> None:
    assert "Defaulted container" not in release.kubectl("exec", f"deploy/{RELEASE}-{role}", "--", "true", check=False)


def test_commands_of_the_notes_do_what_they_say(notes: str, issuer: Issuer) -> None:
    """Each as it is printed, with a token in $TOKEN; forwards stay up until the last has run."""
    commands = [line.strip() for line in notes.splitlines() if line.startswith("     ")]
    forwards, said = [], []
    try:
        for command in commands:
            if "port-forward" in command:
                forwards.append(subprocess.Popen(shlex.split(command.removesuffix("&")), stdout=subprocess.DEVNULL))
                port = int(command.split(":")[0].split()[-1])
                until(command, 30, lambda port=port: answers("127.0.0.1", port))
            else:
                environment = {**os.environ, "TOKEN": issuer.token()}
                done = subprocess.run(
                    ["bash", "-c", command], env=environment, capture_output=True, text=True, check=True
                )
                said.append(done.stdout)
    finally:
        for forward in forwards:
            forward.terminate()
            forward.wait()
    assert f"job.batch/{RELEASE}-backfill-1" in said[0]
    assert "madrid" in said[-1]


def answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    with socket.create_server((host, port)):
        yield


def test_upgrade_and_rollback_lose_no_read(release: Release, issuer: Issuer) -> None:
    with Reader(address(release) + ROUTE, issuer) as reader:
        release.upgrade("--set", "cacheTtlDays=59", "--set", "initialBackfill.enabled=false")
        release.kubectl("rollout", "status", f"deploy/{RELEASE}-api", "--timeout=240s", timeout=250)
        spread = {pod["spec"]["nodeName"] for pod in release.pods("api")}
        release.helm("rollback", RELEASE, "1")
        release.kubectl("rollout", "status", f"deploy/{RELEASE}-api", "--timeout=240s", timeout=250)
    release.note(f"upgrade and rollback: {reader.answers} answers, {len(reader.lost)} lost {reader.lost[:3]}")
    assert (reader.lost, len(spread)) == ([], 2)
    assert reader.answers > 200


def test_backfill_survives_90_s_without_a_code_location(release: Release, dagster: dg.DagsterInstance) -> None:
    until("the code location", 200, lambda: any(is_ready(pod) for pod in release.pods("code")))
    until("the webserver", 200, lambda: any(is_ready(pod) for pod in release.pods("webserver")))
    number = release.backfill("2026-05", "2026-08")
    release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=0")
    time.sleep(90)
    release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=1")
    until("the code location", 200, lambda: any(is_ready(pod) for pod in release.pods("code")))
    status = ended(dagster, number, 400)
    release.note(f"backfill without code location for 90 s: {status}")
    assert status == "COMPLETED_SUCCESS"


def test_lost_node_is_left_within_a_minute_and_comes_back(
    release: Release, cluster: Place, dagster: dg.DagsterInstance
) -> None:
    """With daemon, code location and webserver on it, while a backfill is under way, which ends as a success."""
    if not cluster.node:
        pytest.skip("CLUSTER_TEST_NODE names no node that may be lost")
    singles = ("daemon", "code", "webserver")
    move_to(release, cluster.node, singles)
    number = release.backfill("2026-05", "2026-08")
    subprocess.run([*cluster.lose, cluster.node], check=True, timeout=60)
    try:
        until("Kubernetes to miss it", 180, lambda: is_left(release, cluster.node))
        took = until("pods elsewhere", 60, lambda: all(scheduled(release, role) - {cluster.node} for role in singles))
        release.note(f"{cluster.node} lost: all single pods are on another node {took:.0f} s after it was missed")
        took = until("all ready", 180, lambda: all(nodes_of(release, role) - {cluster.node} for role in singles))
        release.note(f"and ready {took:.0f} s later")
        status = ended(dagster, number, 600)
        release.note(f"backfill of the lost node: {status}")
        assert status == "COMPLETED_SUCCESS"
    finally:
        subprocess.run([*cluster.regain, cluster.node], check=True, timeout=90)


def is_left(release: Release, node: str | None) -> bool:
    """Whether pods are to leave a node: when that is, after its power went, is the cluster's own setting."""
    (found,) = [one for one in release.items("nodes") if one["metadata"]["name"] == node]
    return any(taint["effect"] == "NoExecute" for taint in found["spec"].get("taints", []))


def scheduled(release: Release, role: str) -> set[str]:
    """The nodes of a role's pods that are not leaving."""
    return {pod["spec"]["nodeName"] for pod in release.pods(role) if "nodeName" in pod["spec"]}


def nodes_of(release: Release, role: str) -> set[str]:
    """The nodes with a ready pod of a role."""
    return {pod["spec"]["nodeName"] for pod in release.pods(role) if is_ready(pod)}


def move_to(release: Release, node: str, roles: Sequence[str]) -> None:
    others = [one["metadata"]["name"] for one in release.items("nodes") if one["metadata"]["name"] != node]
    release.kubectl("cordon", *others)
    try:
        for role in roles:
            release.kubectl("delete", "pod", "--selector", f"app.kubernetes.io/component={role}")
        until(f"{roles} on {node}", 240, lambda: all(nodes_of(release, role) == {node} for role in roles))
    finally:
        release.kubectl("uncordon", *others)
