"""A release through its revisions: what an upgrade and a rollback change, and that a cluster lets them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest

from city_data_tests.helm.charting import CHART, VALUES, Releases, find, manifests
from city_data_tests.helm.cluster import Cluster, Manifest, Refused, serving


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    with serving(Cluster(), tmp_path) as kubeconfig:
        yield Releases(tmp_path, kubeconfig)


@pytest.fixture
def revisions(releases: Releases) -> list[list[Manifest]]:
    """Install, upgrade to a new image and other settings, upgrade again."""
    return [
        releases.next(),
        releases.next("--set", "image.tag=0.2.0,api.replicas=4,runs.pools.aemet=2,retentionMonths=36"),
        releases.next("--values", str(VALUES / "production.yaml"), "--set", "monitoring.serviceMonitor.enabled=false"),
    ]


def jobs(revision: list[Manifest]) -> set[str]:
    return {document["metadata"]["name"] for document in revision if document["kind"] == "Job"}


def test_each_upgrade_creates_new_jobs(revisions: list[list[Manifest]]) -> None:
    first, second, third = map(jobs, revisions)
    assert first == {"r-city-data-migration-1", "r-city-data-backfill-1"}
    assert second == {"r-city-data-migration-2", "r-city-data-backfill-2"}
    assert not third & (first | second)
    for revision in revisions:
        for name in jobs(revision):
            spec = find(revision, "Job", name)["spec"]
            assert spec["ttlSecondsAfterFinished"] > 0
            assert spec["activeDeadlineSeconds"] > 0
            assert "helm.sh/hook" not in find(revision, "Job", name)["metadata"].get("annotations", {})


def test_cluster_accepts_every_upgrade_and_rollback(revisions: list[list[Manifest]]) -> None:
    """helm rolls back to the manifests it keeps: revision 1's Jobs come back under their names."""
    cluster = Cluster()
    for revision in revisions:
        cluster.release(revision)
        assert cluster.names("Job") == jobs(revision)
    cluster.release(revisions[0])
    assert cluster.names("Job") == jobs(revisions[0])
    cluster.release(revisions[1])
    assert find(list(cluster.objects.values()), "Deployment", "r-city-data-api")["spec"]["replicas"] == 4


def test_cluster_stand_in_refuses_immutable_changes(revisions: list[list[Manifest]]) -> None:
    cluster = Cluster()
    cluster.release(revisions[0])
    for kind, name, path in (
        ("Job", "r-city-data-migration-1", ("spec", "template", "metadata", "labels")),
        ("Deployment", "r-city-data-api", ("spec", "selector", "matchLabels")),
        ("RoleBinding", "r-city-data-launcher", ("roleRef",)),
    ):
        changed = copy.deepcopy(find(revisions[0], kind, name))
        inner = changed
        for part in path:
            inner = inner[part]
        inner["name"] = "another"
        with pytest.raises(Refused, match="field is immutable"):
            cluster.apply(changed)
    unknown = {**find(revisions[0], "ConfigMap", "r-city-data-env"), "daat": {}}
    with pytest.raises(Refused, match="daat"):
        cluster.apply(unknown)


def test_pods_restart_when_their_configuration_changes(revisions: list[list[Manifest]]) -> None:
    sums = [
        find(revision, "Deployment", "r-city-data-daemon")["spec"]["template"]["metadata"]["annotations"]
        for revision in revisions
    ]
    assert sums[0] != sums[1]


def test_release_notes_show_the_next_three_commands(releases: Releases) -> None:
    installed = releases.next()
    notes = releases.notes()
    commands = [line.strip() for line in notes.splitlines() if line.strip().startswith(("kubectl", "curl"))]
    assert [command.split()[3] for command in commands if command.startswith("kubectl")] == ["get"] + [
        "port-forward"
    ] * 2
    services = {document["metadata"]["name"] for document in installed if document["kind"] == "Service"}
    forwarded = {
        part.removeprefix("svc/") for command in commands for part in command.split() if part.startswith("svc/")
    }
    assert forwarded == {"r-city-data-webserver", "r-city-data-api"}
    assert forwarded <= services
    assert manifests((CHART / "Chart.yaml").read_text())[0]["appVersion"] in notes
