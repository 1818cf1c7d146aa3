"""What a node would do with a pod, as a process: resolve its environment, lay out its mounts, run its command.

Belongs here: the resolving. Does not: containers, users or limits, which no process can have here.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from city_data_tests.helm.charting import find
from city_data_tests.helm.cluster import Manifest

Secrets = dict[str, dict[str, str]]


class Kubelet:
    """A node with its own folder for mounts, the release's ConfigMaps, and the Secrets that users have made."""

    def __init__(self, folder: Path, rendered: list[Manifest], secrets: Secrets) -> None:
        self._folder, self._rendered, self._secrets = folder, rendered, secrets

    def environment(self, container: Manifest, pod: Manifest) -> dict[str, str]:
        """The container's variables, and nothing of this process but where Python is. Raises KeyError for a reference
        that leads nowhere, as a pod would wait for ever in CreateContainerConfigError."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= find(self._rendered, "ConfigMap", source["configMapRef"]["name"])["data"]
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self._secrets[reference["name"]][reference["key"]]
            else:
                found[variable["name"]] = variable["value"]
        places = self.mounts(container, pod)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "PYTHONUNBUFFERED": "1", **{k: _here(v, places) for k, v in found.items()}}

    def mounts(self, container: Manifest, pod: Manifest) -> dict[str, str]:
        """Mount paths, and where they are here. Raises KeyError for a volume that the pod does not have."""
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        places = {}
        for mount in sorted(container["volumeMounts"], key=lambda mount: len(mount["mountPath"])):
            place = self._folder / mount["mountPath"].lstrip("/")
            volume = volumes[mount["name"]]
            if "configMap" in volume:
                self._write(place, find(self._rendered, "ConfigMap", volume["configMap"]["name"])["data"], mount)
            elif "secret" in volume:
                held = self._secrets[volume["secret"]["secretName"]]
                self._write(place, {item["path"]: held[item["key"]] for item in volume["secret"]["items"]}, mount)
            else:
                place.mkdir(parents=True, exist_ok=True)
            places[mount["mountPath"]] = str(place)
        return places

    def _write(self, place: Path, data: dict[str, str], mount: Manifest) -> None:
        if "subPath" in mount:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(data[mount["subPath"]])
            return
        place.mkdir(parents=True, exist_ok=True)
        for name, text in data.items():
            (place / name).write_text(text)


def _here(value: str, places: dict[str, str]) -> str:
    """The value, where it is a path in a mount: that path here."""
    for mounted, place in places.items():
        if value == mounted or value.startswith(f"{mounted}/"):
            return place + value.removeprefix(mounted)
    return value
