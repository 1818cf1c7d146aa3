"""Copies of downloaded files in the raw archive's storage, for machines without a common folder, such as run pods.

Belongs here: copying between the folder of downloads and the storage. Does not: revalidation and locks (downloads.py).
A copy is used as a file of the folder is: only where the source says that it has not changed.
"""

from __future__ import annotations

import time
from pathlib import Path

from city_data import environment
from city_data.errors import ConfigurationError

_ENTRY = "entry.json"


class DownloadCopies:
    """The copies below an fsspec URL: `<key>/entry.json` and the file, named by its hash. Raises ConfigurationError."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"{environment.DOWNLOADS_URL} cannot be used: {error}") from error
        self._root = root.rstrip("/")

    def fetch(self, key: str, directory: Path) -> None:
        """Bring a copy into `directory`, the entry last; nothing where there is none."""
        try:
            for path in sorted(self._fs.ls(f"{self._root}/{key}", detail=False), key=_is_entry):
                self._fs.get_file(path, str(directory / path.rpartition("/")[2]))
        except FileNotFoundError:  # none, or replaced at this moment
            return

    def put(self, key: str, directory: Path, name: str, unused_s: float) -> None:
        """Store the file `name` of `directory` and its entry in place of the copy; delete copies that are old."""
        folder = f"{self._root}/{key}"
        self._fs.makedirs(folder, exist_ok=True)
        for file in (name, _ENTRY):
            self._fs.put_file(str(directory / file), f"{folder}/{file}")
        for path in self._fs.ls(folder, detail=False):
            if path.rpartition("/")[2] not in (name, _ENTRY):
                self._fs.rm_file(path)
        for entry in self._fs.glob(f"{self._root}/*/{_ENTRY}"):
            if time.time() - self._fs.modified(entry).timestamp() > unused_s:
                self._fs.rm(entry.rpartition("/")[0], recursive=True)


def copies() -> DownloadCopies | None:
    """None where `CITY_DATA_DOWNLOADS_URL` is not set: the folder is kept then. Raises ConfigurationError."""
    url = environment.DOWNLOADS_URL.get()
    return DownloadCopies(url) if url else None


def _is_entry(path: str) -> bool:
    return path.endswith(f"/{_ENTRY}")
