"""The software bill of materials of an image (CycloneDX 1.6), made of the lock that the image was installed from.

Belongs here: `python -m city_data.bill_of_materials LOCK FILE`, with the image's Python. Does not: the locks.
A scanner of vulnerabilities reads the file, /opt/venv/sbom.cdx.json in the image, and brings their index.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Mapping
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?==(?P<version>\S+)", re.MULTILINE)
_OWN = "city-data"


def pins(lock: str) -> set[tuple[str, str]]:
    """Each locked package, by its normalized name, and version: a package may have one of its own for a Python."""
    return {(_normalized(match["name"]), match["version"]) for match in _PIN.finditer(lock)}


def bill(lock: str, installed: Mapping[str, str], own_version: str) -> dict[str, Any]:
    """The packages of the lock that are installed: others are for another system, or for the build alone.

    Raises ValueError where something is installed that the lock does not have in this version.
    """
    locked = pins(lock)
    if others := sorted(installed.items() - locked):
        raise ValueError(f"installed, and not by the lock: {', '.join(map(' '.join, others))}")
    own = {"type": "application", "name": _OWN, "version": own_version, **_reference(_OWN, own_version)}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, own_version + lock)}",
        "version": 1,
        "metadata": {"component": own},
        "components": [
            {"type": "library", "name": name, "version": number, **_reference(name, number)}
            for name, number in sorted(installed.items())
        ],
    }


def _reference(name: str, number: str) -> dict[str, str]:
    address = f"pkg:pypi/{name}@{number}"
    return {"bom-ref": address, "purl": address}


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(lock: str, file: str) -> None:
    installed = {_normalized(one.metadata["Name"]): one.version for one in distributions()}
    del installed[_OWN]
    document = bill(Path(lock).read_text(encoding="utf-8"), installed, version(_OWN))
    Path(file).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
