"""Answers kept on disk by their ETag, so that an unchanged answer is not sent again.

Belongs here: files, their bound, and what a damaged one means (it is forgotten). Does not: when to ask (client.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER_VARIABLE = "CITY_DATA_CLIENT_CACHE"
DEFAULT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True)
class Kept:
    """An answer's body as it came out of the transport, and the headers that tell what it is."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def etag(self) -> str:
        return self.headers["etag"]


def default_folder() -> Path:
    """`CITY_DATA_CLIENT_CACHE`, else the user's cache folder."""
    configured = os.environ.get(FOLDER_VARIABLE)
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "city_data_client"


class DiskCache:
    """One file an answer; the least recently used leave first, when all are larger than `most_bytes`."""

    def __init__(self, folder: Path, most_bytes: int = DEFAULT_BYTES) -> None:
        self._folder, self._most = folder, most_bytes

    def get(self, name: str) -> Kept | None:
        file = self._file(name)
        try:
            raw = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        head, _, body = raw.partition(b"\n")
        try:
            entry = json.loads(head)
            kept = Kept(entry["headers"], body)
            if entry["name"] == name and entry["sha256"] == hashlib.sha256(body).hexdigest() and kept.etag:
                return kept
        except (ValueError, KeyError, TypeError):
            pass  # damaged, and so forgotten
        file.unlink(missing_ok=True)
        return None

    def put(self, name: str, kept: Kept) -> None:
        """Written beside and renamed: two processes may keep the same answer at once."""
        entry = {"name": name, "sha256": hashlib.sha256(kept.body).hexdigest(), "headers": dict(kept.headers)}
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self._folder, suffix=".part", delete=False) as file:
            file.write(json.dumps(entry).encode() + b"\n" + kept.body)
        Path(file.name).replace(self._file(name))
        self._shrink()

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.answer"

    def _shrink(self) -> None:
        files = [(stat, file) for file in self._folder.glob("*.answer") if (stat := _stat(file))]
        used = sum(stat.st_size for stat, _ in files)
        for stat, file in sorted(files, key=lambda pair: pair[0].st_mtime):
            if used <= self._most:
                return
            file.unlink(missing_ok=True)
            used -= stat.st_size


def _stat(file: Path) -> os.stat_result | None:
    """None for an answer that another process has just forgotten."""
    try:
        return file.stat()
    except FileNotFoundError:
        return None
