"""A payload: bytes exactly as a source sent them, in a local file, with their origin.

Belongs here: `Payload` and the hash of a file, which providers and the raw archive share. Does not: fetching, or the
place where payloads are stored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Payload:
    """Bytes exactly as received, in a local file. `url` and `params` never hold a secret.

    `origin` is None for the real service, else the name that the stand-in server gave itself. `fingerprint` equals
    `Provider.fingerprint` as long as the source serves these bytes; empty where the source has no fingerprint.
    """

    name: str
    path: Path
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    media_type: str | None = None
    last_modified: str | None = None
    origin: str | None = None
    fingerprint: Mapping[str, str] = field(default_factory=dict)


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
