"""The collector's Deployment: one process that goes on, told apart by its probe from one that hangs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from city_data.operations.collector import LONGEST_WAIT_S
from city_data_tests.helm.charting import containers, find, pod_templates, render
from city_data_tests.helm.cluster import Manifest
from city_data_tests.helm.kubelet import Kubelet


@pytest.fixture
def template() -> Manifest:
    return pod_templates(render())["Deployment/r-city-data-collector"]


def probe(template: Manifest, alive: Path) -> bool:
    """What the kubelet finds when it asks."""
    command = containers(template)[-1]["livenessProbe"]["exec"]["command"]
    changed = [part.replace("/tmp/alive", str(alive)) for part in command]
    return subprocess.run(changed, check=False, stderr=subprocess.DEVNULL).returncode == 0


def test_one_collector_runs_and_the_old_one_ends_first(template: Manifest) -> None:
    spec = find(render(), "Deployment", "r-city-data-collector")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert not [d for d in render("--set", "collector.enabled=false") if d["metadata"]["name"].endswith("-collector")]
    mounts = {mount["mountPath"] for mount in containers(template)[-1]["volumeMounts"]}
    assert "/var/lib/city-data" in mounts  # the raw archive's volume


def test_liveness_probe_detects_a_hanging_process(template: Manifest, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    assert not probe(template, alive)
    alive.touch()
    assert probe(template, alive)
    # As long as it may rest by its own rules: an hour where a source asks for it, up to the next beat, and a poll.
    told = containers(template)[-1]["command"]
    resting = LONGEST_WAIT_S + 2 * float(told[told.index("--every") + 1])
    for age, well in ((resting, True), (2 * resting, False)):
        os.utime(alive, (time.time() - age, time.time() - age))
        assert probe(template, alive) is well, age


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The container where no enabled city has a live feed."""
    rendered = render("--set", f"enabledCities={{madrid}},rawArchive.url=file://{tmp_path}/raw")
    template = pod_templates(rendered)["Deployment/r-city-data-collector"]
    container = containers(template)[-1]
    secrets = {"city-data-database": {"url": "postgresql://nobody@127.0.0.1:1/none"}}
    environment = Kubelet(tmp_path, rendered, secrets).environment(container, template["spec"])
    command = [str(tmp_path / "alive") if part == "/tmp/alive" else part for part in container["command"]]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_collector_without_live_feeds_stays_healthy(
    idle: subprocess.Popen[str], template: Manifest, tmp_path: Path
) -> None:
    """A Deployment's pod that ends is started again, for ever."""
    assert idle.stdout is not None
    assert "nothing to collect" in idle.stdout.readline()
    deadline = time.monotonic() + 60
    while not (tmp_path / "alive").exists():
        assert idle.poll() is None, "it ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert probe(template, tmp_path / "alive")
    assert idle.poll() is None
