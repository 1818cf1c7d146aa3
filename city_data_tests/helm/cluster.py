"""A stand-in for a cluster's API server, over real HTTP: objects are stored, and refused as the real one would.

Belongs here: storing, strict validation against the published schemas, and fields that may not change. Does not:
running anything (kubelet.py).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml
from kubernetes_validate import utils

# It reads 5 MB of definitions for each object that it validates.
utils.schema_contents = cache(utils.schema_contents)

Manifest = dict[str, Any]

# What `kubectl` is told "field is immutable" for, by kind.
IMMUTABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "Deployment": (("spec", "selector"),),
    "Job": (("spec", "template"), ("spec", "selector"), ("spec", "completionMode")),
    "RoleBinding": (("roleRef",),),
    "PersistentVolumeClaim": (("spec", "accessModes"), ("spec", "storageClassName"), ("spec", "volumeName")),
    "Service": (("spec", "clusterIP"),),
}
VERSION = "1.35"
_STATUS = re.compile(r"/apis/batch/v1/namespaces/[^/]+/jobs/(?P<name>[^/]+)/status")
_JOBS = re.compile(r"/apis/batch/v1/namespaces/(?P<namespace>[^/]+)/jobs")


class Refused(Exception):
    """What the API server would answer 422 to; the text says what and where."""


class Cluster:
    """Objects by kind and name; `created` has them in the order of their making."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.created: list[Manifest] = []

    def apply(self, document: Manifest) -> None:
        """Create or change an object. Raises Refused."""
        key = (document["kind"], document["metadata"]["name"])
        try:
            kubernetes_validate.validate(document, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(f"{'/'.join(key)}: {error.message} at {list(error.path)}") from error
        old = self.objects.get(key)
        if old is None:
            self.created.append(document)
        else:
            changed = [".".join(p) for p in IMMUTABLE.get(key[0], ()) if _at(old, p) != _at(document, p)]
            if changed:
                raise Refused(f"{'/'.join(key)}: {', '.join(changed)}: field is immutable")
        self.objects[key] = document

    def release(self, manifests: list[Manifest]) -> None:
        """Apply a release's manifests, and delete what it has no more, as helm does at an upgrade. Raises Refused."""
        for document in manifests:
            self.apply(document)
        wanted = {(document["kind"], document["metadata"]["name"]) for document in manifests}
        for key in set(self.objects) - wanted:
            del self.objects[key]

    def names(self, kind: str) -> set[str]:
        return {name for found, name in self.objects if found == kind}


def _at(document: Manifest, path: tuple[str, ...]) -> object:
    found: Any = document
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


@contextmanager
def serving(cluster: Cluster, folder: Path) -> Iterator[Path]:
    """Serve `cluster` as far as helm and dagster-k8s ask; yields a kubeconfig that leads there."""

    class Handler(_Handler):
        held = cluster

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kubeconfig = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
        "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "here", "user": {}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    try:
        yield kubeconfig
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    held: ClassVar[Cluster]

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        route = _JOBS.fullmatch(urlsplit(self.path).path)
        try:
            if route is None:
                raise Refused(f"no route {self.path}")
            self.held.apply({**document, "metadata": {**document["metadata"], "namespace": route["namespace"]}})
        except Refused as error:
            self._answer(422, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error)})
            return
        self._answer(201, document)

    def do_DELETE(self) -> None:
        kind, name = ("Job" if "/jobs/" in self.path else "Pod"), urlsplit(self.path).path.rpartition("/")[2]
        gone = self.held.objects.pop((kind, name), None)
        self._answer(404 if gone is None else 200, {"kind": "Status", "apiVersion": "v1"})

    def do_GET(self) -> None:
        """What helm asks before it renders, the version and the APIs, and what dagster-k8s asks of a Job."""
        path = urlsplit(self.path).path
        if "/namespaces/" in path:
            self._answer_of_job(path)
            return
        found: Manifest = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1", "resources": []}
        if path == "/version":
            minor = VERSION.partition(".")[2]
            found = {"major": "1", "minor": minor, "gitVersion": f"v{VERSION}.0"}
        elif path == "/api":
            found = {"kind": "APIVersions", "apiVersion": "v1", "versions": ["v1"]}
        elif path == "/apis":
            found = {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        self._answer(200, found)

    def _answer_of_job(self, path: str) -> None:
        if (match := _STATUS.fullmatch(path)) is not None:
            job = self.held.objects.get(("Job", match["name"]))
            self._answer(404 if job is None else 200, job or {"kind": "Status", "apiVersion": "v1"})
            return
        kind = "Pod" if path.endswith("/pods") else "Event"
        wanted = parse_qs(urlsplit(self.path).query).get("labelSelector", [""])[0].partition("=")[2]
        items = [
            document
            for (found, _), document in self.held.objects.items()
            if found == kind and (not wanted or document["metadata"].get("labels", {}).get("job-name") == wanted)
        ]
        self._answer(200, {"kind": f"{kind}List", "apiVersion": "v1", "items": items})

    def _answer(self, status: int, document: Manifest) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
