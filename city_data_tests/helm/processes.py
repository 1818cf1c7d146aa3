"""A release's own commands as processes of this machine. Belongs here: starting them, waiting for them, ending them.

Does not: what they must do (test_run.py).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from city_data.local.embedded import free_port
from city_data_tests.helm.charting import containers, find, pod_templates
from city_data_tests.helm.cluster import Manifest
from city_data_tests.helm.kubelet import Kubelet

# On a busy machine; a quarter of a minute on a free one.
PATIENCE_S = 150


def run_container(
    kubelet: Kubelet,
    template: Manifest,
    index: int = -1,
    changed: Mapping[str, str] | None = None,
    **instead: str,
) -> str:
    """Run a pod's container to its end, with words changed that name a place of the cluster; returns its output."""
    container = containers(template)[index]
    done = subprocess.run(
        [(changed or {}).get(word, word) for word in container.get("command", container.get("args"))],
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
    """A Deployment's own command as a process, with words and variables changed that name a place of the cluster."""
    container = containers(template)[-1]
    command = [changed.get(part, part) for part in container["command"]]
    environment = {k: changed.get(v, v) for k, v in kubelet.environment(container, template["spec"]).items()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            yield container
        finally:
            server.terminate()


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


@contextmanager
def exporter(kubelet: Kubelet, rendered: list[Manifest]) -> Iterator[str]:
    """The URL that the exporter's probe and Prometheus ask for; it may not answer yet."""
    port = free_port()
    template = pod_templates(rendered)["Deployment/r-city-data-exporter"]
    with serving_pod(kubelet, template, {"0.0.0.0": "127.0.0.1", "9101": str(port)}) as container:
        yield f"http://127.0.0.1:{port}{container['readinessProbe']['httpGet']['path']}"


@dataclass(frozen=True)
class Reader:
    """An API replica: where clients, its probes and Prometheus reach it. It may not answer yet."""

    url: str
    live: str
    ready: str
    metrics: str


@contextmanager
def reader(kubelet: Kubelet, rendered: list[Manifest]) -> Iterator[Reader]:
    port, metrics = free_port(), free_port()
    template = pod_templates(rendered)["Deployment/r-city-data-api"]
    changed = {"0.0.0.0": "127.0.0.1", "8000": str(port), "9102": str(metrics)}
    with serving_pod(kubelet, template, changed) as container:
        url = f"http://127.0.0.1:{port}"
        live, ready = (url + container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness"))
        yield Reader(url, live, ready, f"http://127.0.0.1:{metrics}/metrics")


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
