"""The release that the cluster's tests share: databases, a sandbox of the sources, Secrets, the chart's values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import yaml

from city_data.sandbox import Sandbox
from city_data_tests.api.issuer import AUDIENCE, ISSUER, Issuer, key_set
from city_data_tests.cluster.release import (
    DATABASE_PORT,
    NAMESPACE,
    RELEASE,
    Place,
    ReachablePostgres,
    Release,
    place,
)

AS_OF = datetime(2026, 11, 20, 9, tzinfo=UTC)
PASSWORD = "of-the-cluster-test"
SOURCES_PORT = 443


@pytest.fixture(scope="session")
def cluster() -> Place:
    named = place()
    if named is None:
        pytest.skip("no cluster: KUBECONFIG and CLUSTER_TEST_IMAGE are not set (CONTRIBUTING.md)")
    return named


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="session")
def database(cluster: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReachablePostgres]:
    folder = tmp_path_factory.mktemp("cluster")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # the server runs as nobody
    server = ReachablePostgres(folder / "postgres")
    server.start()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE city_data LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("CREATE ROLE city_data_reader NOLOGIN")
        connection.execute(f"CREATE ROLE city_data_api LOGIN PASSWORD '{PASSWORD}' IN ROLE city_data_reader")
        connection.execute("CREATE DATABASE city_data OWNER city_data")
        connection.execute("CREATE DATABASE dagster OWNER city_data")
    yield server
    server.stop(keep=False)


@pytest.fixture(scope="session")
def sources(cluster: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("sandbox")
    sandbox = Sandbox(folder, as_of=lambda: AS_OF, host=cluster.outside, port=SOURCES_PORT)
    sandbox.start()
    yield sandbox
    sandbox.stop()


@pytest.fixture(scope="session")
def release(
    cluster: Place,
    database: ReachablePostgres,
    sources: Sandbox,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    folder = tmp_path_factory.mktemp("release")
    values = folder / "values.yaml"
    values.write_text(yaml.safe_dump(chart_values(cluster, sources)))
    made = Release(cluster.chart, values)
    made.kubectl("create", "namespace", NAMESPACE)
    try:
        made.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        create_secrets(made, cluster, issuer, folder)
        raw = Path(folder / "raw")
        raw.mkdir()
        raw.chmod(0o777)
        made.kubectl("apply", "--filename", "-", stdin=volume(raw))
        yield made
    finally:
        made.kubectl("delete", "namespace", NAMESPACE, "--wait=false", check=False)
        made.kubectl("delete", "persistentvolume", "city-data-test-raw", "--wait=false", check=False)


@pytest.fixture(scope="session")
def notes(release: Release) -> str:
    """What helm prints of the install."""
    return release.upgrade()


@pytest.fixture(scope="session")
def dagster(
    notes: str, database: ReachablePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    """The release's own, read in its database."""
    home = tmp_path_factory.mktemp("dagster")
    config = {"postgres_url": database.url("dagster")}
    storage = {"module": "city_data.defs.storage", "class": "PooledPostgresStorage", "config": config}
    (home / "dagster.yaml").write_text(
        yaml.safe_dump({"storage": {"custom": storage}, "telemetry": {"enabled": False}})
    )
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


def chart_values(cluster: Place, sources: Sandbox) -> dict[str, object]:
    """Small requests: the nodes of a kit share two cores."""
    repository, _, tag = cluster.image.rpartition(":")
    small = {"resources": {"requests": {"cpu": "20m", "memory": "128Mi"}}}
    return {
        "image": {"repository": repository, "tag": tag, "pullPolicy": "Never"},
        "enabledCities": ["madrid"],
        "providerKeys": {"existingSecret": "providers"},
        "rawArchive": {"storageClass": "city-data-test"},
        "extraEnv": {"CITY_DATA_AS_OF": AS_OF.isoformat(), "CITY_DATA_ROUTES": json.dumps(sources.routes)},
        "initialBackfill": {"months": 2, **small},
        "runs": {
            "maxConcurrent": 2,
            "startTimeoutSeconds": 120,
            "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        },
        "api": {"auth": {"issuer": ISSUER, "audience": AUDIENCE}, **small},
        **dict.fromkeys(("webserver", "daemon", "codeLocation", "collector", "exporter", "migration"), small),
    }


def create_secrets(made: Release, cluster: Place, issuer: Issuer, folder: Path) -> None:
    address = f"{cluster.host}:{DATABASE_PORT}"
    urls = {
        "url": f"postgresql://city_data:{PASSWORD}@{address}/city_data",
        "reader-url": f"postgresql://city_data_api:{PASSWORD}@{address}/city_data",
        "dagster-url": f"postgresql://city_data:{PASSWORD}@{address}/dagster",
        "dagster-reader-url": f"postgresql://city_data_api:{PASSWORD}@{address}/dagster",
    }
    literals = [f"--from-literal={name}={url}" for name, url in urls.items()]
    made.kubectl("create", "secret", "generic", "city-data-database", *literals)
    keys = folder / "jwks.json"
    keys.write_bytes(key_set(issuer))
    made.kubectl("create", "secret", "generic", "city-data-jwks", f"--from-file={keys}")
    made.kubectl("create", "secret", "generic", "providers", "--from-literal=AEMET_API_KEY=good")


def volume(folder: Path) -> str:
    """One that both nodes mount, since they share this machine's disk."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "city-data-test-raw"},
            "spec": {
                "capacity": {"storage": "20Gi"},
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "city-data-test",
                "hostPath": {"path": str(folder)},
                "claimRef": {"namespace": NAMESPACE, "name": f"{RELEASE}-raw"},
            },
        }
    )
