"""Settings of the chart against those the code reads: none unknown, and every one can be set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from api.settings import Settings
from city_data import environment, providers
from city_data_tests.helm.charting import CHART, HelmError, containers, find, pod_templates, render
from city_data_tests.helm.cluster import Manifest
from city_data_tests.helm.test_values import SCHEMA

ROOT = Path(__file__).parents[2]
DOWNLOADS = "/var/cache/city-data"


def known_to_the_api() -> set[str]:
    """Every environment variable that the reader's settings have."""
    found = set()
    for field in Settings.model_fields.values():
        assert isinstance(field.validation_alias, pydantic.AliasChoices)
        found |= {str(choice) for choice in field.validation_alias.choices if str(choice).isupper()}
    return found


def api(rendered: list[Manifest]) -> tuple[Manifest, Manifest]:
    """(pod, container)"""
    template = pod_templates(rendered)["Deployment/r-city-data-api"]
    return template["spec"], containers(template)[-1]


def test_api_knows_every_variable_the_chart_sets(rendered: list[Manifest]) -> None:
    told = [variable["name"] for variable in api(rendered)[1]["env"]]
    assert len(told) == len(set(told))
    assert set(told) - known_to_the_api() == set()
    # It prefers this name: the writer's URL must not reach it at all.
    assert "API_DATABASE_URL" in told
    assert "CITY_DATA_DATABASE_URL" not in told


def test_every_api_setting_can_be_set_by_a_value(production: list[Manifest]) -> None:
    set_by_the_chart = {"API_HOST", "API_PORT", "API_METRICS_PORT", "API_DATABASE_URL", "API_DRAIN_S"}
    offered = set(SCHEMA["properties"]["api"]["properties"]["settings"]["propertyNames"]["enum"])
    assert offered == {name for name in known_to_the_api() if name.startswith("API_")} - set_by_the_chart
    with pytest.raises(HelmError, match="API_RATE_PER_SECOND"):
        render("--set", "api.settings.API_RATE_PER_SECOND=1")
    told = {variable["name"]: variable.get("value") for variable in api(production)[1]["env"]}
    # Numbers arrive as helm's floats: none may arrive as 1.3e+08.
    assert (told["API_PAGE"], told["API_RATE_PER_S"], told["API_SEGMENT_BYTES"]) == ("false", "0.5", "134217728")


def test_every_shared_variable_is_read_by_the_code(rendered: list[Manifest]) -> None:
    source = "".join(file.read_text() for part in ("api", "city_data") for file in (ROOT / part).rglob("*.py"))
    for name in find(rendered, "ConfigMap", "r-city-data-env")["data"]:
        assert f'"{name}"' in source or name == "LOG_LEVEL", name  # the example's own


def declared_keys() -> set[str]:
    """The variables of secrets that providers read, needed or not."""
    named = {variable.name for variable in environment.VARIABLES if variable.group == "sources" and variable.secret}
    needed = {p.capabilities.key_variable for p in providers.discover().values() if p.capabilities.key_variable}
    assert needed <= named
    return named


def test_every_providers_key_can_be_set(production: list[Manifest]) -> None:
    keys = declared_keys()
    assert len(keys) >= 4
    described = (CHART / "values.yaml").read_text()
    assert not [name for name in keys if name not in described]
    settings = yaml.safe_load(find(production, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    of_a_run = settings["run_launcher"]["config"]["run_k8s_config"]["container_config"]["env"]
    given = {variable["name"]: variable["valueFrom"]["secretKeyRef"] for variable in of_a_run}
    for name in keys:
        assert given[name] == {"name": "providers", "key": name}
        with pytest.raises(HelmError, match=name):
            render("--set", f"extraEnv.{name}=abc")


def test_slot_of_a_dead_or_canceled_run_is_free_within_30_s(production: list[Manifest]) -> None:
    settings = yaml.safe_load(find(production, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    monitoring = settings["run_monitoring"]
    assert monitoring["poll_interval_seconds"] + monitoring["cancel_timeout_seconds"] < 30
    assert settings["concurrency"]["pools"]["granularity"] == "run"


def test_multi_month_files_have_a_volume(rendered: list[Manifest]) -> None:
    assert find(rendered, "ConfigMap", "r-city-data-env")["data"]["CITY_DATA_CACHE_DIR"] == DOWNLOADS
    settings = yaml.safe_load(find(rendered, "ConfigMap", "r-city-data-dagster")["data"]["dagster.yaml"])
    run = settings["run_launcher"]["config"]["run_k8s_config"]
    assert _mounts(run["container_config"], run["pod_spec_config"])
    mounted = {
        name.partition("r-city-data-")[2]
        for name, template in pod_templates(rendered).items()
        if _mounts(containers(template)[-1], template["spec"])
    }
    assert mounted - {"backfill-1"} == {"code", "collector"}


def test_runs_share_downloads_in_the_archives_storage_where_they_have_no_claim(production: list[Manifest]) -> None:
    def copies(manifests: list[Manifest]) -> object:
        return find(manifests, "ConfigMap", "r-city-data-env")["data"].get("CITY_DATA_DOWNLOADS_URL")

    assert copies(render()) == "/var/lib/city-data/raw/downloads"
    assert copies(render("--set", "rawArchive.url=s3://bucket/prefix/")) == "s3://bucket/prefix/downloads"
    assert copies(production) is None


def test_volume_claim_keeps_downloads_between_runs(production: list[Manifest]) -> None:
    template = pod_templates(production)["Deployment/r-city-data-code"]
    assert _mounts(containers(template)[-1], template["spec"]) == {
        "name": "downloads",
        "persistentVolumeClaim": {"claimName": "downloads"},
    }


def _mounts(container: dict[str, Any], pod: dict[str, Any]) -> Manifest | None:
    """The volume that is mounted, to be written, where downloads are kept."""
    names = [m["name"] for m in container["volumeMounts"] if m["mountPath"] == DOWNLOADS and not m.get("readOnly")]
    return next((volume for volume in pod["volumes"] if volume["name"] in names), None)


@pytest.mark.parametrize(
    ("values", "variable", "volume"),
    [
        ("api.auth.existingSecret=keys", "AUTH_JWKS_FILE", {"secret": {"secretName": "keys"}}),
        ("api.auth.configMap=keys", "AUTH_JWKS_FILE", {"configMap": {"name": "keys"}}),
        ("api.auth.jwksUrl=https://login.example.com/jwks.json", "AUTH_JWKS_URL", None),
    ],
)
def test_keys_come_by_secret_config_map_or_url(values: str, variable: str, volume: dict[str, Any] | None) -> None:
    pod, container = api(render("--set", values))
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert {name for name in told if name.startswith("AUTH_JWKS")} == {variable}
    found = [v for v in pod["volumes"] if v["name"] == "jwks"]
    mounts = [m["mountPath"] for m in container["volumeMounts"] if m["name"] == "jwks"]
    if volume is None:
        assert not found + mounts
        return
    ((kind, named),) = volume.items()
    assert found == [{"name": "jwks", kind: {**named, "items": [{"key": "jwks.json", "path": "jwks.json"}]}}]
    assert [told[variable]] == [f"{mount}/jwks.json" for mount in mounts]


def test_the_api_is_scraped_on_its_own_port(production: list[Manifest]) -> None:
    """And its other port has no metrics: the ingress leads there."""
    _, container = api(production)
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    ports = {port["name"]: str(port["containerPort"]) for port in container["ports"]}
    assert ports == {"http": told["API_PORT"], "metrics": told["API_METRICS_PORT"]}
    monitor = find(production, "ServiceMonitor", "r-city-data")["spec"]
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["metrics"]
    labels = find(production, "Service", "r-city-data-api")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    policy = find(production, "NetworkPolicy", "r-city-data-api")["spec"]["ingress"]
    sources = {rule["ports"][0]["port"]: rule["from"] for rule in policy}
    assert "monitoring" in str(sources["metrics"])
    assert "monitoring" not in str(sources["http"])
