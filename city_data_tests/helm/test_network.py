"""The network policies: no role reaches out but where it needs to, and the trying of it (city_data_tests/cluster)."""

from __future__ import annotations

from typing import Any

import pytest

from city_data_tests.helm.charting import find, pod_templates, render
from city_data_tests.helm.cluster import Manifest

ROLES = ("api", "backfill", "code", "collector", "daemon", "exporter", "migration", "run", "webserver")
DNS, POSTGRES, REDIS, HTTPS, KUBERNETES = {53}, {5432}, {6379}, {443}, {443, 6443}


def rules(rendered: list[Manifest], role: str) -> list[dict[str, Any]]:
    policy = find(rendered, "NetworkPolicy", f"r-city-data-{role}-egress")["spec"]
    assert policy["policyTypes"] == ["Egress"]
    found: list[dict[str, Any]] = policy["egress"]
    return found


def ports(rendered: list[Manifest], role: str) -> set[object]:
    return {port["port"] for rule in rules(rendered, role) for port in rule["ports"]}


def test_each_role_reaches_what_it_needs(production: list[Manifest]) -> None:
    """These values name object storage and a webhook of Slack, both reached over HTTPS."""
    assert {role: ports(production, role) for role in ROLES} == {
        "api": DNS | POSTGRES | REDIS | HTTPS,
        "backfill": DNS | POSTGRES | {"http"},
        "code": DNS | POSTGRES | REDIS | HTTPS | {"http"},
        "collector": DNS | POSTGRES | HTTPS,
        "daemon": DNS | POSTGRES | KUBERNETES | {"grpc"},
        "exporter": DNS | POSTGRES | HTTPS,
        "migration": DNS | POSTGRES,
        "run": DNS | POSTGRES | REDIS | HTTPS,
        "webserver": DNS | POSTGRES | KUBERNETES | {"grpc"},
    }
    least = render()
    for role in ("api", "code", "exporter", "migration", "backfill"):
        assert not ports(least, role) & (REDIS | HTTPS), role


def test_all_is_denied_first(production: list[Manifest]) -> None:
    for name in ("deny", "runs"):
        spec = find(production, "NetworkPolicy", f"r-city-data-{name}")["spec"]
        assert (spec["policyTypes"], spec.get("egress")) == (["Ingress", "Egress"], None)
    components = {
        template["metadata"]["labels"]["app.kubernetes.io/component"] for template in pod_templates(production).values()
    }
    assert components | {"run"} == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reaches_link_local_addresses(role: str, production: list[Manifest]) -> None:
    for rule in rules(production, role):
        assert rule["to"], "a rule without peers allows every address"
        blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
        for block in blocks:
            assert block["except"] == (["169.254.0.0/16"] if "." in block["cidr"] else ["fe80::/10"])


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ("api.tenantService.url=https://tenants.example.com:8443/v1", 8443),
        ("api.tenantService.url=http://tenants.example.com", 80),
        ("api.auth.jwksUrl=https://login.example.com/jwks.json", 443),
        ("networkPolicy.apiEgressPorts={9999}", 9999),
    ],
)
def test_ports_of_the_apis_peers_are_derived(values: str, port: int) -> None:
    assert ports(render("--set", values), "api") == DNS | POSTGRES | {port}


def test_nobody_reads_metrics_unless_named(production: list[Manifest]) -> None:
    for name in ("api", "exporter"):
        opened = find(render(), "NetworkPolicy", f"r-city-data-{name}")["spec"].get("ingress", [])
        assert "metrics" not in str(opened)
        (rule,) = [
            rule
            for rule in find(production, "NetworkPolicy", f"r-city-data-{name}")["spec"]["ingress"]
            if rule["ports"] == [{"port": "metrics"}]
        ]
        assert rule["from"]
