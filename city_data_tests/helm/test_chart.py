"""The rendered chart: valid against strict schemas, and safe."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import click
import jsonschema
import kubernetes_validate
import pytest
import typer
import yaml
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import dagster_webserver

from city_data.cli import commands
from city_data.local import dagster_config
from city_data_tests.helm.charting import (
    CHART,
    OPERATOR,
    VALUES,
    HelmError,
    containers,
    find,
    helm,
    manifests,
    pod_templates,
    render,
)
from city_data_tests.helm.cluster import Manifest

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
OLDEST, NEWEST = "1.29", kubernetes_validate.latest_version()
CRDS = {"ServiceMonitor": "servicemonitor.json", "PrometheusRule": "prometheusrule.json"}
SECRET = re.compile(
    r"(_KEY|_APPLICATION_ID|_KEY_ID|_TOKEN|PASSWORD|SECRET|DATABASE_URL|DAGSTER_URL|REDIS_URL|WEBHOOK_URL)$"
)


@pytest.mark.parametrize("values", [None, "minimal", "production"])
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_helm_lint_passes(values: str | None, version: str) -> None:
    chosen = ["--values", str(VALUES / f"{values}.yaml")] if values else []
    assert "0 chart(s) failed" in helm("lint", str(CHART), "--strict", "--kube-version", version, *chosen)


@pytest.mark.parametrize("values", [None, "minimal", "production"])
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_valid_against_its_strict_schema(values: str | None, version: str) -> None:
    rendered = render("--kube-version", version, values=values)
    assert len(rendered) > 12
    for document in rendered:
        if document["kind"] in CRDS:
            schema = json.loads((Path(__file__).parent / "schemas" / CRDS[document["kind"]]).read_text())
            jsonschema.validate(document, schema)
        else:
            # Raises for what it does not know, such as an API that the version no longer has.
            assert version.startswith(kubernetes_validate.validate(document, version, strict=True))


def test_the_validation_can_fail() -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "dtaa": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)
    with pytest.raises(yaml.YAMLError, match="key a twice"):
        manifests("a: 1\nb: 2\na: 3\n")


def test_a_cluster_too_old_is_refused() -> None:
    with pytest.raises(HelmError, match="kubeVersion"):
        render("--kube-version", "1.28")


def test_selectors_match_and_ports_exist(rendered: list[Manifest]) -> None:
    templates = pod_templates(rendered)
    for document in rendered:
        if document["kind"] == "Deployment":
            wanted = document["spec"]["selector"]["matchLabels"].items()
            assert wanted <= document["spec"]["template"]["metadata"]["labels"].items()
            # Nothing that an upgrade changes may be in a selector, which cannot be changed.
            assert {name for name, _ in wanted} == {
                f"app.kubernetes.io/{part}" for part in ("name", "instance", "component")
            }
        for selector, ports in _selections(document):
            chosen = [t for t in templates.values() if selector.items() <= t["metadata"]["labels"].items()]
            runs = "city-data/release" in selector
            assert chosen or runs, f"{document['kind']} {document['metadata']['name']} selects no pod"
            names = {p["name"] for t in chosen for c in containers(t) for p in c.get("ports", [])}
            assert {port for port in ports if isinstance(port, str)} <= names


def _selections(document: Manifest) -> list[tuple[dict[str, str], list[object]]]:
    """(labels, ports) of all that names pods: its own and its peers' within the release."""
    spec = document.get("spec", {})
    if document["kind"] == "Service":
        return [(spec["selector"], [port["targetPort"] for port in spec["ports"]])]
    if document["kind"] == "PodDisruptionBudget":
        return [(spec["selector"]["matchLabels"], [])]
    if document["kind"] != "NetworkPolicy":
        return []
    rules = spec.get("ingress", [])
    peers = [peer["podSelector"]["matchLabels"] for r in rules for peer in r.get("from", []) if "podSelector" in peer]
    enabled = [labels for labels in peers if labels["app.kubernetes.io/component"] != "backfill"]
    ports = [port["port"] for rule in rules for port in rule.get("ports", [])]
    return [(spec["podSelector"]["matchLabels"], ports), *((labels, []) for labels in enabled)]


def test_every_container_is_restricted(rendered: list[Manifest]) -> None:
    templates = pod_templates(rendered)
    assert len(templates) >= 5
    for name, template in templates.items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not any("hostPath" in volume for volume in pod.get("volumes", []))
        for container in containers(template):
            check_restricted(container)
            assert container["resources"]["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
            assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}
            assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"])


def check_restricted(container: Manifest) -> None:
    """The rules of the pod security standard `restricted`, and a read-only file system."""
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }, container["name"]


def test_rbac_rules_are_those_dagster_k8s_needs(rendered: list[Manifest]) -> None:
    roles = [document for document in rendered if document["kind"] in ("Role", "ClusterRole")]
    assert [role["kind"] for role in roles] == ["Role"]
    granted = {
        (resource, verb) for rule in roles[0]["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert granted == {
        *(("jobs", verb) for verb in ("create", "list", "delete")),
        *(("pods", verb) for verb in ("get", "list", "delete")),
        ("jobs/status", "get"),
        ("pods/log", "get"),
        ("events", "list"),
    }
    assert "*" not in json.dumps(roles)
    templates = pod_templates(rendered).values()
    assert {template["spec"]["automountServiceAccountToken"] for template in templates} == {False}
    # Not in the containers that wait: the token is where runs are launched and stopped.
    mounted = [
        container["name"]
        for template in templates
        for container in containers(template)
        if "/var/run/secrets/kubernetes.io/serviceaccount"
        in {mount["mountPath"] for mount in container["volumeMounts"]}
    ]
    assert sorted(mounted) == ["daemon", "webserver"]


def test_every_secret_is_a_reference(rendered: list[Manifest]) -> None:
    assert "Secret" not in {document["kind"] for document in rendered}
    for document in rendered:
        if document["kind"] == "ConfigMap":
            assert not [name for name in document["data"] if SECRET.search(name)]
    seen = set()
    for template in pod_templates(rendered).values():
        for container in containers(template):
            for variable in container.get("env", []):
                if SECRET.search(variable["name"]):
                    assert variable["valueFrom"]["secretKeyRef"].keys() == {"name", "key"}
                    seen.add(variable["name"])
    assert {"CITY_DATA_DATABASE_URL", "CITY_DATA_DAGSTER_URL"} <= seen


def test_dagsters_settings_name_secrets_only(rendered: list[Manifest]) -> None:
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    assert settings["storage"]["custom"]["config"].pop("code_location") == "r-city-data-code:4000"
    assert settings["storage"] == dagster_config.DAGSTER_CONFIG["storage"]
    assert settings["storage"]["custom"]["config"] == {"postgres_url": {"env": "CITY_DATA_DAGSTER_URL"}}
    launcher = settings["run_launcher"]["config"]
    for variable in launcher["run_k8s_config"]["container_config"]["env"]:
        assert variable.keys() == {"name", "valueFrom"}
    assert settings["run_monitoring"]["enabled"] is True
    assert settings["concurrency"]["pools"] == {"granularity": "run"}
    assert launcher["run_k8s_config"]["job_spec_config"]["ttl_seconds_after_finished"] == 3600
    assert launcher["resources"]["limits"]["memory"] == "2Gi"


def test_each_role_gets_only_the_settings_it_needs(production: list[Manifest]) -> None:
    given = {
        f"{name.removeprefix('Deployment/r-city-data-').removeprefix('Job/r-city-data-')}/{container['name']}": {
            variable["name"] for variable in container.get("env", []) if "valueFrom" in variable
        }
        for name, template in pod_templates(production).items()
        for container in containers(template)
        if container["name"] != "wait-for-migrations"
    }
    app, dagster = "CITY_DATA_DATABASE_URL", "CITY_DATA_DAGSTER_URL"
    keys = {"AEMET_API_KEY", "METEO_FRANCE_API_KEY", "METEO_FRANCE_APPLICATION_ID", "OPENWEATHER_API_KEY"}
    storage = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert given == {
        "webserver/webserver": {dagster},
        "daemon/daemon": {dagster},
        "code/code": {app, dagster, "CITY_DATA_REDIS_URL", "SLACK_WEBHOOK_URL", *storage},
        "api/api": {"API_DATABASE_URL", "CITY_DATA_REDIS_URL", "TENANT_SERVICE_TOKEN"},
        "collector/collector": {app, *keys, *storage},
        "exporter/exporter": {app, dagster, *storage},  # it counts the polls of live feeds in the raw archive
        "migration-1/migration": {app, dagster},
        "backfill-1/backfill": {app},
    }
    reader = [
        variable["valueFrom"]["secretKeyRef"]["key"]
        for container in containers(pod_templates(production)["Deployment/r-city-data-api"])
        for variable in container["env"]
        if variable["name"] in (app, "API_DATABASE_URL")
    ]
    assert reader == ["reader-url", "reader-url"]


def test_one_daemon_and_one_image_for_all(rendered: list[Manifest]) -> None:
    daemon = find(rendered, "Deployment", "r-city-data-daemon")["spec"]
    assert (daemon["replicas"], daemon["strategy"]) == (1, {"type": "Recreate"})
    templates = pod_templates(rendered)
    images = {container["image"] for template in templates.values() for container in containers(template)}
    code = containers(templates["Deployment/r-city-data-code"])[-1]
    told = {variable["name"]: variable.get("value") for variable in code["env"]}
    assert images == {told["DAGSTER_CURRENT_IMAGE"]}
    for name, template in templates.items():
        waits = [container["name"] for container in template["spec"].get("initContainers", [])]
        assert waits == ([] if "-migration-" in name else ["wait-for-migrations"]), name


def test_monitoring_needs_the_operator_and_dashboards_do_not() -> None:
    kinds = {document["kind"] for document in render(values="production", operator=False)}
    assert not kinds & set(CRDS)
    asked = {document["kind"] for document in render(values="production")}
    assert "ServiceMonitor" in asked
    assert not {document["kind"] for document in render()} & set(CRDS)


def test_alert_and_dashboard_files_become_objects(tmp_path: Path) -> None:
    chart = tmp_path / "city-data"
    shutil.copytree(CHART, chart)
    (chart / "files/alerts").mkdir(parents=True, exist_ok=True)
    (chart / "files/dashboards").mkdir(parents=True, exist_ok=True)
    rules = {
        "groups": [{"name": "x", "rules": [{"alert": "X", "expr": "up == 0", "labels": {"a": "{{ $labels.b }}"}}]}]
    }
    (chart / "files/alerts/sample.yaml").write_text(yaml.safe_dump(rules))
    (chart / "files/dashboards/sample.json").write_text('{"title": "{{city}}"}')
    options = ["--api-versions", OPERATOR, "--values", str(VALUES / "production.yaml")]
    made = manifests(helm("template", "r", str(chart), *options))
    rule = find(made, "PrometheusRule", "r-city-data-sample")
    assert rule["spec"] == rules  # braces of Prometheus are not helm's
    jsonschema.validate(rule, json.loads((Path(__file__).parent / "schemas/prometheusrule.json").read_text()))
    board = find(made, "ConfigMap", "r-city-data-dashboard-sample")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["sample.json"]) == {"title": "{{city}}"}


def test_every_command_exists_in_the_image(rendered: list[Manifest]) -> None:
    """With its options; the processes themselves are started in test_run.py."""
    known = {
        "city-data": typer.main.get_command(commands.app),
        "dagster": create_dagster_cli(),
        "dagster-daemon": create_dagster_daemon_cli(),
        "dagster-webserver": dagster_webserver,
    }
    checked = 0
    for template in pod_templates(rendered).values():
        for container in containers(template):
            probe = container.get("livenessProbe", {}).get("exec", {})
            for command in [container["command"], probe.get("command")]:
                if command and command[0] == "sh":
                    assert command[2].startswith("test -n ")  # run in test_collector.py
                elif command and command[0] != "python":
                    parse(known[command[0]], command[1:])
                    checked += 1
                elif command:
                    assert command[1] == "-m"
                    assert importlib.util.find_spec(f"{command[2]}.__main__")
    assert checked >= 9


def parse(command: click.Command, words: list[str]) -> None:
    """Raises click.UsageError for a command or an option that there is not."""
    while isinstance(command, click.Group):
        found = command.commands.get(words[0])
        assert found is not None, f"no command {words[0]}; there are {', '.join(command.commands)}"
        command, words = found, words[1:]
    here = [str(CHART / "values.yaml") if word.startswith("/") else word for word in words]
    command.make_context(command.name, here).close()
