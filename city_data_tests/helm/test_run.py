"""A release and a month on a cluster, as far as that goes without one.

The rendered chart's own commands, settings and Secrets; the real migration, code server, webserver, backfill and
launcher. The Job that the launcher posts is held against the schema, and run as a process.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import grpc
import httpx
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster_graphql.test.utils import execute_dagster_graphql
from grpc_health.v1 import health_pb2, health_pb2_grpc

from city_data.embedded import EmbeddedPostgres, free_port
from city_data.sandbox import Sandbox
from city_data.store.database import Database
from city_data.store.ledger import read_months
from city_data.window import Month
from city_data_tests.helm.charting import containers, find, pod_templates, render
from city_data_tests.helm.cluster import Cluster, Manifest, serving
from city_data_tests.helm.kubelet import Kubelet, Secrets
from city_data_tests.helm.test_chart import check_restricted
from city_data_tests.world import AS_OF

MONTH = "2026-09"
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { __typename ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } }
}"""


@pytest.fixture
def secrets(postgres: EmbeddedPostgres, tmp_path: Path) -> Secrets:
    """What users make with kubectl; the databases are empty."""
    number = abs(hash(str(tmp_path)))
    for name in ("app", "dagster"):
        postgres.create_database(f"cluster_{name}_{number}")
    app, dagster = (postgres.url(f"cluster_{name}_{number}") for name in ("app", "dagster"))
    return {
        "city-data-database": {"url": app, "reader-url": app, "dagster-url": dagster},
        "providers": {"AEMET_API_KEY": "good"},
    }


@pytest.fixture
def rendered(shared_sandbox: Sandbox, tmp_path: Path) -> list[Manifest]:
    values = {
        "enabledCities": ["madrid"],
        "providerKeys": {"existingSecret": "providers"},
        "rawArchive": {"url": f"file://{tmp_path}/raw"},
        "extraEnv": {"CITY_DATA_AS_OF": AS_OF.isoformat(), "CITY_DATA_ROUTES": json.dumps(shared_sandbox.routes)},
        "image": {"tag": "1.2.3"},
        "runs": {"labels": {"cost-centre": "forecasting"}, "pools": {"aemet": 2}},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return render("--values", str(file))


@pytest.fixture
def kubelet(tmp_path: Path, rendered: list[Manifest], secrets: Secrets) -> Kubelet:
    return Kubelet(tmp_path / "node", rendered, secrets)


def run_container(kubelet: Kubelet, template: Manifest, index: int = -1, **instead: str) -> str:
    """Run a pod's container to its end; returns what it said."""
    container = containers(template)[index]
    done = subprocess.run(
        container.get("command", container.get("args")),
        env={**kubelet.environment(container, template["spec"]), **instead},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def serving_pod(kubelet: Kubelet, template: Manifest, changed: dict[str, str]) -> Iterator[Manifest]:
    """A Deployment's own command as a process, with the words changed that name a place of the cluster."""
    container = containers(template)[-1]
    command = [changed.get(part, part) for part in container["command"]]
    environment = kubelet.environment(container, template["spec"])
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield container
        finally:
            server.terminate()


# On a busy machine; a quarter of a minute on a free one.
PATIENCE_S = 150


@contextmanager
def code_server(kubelet: Kubelet, rendered: list[Manifest]) -> Iterator[int]:
    """The code location, probed as its Deployment says."""
    port = free_port()
    template = pod_templates(rendered)["Deployment/r-city-data-code"]
    changed = {"0.0.0.0": "127.0.0.1", "4000": str(port)}
    with (
        serving_pod(kubelet, template, changed) as container,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(timeout=PATIENCE_S)
        asked = health_pb2.HealthCheckRequest(service=container["readinessProbe"]["grpc"]["service"])
        answer = health_pb2_grpc.HealthStub(channel).Check(asked)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        yield port


@contextmanager
def webserver(kubelet: Kubelet, rendered: list[Manifest], code_port: int) -> Iterator[str]:
    """The webserver's URL, once it answers its Deployment's probe."""
    port = free_port()
    template = pod_templates(rendered)["Deployment/r-city-data-webserver"]
    workspace = Path(kubelet.mounts(containers(template)[-1], template["spec"])["/etc/dagster"]) / "workspace.yaml"
    here = workspace.with_name("here.yaml")
    named = workspace.read_text()
    assert find(rendered, "Service", "r-city-data-code")["spec"]["ports"][0]["port"] == 4000
    here.write_text(named.replace("r-city-data-code", "127.0.0.1").replace("4000", str(code_port)))
    changed = {"0.0.0.0": "127.0.0.1", "3000": str(port), "/etc/dagster/workspace.yaml": str(here)}
    with serving_pod(kubelet, template, changed) as container:
        url = f"http://127.0.0.1:{port}"
        await_answer(f"{url}{container['startupProbe']['httpGet']['path']}")
        yield url


def check_exporter(kubelet: Kubelet, rendered: list[Manifest]) -> None:
    """Metrics of the migrated and still empty ledger, by the path that the probe and Prometheus ask for."""
    port = free_port()
    template = pod_templates(rendered)["Deployment/r-city-data-exporter"]
    with serving_pod(kubelet, template, {"0.0.0.0": "127.0.0.1", "9101": str(port)}) as container:
        url = f"http://127.0.0.1:{port}{container['readinessProbe']['httpGet']['path']}"
        await_answer(url)
        assert "\nexternal_ledger_up 1.0\n" in httpx.get(url).text


def await_answer(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not answers(url):
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


@contextmanager
def instance(kubelet: Kubelet, rendered: list[Manifest], kubeconfig: Path, home: Path) -> Iterator[dg.DagsterInstance]:
    """The daemon's own, from the rendered settings; its way to the cluster is a file instead of a mounted token."""
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    settings["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


@pytest.mark.timeout(400)
def test_a_release_comes_up_and_a_month_is_materialized_by_the_job_that_the_launcher_posts(
    kubelet: Kubelet,
    rendered: list[Manifest],
    secrets: Secrets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    templates = pod_templates(rendered)
    assert "schema upgraded" in run_container(kubelet, templates["Job/r-city-data-migration-1"])
    daemon = templates["Deployment/r-city-data-daemon"]
    assert "the schema is ready" in run_container(kubelet, daemon, index=0)

    cluster = Cluster()
    for name, value in kubelet.environment(containers(daemon)[-1], daemon["spec"]).items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        kubeconfig = stack.enter_context(serving(cluster, tmp_path))
        port = stack.enter_context(code_server(kubelet, rendered))
        opened = stack.enter_context(instance(kubelet, rendered, kubeconfig, tmp_path / "daemon"))
        check_initial_backfill(kubelet, rendered, port, opened)
        check_exporter(kubelet, rendered)
        target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="city_data")
        context = stack.enter_context(WorkspaceProcessContext(opened, target)).create_request_context()
        run_id = ask_for_month(context)
        opened.launch_run(run_id, context)  # as the daemon does when the run's turn has come
        (job,) = cluster.created
        check_job(job, rendered, secrets)
        run_container(kubelet, job["spec"]["template"])
        run = opened.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert opened.event_log_storage.get_concurrency_info("aemet").slot_count == 2
    database, month = Database(secrets["city-data-database"]["url"]), Month.parse(MONTH)
    (entry,) = read_months(database, city_id="madrid", dataset="weather", first=month, last=month)
    database.dispose()
    assert (entry.rows, entry.source, entry.run_id) == (30, "sandbox:aemet", run_id)


def check_initial_backfill(
    kubelet: Kubelet, rendered: list[Manifest], code_port: int, opened: dg.DagsterInstance
) -> None:
    """The init Job asks for the window and ends; asked again while that is under way, it launches nothing beside it."""
    job = pod_templates(rendered)["Job/r-city-data-backfill-1"]
    with webserver(kubelet, rendered, code_port) as url:
        said = run_container(kubelet, job, CITY_DATA_WEBSERVER_URL=url)
        assert "25 months of weather/madrid, traffic/madrid" in " ".join(said.split())
        again = run_container(kubelet, job, CITY_DATA_WEBSERVER_URL=url)
        assert "nothing is launched beside it" in " ".join(again.split())
    (made,) = opened.get_backfills()
    assert made.status == BulkActionStatus.REQUESTED
    assert made.is_asset_backfill


def ask_for_month(context: object) -> str:
    params = {
        "selector": {
            "repositoryLocationName": "city_data",
            "repositoryName": "__repository__",
            "jobName": "city_months",
            "assetSelection": [{"path": [step, "weather", "madrid"]} for step in ("raw", "monthly", "cache")],
        },
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": MONTH}]},
    }
    answer = execute_dagster_graphql(context, LAUNCH, {"params": params}).data["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def check_job(job: Manifest, rendered: list[Manifest], secrets: Secrets) -> None:
    """The Job passed the strict schema when it was posted; this is what the schema does not know."""
    (container,) = containers(job["spec"]["template"])
    pod = job["spec"]["template"]["spec"]
    assert container["image"] == "city-data:1.2.3"
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    check_restricted(container)
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert job["spec"]["ttlSecondsAfterFinished"] == 3600
    assert job["spec"]["activeDeadlineSeconds"] == 11_400
    assert find(rendered, "ServiceAccount", pod["serviceAccountName"])
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert labels["cost-centre"] == "forecasting"
    selected = find(rendered, "NetworkPolicy", "r-city-data-runs")["spec"]["podSelector"]["matchLabels"]
    assert selected.items() <= labels.items()
    assert job["metadata"]["namespace"] == "weather"
    written = json.dumps(job)
    for secret in secrets.values():
        for value in secret.values():
            assert value not in written
