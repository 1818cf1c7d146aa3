"""One release through what happens on a real cluster, in order: install, reads, network, absences, upgrade, rollback.

By `make cluster-test`; skipped where the environment names no cluster.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import pytest

from city_data_tests.api.issuer import Issuer, bearer
from city_data_tests.cluster.release import RELEASE, Place, Release, is_ready, until

ROUTE = "/api/v1/cities/madrid/data-availability"
# Run in a pod: HOST PORT, exit code 7 where no connection is had.
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
except OSError:
    sys.exit(7)
"""


def address(release: Release) -> str:
    """The API's Service; this process is on a node's network."""
    (service,) = [one for one in release.items("services") if one["metadata"]["name"] == f"{RELEASE}-api"]
    return f"http://{service['spec']['clusterIP']}"


def succeeded(release: Release) -> int:
    runs = release.items("jobs", f"city-data/release={RELEASE}")
    return sum(job["status"].get("succeeded", 0) for job in runs)


def test_install_loads_months_without_a_hand(release: Release) -> None:
    """Into a namespace with enforced `restricted`; the init Job ends once runs are requested, and they succeed."""
    notes = release.upgrade()
    assert "The init Job requests the months" in notes
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


@pytest.mark.parametrize("role", ["api", "code", "collector", "daemon", "exporter", "webserver"])
def test_role_connects_to_what_it_needs_alone(role: str, release: Release, cluster: Place) -> None:
    """Listeners stand at every address: what is refused here is refused by a policy."""
    allowed = {(cluster.host, 5432)} | (
        {(cluster.outside, 443)} if role in ("collector", "daemon", "webserver") else set()
    )
    with listening(cluster.metadata, 80), listening(cluster.outside, 25):
        targets = [(cluster.host, 5432), (cluster.outside, 443), (cluster.outside, 25), (cluster.metadata, 80)]
        reached = {one for one in targets if connects(release, role, *one)}
    release.note(f"{role} reaches {sorted(reached)}")
    assert reached == allowed


def connects(release: Release, role: str, host: str, port: int) -> bool:
    said = release.kubectl(
        "exec", f"deploy/{RELEASE}-{role}", "--", "python", "-c", CONNECT, host, str(port), check=False
    )
    assert "Defaulted container" not in said
    assert not said or "exit code 7" in said, said
    return not said


@contextmanager
def listening(host: str, port: int) -> Iterator[None]:
    with socket.create_server((host, port)):
        yield


class Reader:
    """Clients that count every answer, each on one connection as long as it is kept."""

    def __init__(self, url: str, issuer: Issuer, clients: int = 6) -> None:
        self._url, self._headers = url, bearer(issuer.token())
        self.answers, self.lost = 0, list[str]()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(clients)]

    def __enter__(self) -> Reader:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _read(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._over.wait(0.1):
                try:
                    status = client.get(self._url, headers=self._headers).status_code
                except httpx.TransportError as error:
                    self.lost.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
                    continue
                self.answers += 1
                if status != 200:
                    self.lost.append(str(status))


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


def backfill(release: Release) -> str:
    """Two months again, by hand as the README has it; returns its id."""
    said = release.kubectl(
        "exec", f"deploy/{RELEASE}-code", "--", "city-data", "backfill", "--cluster", f"http://{RELEASE}-webserver",
        "--no-wait", "--city", "madrid", "--dataset", "weather", "--from", "2026-05", "--to", "2026-08",
    )  # fmt: skip
    return said.split("backfill ")[1].split()[0]


# Run in the code location's pod, which may ask the webserver: ID
STATUS = """
import httpx, sys
query = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
asked = {"query": query, "variables": {"id": sys.argv[1]}}
print(httpx.post("http://city-data-webserver/graphql", json=asked).json()["data"]["partitionBackfillOrError"]["status"])
"""


def status_of(release: Release, backfill_id: str) -> str:
    return release.kubectl(
        "exec", f"deploy/{RELEASE}-code", "--", "python", "-c", STATUS, backfill_id, check=False
    ).strip()


def test_backfill_survives_90_s_without_a_code_location(release: Release) -> None:
    until("the code location", 200, lambda: any(is_ready(pod) for pod in release.pods("code")))
    until("the webserver", 200, lambda: any(is_ready(pod) for pod in release.pods("webserver")))
    number = backfill(release)
    release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=0")
    time.sleep(90)
    release.kubectl("scale", f"deploy/{RELEASE}-code", "--replicas=1")
    until("the code location", 200, lambda: any(is_ready(pod) for pod in release.pods("code")))
    took = until("the backfill", 400, lambda: "COMPLETED" in status_of(release, number), every=5)
    release.note(f"backfill without code location for 90 s: {status_of(release, number)} after {took:.0f} s")
    assert "COMPLETED_SUCCESS" in status_of(release, number)


def test_lost_node_is_left_within_a_minute_and_comes_back(release: Release, cluster: Place) -> None:
    """With daemon, code location and webserver on it, while a backfill is under way, which ends as a success."""
    if not cluster.node:
        pytest.skip("CLUSTER_TEST_NODE names no node that may be lost")
    singles = ("daemon", "code", "webserver")
    move_to(release, cluster.node, singles)
    number = backfill(release)
    subprocess.run([*cluster.lose, cluster.node], check=True, timeout=60)
    try:
        took = until("all elsewhere", 180, lambda: all(nodes_of(release, role) - {cluster.node} for role in singles))
        release.note(f"{cluster.node} lost: all single pods ready elsewhere after {took:.0f} s")
        until("the backfill", 600, lambda: "COMPLETED" in status_of(release, number), every=5)
        release.note(f"backfill of the lost node: {status_of(release, number)}")
        assert "COMPLETED_SUCCESS" in status_of(release, number)
    finally:
        subprocess.run([*cluster.regain, cluster.node], check=True, timeout=90)


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
