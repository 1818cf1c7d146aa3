"""A cache of source files that serve many months: downloaded once a machine, revalidated at every use.

Belongs here: the cache folder, revalidation, locks. Does not: the choice of files, or their content. The raw archive
holds the bytes of every month, so losing this folder costs only downloads. Machines may share one folder if its file
system supports `flock`, or copies in a storage (download_copies.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pydantic

from city_data import environment
from city_data.payloads import file_sha256
from city_data.providers.base import PermanentError, ProviderError
from city_data.providers.http import HttpClient
from city_data.providers.shared.download_copies import copies
from city_data.providers.transport.response import Response, accept_ok, bare

# A file that no month has needed for so long is out of the window, or listed under another address.
UNUSED_SECONDS = 40 * 86_400


class Entry(pydantic.BaseModel):
    """A cached file's metadata: `etag` and `last_modified` as the source sent them, `bytes` and `sha256` as
    measured."""

    url: str
    sha256: str
    bytes: int
    etag: str | None
    last_modified: str | None
    origin: str | None

    def conditions(self) -> Mapping[str, str]:
        """Headers that request the file only if it changed (RFC 9110, 13.1); none if the source sent no validator."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


@dataclass(frozen=True)
class CachedFile:
    """An open, complete file. It stays readable when another process replaces it."""

    entry: Entry
    file: IO[bytes]
    directory: Path

    def forget(self) -> None:
        """Delete the file, whose bytes turned out to be broken, so that the next use downloads it again."""
        with _locked(self.directory):
            _clear(self.directory)


class _Unchanged(ProviderError):
    """The cached file is the source's current one."""


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`CITY_DATA_CACHE_DIR`, else the user's cache folder."""
    configured = environment.DOWNLOADS.get(environ)
    base = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/tmp") / ".cache")  # noqa: S108  no secret
    return (Path(configured) if configured else base / "city_data") / "downloads"


@contextmanager
def opened(http: HttpClient, url: str, max_bytes: int) -> Iterator[CachedFile]:
    """The file at `url`: from the folder where the source says that it has not changed, else downloaded.

    Runs that want the same file wait for the one that is downloading it. Raises as `HttpClient.download` does, and
    PermanentError where the folder cannot be written; if the source does not answer, an old file is never used.
    """
    host_route = next((base for host, base in http.routes.items() if url.startswith(f"https://{host}/")), "")
    directory = folder() / hashlib.sha256(f"{host_route} {url}".encode(errors="backslashreplace")).hexdigest()[:32]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "lock").touch()
    except OSError as error:
        raise PermanentError(
            f"{folder()} cannot be written ({error}); set {environment.DOWNLOADS} to a folder"
        ) from error
    with _locked(directory):
        entry = _current(http, url, directory, max_bytes)
        file = (directory / entry.sha256).open("rb")
    with file:
        yield CachedFile(entry, file, directory)


def _current(http: HttpClient, url: str, directory: Path, max_bytes: int) -> Entry:
    shared = copies()
    cached = _read_entry(directory)
    if cached is None and shared:
        shared.fetch(directory.name, directory)
        cached = _read_entry(directory)
    conditions = cached.conditions() if cached else {}

    def judge(response: Response) -> None:
        if response.status == 304 and conditions:
            raise _Unchanged
        accept_ok(response)

    incoming = directory / "incoming"
    try:
        response = http.download(url, incoming, judge, max_bytes, conditions)
    except _Unchanged:
        assert cached is not None  # noqa: S101  without a cached file there are no conditions
        (directory / "entry.json").touch()
        return cached
    entry = Entry(
        url=bare(url),
        sha256=file_sha256(incoming),
        bytes=incoming.stat().st_size,
        etag=response.headers.get("etag"),
        last_modified=response.headers.get("last-modified"),
        origin=response.origin,
    )
    _clear(directory, but=incoming)
    incoming.replace(directory / entry.sha256)
    _write(directory / "entry.json", entry)
    if shared:
        shared.put(directory.name, directory, entry.sha256, UNUSED_SECONDS)
    _sweep(directory.parent)
    return entry


def _read_entry(directory: Path) -> Entry | None:
    """The cached entry; None if there is none, or only the remains of a killed process."""
    try:
        entry = Entry.model_validate_json((directory / "entry.json").read_bytes())
        return entry if (directory / entry.sha256).stat().st_size == entry.bytes else None
    except (FileNotFoundError, pydantic.ValidationError):
        return None


def _write(path: Path, entry: Entry) -> None:
    part = path.with_suffix(".part")
    part.write_text(entry.model_dump_json(indent=1))
    part.replace(path)


def _clear(directory: Path, but: Path | None = None) -> None:
    """Delete all files but `but` and the lock, since waiting processes hold it open."""
    for path in directory.iterdir():
        if path != but and path.name != "lock":
            path.unlink(missing_ok=True)


def _sweep(root: Path) -> None:
    """Delete files that were unused for long, except those that are locked."""
    for path in root.glob("*/entry.json"):
        if time.time() - path.stat().st_mtime > UNUSED_SECONDS:
            with _locked(path.parent, wait=False) as got:
                if got:
                    _clear(path.parent)


@contextmanager
def _locked(directory: Path, wait: bool = True) -> Iterator[bool]:
    """An exclusive lock among processes and threads, also released if its process dies. Without `wait`, yields False
    if another holds it."""
    with (directory / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
