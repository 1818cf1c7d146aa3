"""A release and a month on a cluster, as far as that goes without one.

The rendered chart's own commands, settings and Secrets; the real migration, code server, webserver, backfill and
launcher. The Job that the launcher posts is held against the schema, and run as a process.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
import httpx
import psycopg
import pytest
import yaml
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._utils.error import SerializableErrorInfo
from dagster_graphql.test.utils import execute_dagster_graphql
from sqlalchemy import make_url

from city_data.datasets import DATASETS
from city_data.local.embedded import EmbeddedPostgres
from city_data.sandbox import Sandbox
from city_data.store.database import Database
from city_data.store.ledger import read_months
from city_data.store.roles import READER
from city_data.window import Month
from city_data_tests.api.issuer import AUDIENCE, ISSUER, Issuer, bearer, key_set
from city_data_tests.helm.charting import containers, find, pod_templates, render
from city_data_tests.helm.cluster import Cluster, Manifest, serving
from city_data_tests.helm.kubelet import Kubelet, Secrets
from city_data_tests.helm.processes import (
    Reader,
    await_answer,
    code_server,
    exporter,
    reader,
    run_container,
    webserver,
)
from city_data_tests.helm.test_chart import check_restricted
from city_data_tests.world import AS_OF

MONTH = "2026-09"
TOKENS = Issuer()
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
    with psycopg.connect(app, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [READER]).fetchone():
            connection.execute(f"CREATE ROLE {READER} NOLOGIN")
    reader = postgres.create_login("cluster_api", READER, f"cluster_app_{number}")
    url = make_url(reader).set(database=f"cluster_dagster_{number}")
    dagster_reader = url.render_as_string(hide_password=False)
    return {
        "city-data-database": {
            "url": app,
            "reader-url": reader,
            "dagster-url": dagster,
            "dagster-reader-url": dagster_reader,
        },
        "providers": {"AEMET_API_KEY": "good"},
        "city-data-jwks": {"jwks.json": key_set(TOKENS).decode()},
    }


@pytest.fixture
def rendered(shared_sandbox: Sandbox, tmp_path: Path) -> list[Manifest]:
    values = {
        "enabledCities": ["madrid"],
        "providerKeys": {"existingSecret": "providers"},
        "rawArchive": {"url": f"file://{tmp_path}/raw"},
        "extraEnv": {"CITY_DATA_AS_OF": AS_OF.isoformat(), "CITY_DATA_ROUTES": json.dumps(shared_sandbox.routes)},
        "image": {"tag": "1.2.3"},
        "api": {"auth": {"issuer": ISSUER, "audience": AUDIENCE}},
        "initialBackfill": {"months": 2},
        "runs": {"labels": {"cost-centre": "forecasting"}, "pools": {"aemet": 2}},
    }
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return render("--values", str(file))


@pytest.fixture
def kubelet(tmp_path: Path, rendered: list[Manifest], secrets: Secrets) -> Kubelet:
    return Kubelet(tmp_path / "node", rendered, secrets)


def check_exporter(url: str) -> None:
    """Metrics of the migrated and still empty ledger."""
    await_answer(url)
    metrics = httpx.get(url).text
    assert "\nexternal_ledger_up 1.0\n" in metrics
    assert "dagster_daemon_heartbeat_timestamp" in metrics  # from Dagster's database


def check_waiting(api: Reader) -> None:
    """Alive, and not ready before there is a month."""
    await_answer(api.live)
    waiting = httpx.get(api.ready)
    assert (waiting.status_code, waiting.json()["status"]) == (503, "waiting")


def check_serving(api: Reader, reader_url: str) -> None:
    """Ready by the month that the run has loaded; locked by the mounted keys; and its login can write nothing."""
    await_answer(api.ready)
    asked = f"{api.url}/api/v1/cities/madrid/data-availability"
    assert httpx.get(asked).status_code == 401
    assert httpx.get(asked, headers=bearer(Issuer().token())).status_code == 401  # signed with another key
    answer = httpx.get(asked, headers=bearer(TOKENS.token()))
    assert (answer.status_code, answer.json()["weather_record_count"]) == (200, 30)
    assert httpx.get(f"{api.url}/metrics", headers=bearer(TOKENS.token())).status_code == 404
    assert '\nexternal_auth_failures_total{reason="missing"} 1.0\n' in httpx.get(api.metrics).text
    with psycopg.connect(reader_url) as connection:
        for command in ("DELETE FROM city_month", "CREATE TABLE mine (x int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute(command)


@contextmanager
def instance(kubelet: Kubelet, rendered: list[Manifest], kubeconfig: Path, home: Path) -> Iterator[dg.DagsterInstance]:
    """The daemon's own, from the rendered settings; its way to the cluster is a file instead of a mounted token."""
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    settings["run_launcher"]["config"] |= {"load_incluster_config": False, "kubeconfig_file": str(kubeconfig)}
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


# A backfill is evaluated in this process; the warning is Dagster's, of its own snapshots of a job's subset.
@pytest.mark.filterwarnings("ignore:Stored parent snapshot ID:UserWarning")
@pytest.mark.timeout(400)
def test_release_starts_and_the_launchers_job_materializes_a_month(
    kubelet: Kubelet,
    rendered: list[Manifest],
    secrets: Secrets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    templates = pod_templates(rendered)
    assert "schema upgraded" in run_container(kubelet, templates["Job/r-city-data-migration-1"])
    daemon = templates["Deployment/r-city-data-daemon"]
    with socket.create_server(("127.0.0.1", 0)) as code:
        here = {"r-city-data-code:4000": f"127.0.0.1:{code.getsockname()[1]}"}
        assert "the schema is ready" in run_container(kubelet, daemon, index=0, changed=here)

    cluster = Cluster()
    for name, value in kubelet.environment(containers(daemon)[-1], daemon["spec"]).items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        kubeconfig = stack.enter_context(serving(cluster, tmp_path))
        # All start at once; each is waited for where it is needed.
        metrics = stack.enter_context(exporter(kubelet, rendered))
        api = stack.enter_context(reader(kubelet, rendered))
        port = stack.enter_context(code_server(kubelet, rendered))
        opened = stack.enter_context(instance(kubelet, rendered, kubeconfig, tmp_path / "daemon"))
        target = GrpcServerTarget(host="127.0.0.1", port=port, socket=None, location_name="city_data")
        process = stack.enter_context(WorkspaceProcessContext(opened, target))
        check_initial_backfill(kubelet, rendered, port, process)
        check_exporter(metrics)
        check_waiting(api)
        context = process.create_request_context()
        run_id = ask_for_month(context)
        opened.launch_run(run_id, context)  # as the daemon does when the run's turn has come
        (job,) = cluster.created
        check_job(job, rendered, secrets)
        run_container(kubelet, job["spec"]["template"])
        run = opened.get_run_by_id(run_id)
        assert run is not None
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert opened.event_log_storage.get_concurrency_info("aemet").slot_count == 2
        check_serving(api, secrets["city-data-database"]["reader-url"])
    database, month = Database(secrets["city-data-database"]["url"]), Month.parse(MONTH)
    (entry,) = read_months(database, city_id="madrid", dataset="weather", first=month, last=month)
    database.dispose()
    assert (entry.rows, entry.source, entry.run_id) == (30, "sandbox:aemet", run_id)


def check_initial_backfill(
    kubelet: Kubelet, rendered: list[Manifest], code_port: int, context: WorkspaceProcessContext
) -> None:
    """The init Job ends once the daemon has requested the first run of each backfill, and launches nothing beside an
    unfinished one. Where Dagster gives its backfill up, it fails with the reason."""
    job, opened = pod_templates(rendered)["Job/r-city-data-backfill-1"], context.instance
    with webserver(kubelet, rendered, code_port) as url, ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_container, kubelet, job, CITY_DATA_WEBSERVER_URL=url)
        while not running.done():
            evaluate_backfills(context)
        said = " ".join(running.result().split())
        for dataset in DATASETS.values():
            assert f"{3 + dataset.months_ahead} months of {dataset.name}/madrid" in said
        assert said.count("has requested its first run") == len(DATASETS)
        again = run_container(kubelet, job, CITY_DATA_WEBSERVER_URL=url)
        assert "nothing else is launched" in " ".join(again.split())
        backfills = opened.get_backfills()
        assert [(backfill.status, backfill.is_asset_backfill) for backfill in backfills] == [
            (BulkActionStatus.REQUESTED, True)
        ] * len(DATASETS)
        for backfill in backfills:
            opened.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))
        check_backfill_given_up(kubelet, job, url, opened)


def check_backfill_given_up(kubelet: Kubelet, job: Manifest, url: str, opened: dg.DagsterInstance) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_container, kubelet, job, CITY_DATA_WEBSERVER_URL=url)
        requested = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
        while not running.done():
            for backfill in opened.get_backfills(filters=requested):
                error = SerializableErrorInfo("Asset madrid does not load", [], "DagsterError")
                opened.update_backfill(backfill.with_status(BulkActionStatus.FAILED).with_error(error))
        with pytest.raises(AssertionError, match="ended without a run: FAILED: Asset madrid does not load"):
            running.result()


def evaluate_backfills(context: WorkspaceProcessContext) -> None:
    """What the daemon does every 30 s."""
    assert [error for error in execute_backfill_iteration(context, logging.getLogger("backfills")) if error] == []


def ask_for_month(context: object) -> str:
    params = {
        "selector": {
            "repositoryLocationName": "city_data",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": ["madrid", f"weather_{step}"]} for step in ("raw", "monthly", "cache")],
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
    assert container["resources"]["limits"] == {"memory": "2Gi", "ephemeral-storage": "9Gi"}
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
