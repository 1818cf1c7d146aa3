"""Files of a source that serve many months: downloaded once a machine, asked after at every use.

Belongs here: where such files lie, whether they are still what the source holds, who waits for whom. Does not: which
files, or what is in them. Nothing here is archived: what a month was made from is in the raw archive, and losing this
folder costs downloads alone. One folder may be shared by machines, where its file system knows `flock`.
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
from city_data.providers.transport.response import Response, accept_ok, bare

# A file that no month has needed for so long has left the window, or its label.
UNUSED_SECONDS = 40 * 86_400


class Entry(pydantic.BaseModel):
    """A kept file: `etag` and `last_modified` as the source told them, `bytes` and `sha256` as measured."""

    url: str
    sha256: str
    bytes: int
    etag: str | None
    last_modified: str | None
    origin: str | None

    def conditions(self) -> Mapping[str, str]:
        """The headers that ask for the file only if it is another (RFC 9110, 13.1); none where it told no validator."""
        if self.etag:
            return {"If-None-Match": self.etag}
        return {"If-Modified-Since": self.last_modified} if self.last_modified else {}


@dataclass(frozen=True)
class CachedFile:
    """An open file, whole as it was received. It stays readable when another process replaces it."""

    entry: Entry
    file: IO[bytes]
    directory: Path

    def forget(self) -> None:
        """To be called where the bytes turn out to be broken, so that the next use downloads them again."""
        with _locked(self.directory):
            _clear(self.directory)


class _Unchanged(ProviderError):
    """The source still holds what is kept."""


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`CITY_DATA_CACHE_DIR`, else the user's cache folder."""
    configured = environment.DOWNLOADS.get(environ)
    base = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/tmp") / ".cache")  # noqa: S108  no secret
    return (Path(configured) if configured else base / "city_data") / "downloads"


@contextmanager
def opened(http: HttpClient, url: str, max_bytes: int) -> Iterator[CachedFile]:
    """The file at `url`: from the folder where the source says that it has not changed, else downloaded.

    Runs that want the same file wait for the one that is downloading it. Raises as `HttpClient.download` does, and
    PermanentError where the folder cannot be written; a source that does not answer is no reason to use an old file.
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
        assert cached is not None  # noqa: S101  without a held file there are no conditions
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
    _sweep(directory.parent)
    return entry


def _read_entry(directory: Path) -> Entry | None:
    """None where there is nothing, or what was left by a process that was killed."""
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
    """The lock stays: who waits for it must meet the next one at the same file."""
    for path in directory.iterdir():
        if path != but and path.name != "lock":
            path.unlink(missing_ok=True)


def _sweep(root: Path) -> None:
    """Files unused for long go, but none that is in use."""
    for path in root.glob("*/entry.json"):
        if time.time() - path.stat().st_mtime > UNUSED_SECONDS:
            with _locked(path.parent, wait=False) as got:
                if got:
                    _clear(path.parent)


@contextmanager
def _locked(directory: Path, wait: bool = True) -> Iterator[bool]:
    """Held among processes and threads, until its holder ends. Without `wait`, False where it is taken."""
    with (directory / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
