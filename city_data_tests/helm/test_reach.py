"""The containers that a value reaches, against its description in values.yaml."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from api.transport import protocol
from city_data_tests.helm.charting import containers, find, pod_templates, render
from city_data_tests.helm.cluster import Manifest


def run_settings(rendered: list[Manifest]) -> dict[str, Any]:
    """The launcher's configuration: a run's Job."""
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    config: dict[str, Any] = settings["run_launcher"]["config"]
    return config


def pods(rendered: list[Manifest]) -> dict[str, Manifest]:
    """Every pod's specification by its role, that of runs too."""
    found = {
        name.partition("r-city-data-")[2].removesuffix("-1"): template["spec"]
        for name, template in pod_templates(rendered).items()
    }
    assert found.keys() >= {"api", "code", "collector", "daemon", "exporter", "webserver", "migration", "backfill"}
    return {**found, "run": run_settings(rendered)["run_k8s_config"]["pod_spec_config"]}


def test_extra_settings_reach_every_container(production: list[Manifest]) -> None:
    """`extraEnv`: settings without secrets for every process."""
    assert find(production, "ConfigMap", "r-city-data-env")["data"]["LOG_LEVEL"] == "info"
    for name, template in pod_templates(production).items():
        for container in containers(template):
            sources = [source["configMapRef"]["name"] for source in container.get("envFrom", [])]
            assert sources == ["r-city-data-env"], (name, container["name"])
    assert run_settings(production)["env_config_maps"] == ["r-city-data-env"]


def test_placement_reaches_every_pod_and_runs(production: list[Manifest]) -> None:
    """`nodeSelector`, `tolerations` and `image.pullSecrets`: for all pods, runs too."""
    for role, pod in pods(production).items():
        assert pod["nodeSelector"] == {"kubernetes.io/arch": "amd64"}, role
        assert {"key": "dedicated", "operator": "Equal", "value": "data", "effect": "NoSchedule"} in pod["tolerations"]
        assert pod["imagePullSecrets"] == [{"name": "registry"}], role


def test_a_lost_nodes_pods_start_elsewhere_soon() -> None:
    """`lostNodeSeconds`: for all pods, runs too; Kubernetes waits 300 s by itself."""
    for role, pod in pods(render("--set", "lostNodeSeconds=7")).items():
        waits = {one["key"]: one["tolerationSeconds"] for one in pod["tolerations"] if "tolerationSeconds" in one}
        assert waits == {"node.kubernetes.io/not-ready": 7, "node.kubernetes.io/unreachable": 7}, role


def test_replicas_of_one_rollout_are_spread_and_leave_in_order(production: list[Manifest]) -> None:
    deployment = find(production, "Deployment", "r-city-data-api")["spec"]
    pod = deployment["template"]["spec"]
    assert {one["topologyKey"]: one["matchLabelKeys"] for one in pod["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname": ["pod-template-hash"]
    }
    (preferred,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert preferred["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = pod["containers"]
    word, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    drain = next(float(one["value"]) for one in container["env"] if one["name"] == "API_DRAIN_S")
    assert (word, drain) == ("sleep", protocol.KEEP_ALIVE_S + 1)
    assert pod["terminationGracePeriodSeconds"] >= int(seconds) + drain + protocol.STOPPING_S


@pytest.mark.parametrize(
    ("value", "role", "name"),
    [
        ("api", "api", "api"),
        ("webserver", "webserver", "webserver"),
        ("daemon", "daemon", "daemon"),
        ("codeLocation", "code", "code"),
        ("collector", "collector", "collector"),
        ("exporter", "exporter", "exporter"),
        ("migration", "migration", "migration"),
        ("initialBackfill", "backfill", "backfill"),
    ],
)
def test_resources_reach_their_container_alone(value: str, role: str, name: str) -> None:
    rendered = render("--set", f"{value}.resources.limits.memory=7777Mi")
    given = [
        (found, container["name"])
        for found, pod in pods(rendered).items()
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]
        if container["resources"]["limits"]["memory"] == "7777Mi"
    ]
    assert given == [(role, name)]
    assert run_settings(rendered)["resources"]["limits"]["memory"] == "2Gi"


def test_backfills_survive_an_absence_of_the_code_location(rendered: list[Manifest]) -> None:
    """And the daemon starts once the code location's Service has a ready pod, and retries a failed run then alone."""
    daemon = pod_templates(rendered)["Deployment/r-city-data-daemon"]
    waiting, running = containers(daemon)
    given = {variable["name"]: variable.get("value") for variable in running["env"]}
    assert given["DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"] == "1"
    service = find(rendered, "Service", "r-city-data-code")
    address = f"r-city-data-code:{service['spec']['ports'][0]['port']}"
    assert waiting["command"][-2:] == ["--reach", address]
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    assert settings["storage"]["custom"]["config"]["code_location"] == address


def test_failed_init_backfill_keeps_its_reason(production: list[Manifest]) -> None:
    """A pod that is restarted has lost its log, and one of a failed Job is deleted under OnFailure."""
    job = find(production, "Job", "r-city-data-backfill-1")["spec"]
    assert (job["template"]["spec"]["restartPolicy"], job["backoffLimit"]) == ("Never", 3)
    for template in pod_templates(production).values():
        for container in containers(template):
            assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"


def test_exporter_reads_both_databases_with_logins_that_may_only_read(rendered: list[Manifest]) -> None:
    exporter = pod_templates(rendered).get("Deployment/r-city-data-exporter")
    for container in containers(exporter) if exporter else []:
        for variable in container["env"]:
            if variable["name"].endswith("_URL"):
                assert variable["valueFrom"]["secretKeyRef"]["key"] in ("reader-url", "dagster-reader-url")


def test_kubectl_finds_the_container_of_each_role(rendered: list[Manifest]) -> None:
    for name, template in pod_templates(rendered).items():
        named = template["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"]
        assert named == template["spec"]["containers"][0]["name"], name
