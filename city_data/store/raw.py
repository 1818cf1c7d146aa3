"""The raw archive: a provider's bytes exactly as received, immutable, named by content hash, with a manifest a fetch.

Belongs here: raw files on any fsspec file system. Does not: their content (providers/), when to fetch.

Layout: `<root>/<dataset>/<city>/<YYYY-MM>/<sha256>.bin` and `<fetched_at>.manifest.json`, the newest of which counts. A
fetch of the same bytes again writes `<fetched_at>.seen.json` in place of a manifest: one small file however often.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from city_data.errors import CityDataError, ConfigurationError
from city_data.payloads import Payload, file_sha256
from city_data.window import Month

_Model = TypeVar("_Model", bound=pydantic.BaseModel)
_MANIFEST_SUFFIX, _REPEAT_SUFFIX = ".manifest.json", ".seen.json"


class ArchiveError(CityDataError):
    """The archive does not have the requested month or file, or its bytes differ from the manifest."""


class RawFile(pydantic.BaseModel):
    """One archived payload. `url` and `params` hold no secret."""

    name: str
    sha256: str
    bytes: int
    url: str
    params: dict[str, str]
    media_type: str | None
    last_modified: str | None
    origin: str | None
    fingerprint: dict[str, str] = {}


class RepeatedFetch(pydantic.BaseModel):
    """The number of repeated fetches of a manifest's files, and the last one's time."""

    times: int
    fetched_at: datetime
    seconds: float
    fallback_reason: str | None = None


class Manifest(pydantic.BaseModel):
    """One fetch of one month; the last where the same was fetched again. `polls`, of a collected month, counts the
    collector's polls by outcome. `fallback_reason`, of a month from the fallback, is the first source's outcome."""

    dataset: str
    city_id: str
    month: str
    provider: str
    fetched_at: datetime
    seconds: float
    files: list[RawFile]
    polls: dict[str, int] | None = None
    fallback_reason: str | None = None

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> list[str]:
        """The hashes of the bytes: equal for two fetches of the same content."""
        return sorted(file.sha256 for file in self.files)


@dataclass(frozen=True)
class StoredMonth:
    """A month of one city's dataset in the archive. Manifests are files too."""

    dataset: str
    city_id: str
    files: int
    bytes: int


def stamp(moment: datetime) -> str:
    """A moment in the form used in file names, which sort by time."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


class RawArchive:
    """Raw months below an fsspec URL (a folder, `s3://bucket/prefix`, ...). Raises ConfigurationError for another."""

    def __init__(self, url: str) -> None:
        import fsspec

        # fsspec caches listings of object storage: a code server would not notice months that a run has expired.
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"the URL of the raw archive cannot be used: {error}") from error
        self._root = self._root.rstrip("/")

    def store(
        self,
        dataset: str,
        city_id: str,
        month: Month,
        provider: str,
        payloads: Sequence[Payload],
        fetched_at: datetime,
        seconds: float = 0.0,
        polls: dict[str, int] | None = None,
        fallback_reason: str | None = None,
    ) -> Manifest:
        """Store the payloads' bytes (known ones are not written again) and write the fetch's manifest last."""
        folder = self._folder(dataset, city_id, month)
        self._fs.makedirs(folder, exist_ok=True)
        files = [self._store_file(folder, payload) for payload in payloads]
        newest = self._newest(folder)
        stored = self._parsed(Manifest, newest) if newest is not None else None
        if newest is not None and stored is not None:
            same = (stored.provider, stored.files, stored.polls) == (provider, files, polls)
            if same and stored.fetched_at <= fetched_at:
                return self._record_repeat(newest, stored, fetched_at, seconds, fallback_reason)
        manifest = Manifest(
            dataset=dataset,
            city_id=city_id,
            month=str(month),
            provider=provider,
            fetched_at=fetched_at,
            seconds=seconds,
            files=files,
            polls=polls,
            fallback_reason=fallback_reason,
        )
        self._write(f"{folder}/{stamp(fetched_at)}{_MANIFEST_SUFFIX}", manifest.model_dump_json(indent=1).encode())
        return manifest

    def record_unchanged(
        self, manifest: Manifest, fetched_at: datetime, seconds: float, fallback_reason: str | None = None
    ) -> Manifest:
        """Record that the source still has the newest manifest's bytes, as a fetch of the same bytes does."""
        newest = self._newest(self._folder(manifest.dataset, manifest.city_id, Month.parse(manifest.month)))
        if newest is None:
            raise ArchiveError(f"{manifest.dataset}/{manifest.city_id} {manifest.month}: not in the raw archive")
        return self._record_repeat(newest, manifest, fetched_at, seconds, fallback_reason)

    def latest(self, dataset: str, city_id: str, month: Month) -> Manifest:
        """The newest fetch's manifest. Raises ArchiveError where the month was never fetched."""
        newest = self._newest(self._folder(dataset, city_id, month))
        if newest is None:
            raise ArchiveError(
                f"{dataset}/{city_id} {month}: nothing in the raw archive; materialize the raw asset first"
            )
        manifest, repeat = self._parsed(Manifest, newest), self._repeat(newest)
        if manifest is None:
            raise ArchiveError(f"{newest} is damaged; materialize the raw asset again")
        if repeat is None:
            return manifest
        return manifest.model_copy(update=repeat.model_dump(exclude={"times"}))

    def payloads(self, manifest: Manifest, into: Path) -> list[Payload]:
        """The manifest's bytes as local files (in place where the archive is local, else copied into `into`).

        Raises ArchiveError where a file is gone or its bytes are not those that were fetched.
        """
        folder = self._folder(manifest.dataset, manifest.city_id, Month.parse(manifest.month))
        return [self._payload(folder, file, into) for file in manifest.files]

    def months(self, dataset: str | None = None, city_id: str | None = None) -> list[Month]:
        """Every month with any stored file, sorted."""
        paths = self._fs.glob(f"{self._root}/{dataset or '*'}/{city_id or '*'}/*")
        names = {str(path).rstrip("/").rpartition("/")[2] for path in paths}
        return sorted(Month.parse(name) for name in names if re.fullmatch(r"\d{4}-\d{2}", name))

    def stored(self, month: Month) -> list[StoredMonth]:
        """The stored files of a month, by dataset and city, including remains of an interrupted drop or upload."""
        paths = []
        for folder in sorted(map(str, self._fs.glob(f"{self._root}/*/*/{month}"))):
            dataset, city_id = folder.rstrip("/").split("/")[-3:-1]
            sizes = [int(info["size"] or 0) for info in self._fs.find(folder, detail=True).values()]
            paths.append(StoredMonth(dataset, city_id, len(sizes), sum(sizes)))
        return paths

    def drop(self, dataset: str, city_id: str, month: Month) -> None:
        """Delete a month of one city's dataset. Raises OSError where the file system refuses."""
        self._fs.rm(self._folder(dataset, city_id, month), recursive=True)

    def _folder(self, dataset: str, city_id: str, month: Month) -> str:
        return f"{self._root}/{dataset}/{city_id}/{month}"

    def _newest(self, folder: str) -> str | None:
        return max(map(str, self._fs.glob(f"{folder}/*{_MANIFEST_SUFFIX}")), default=None)

    def _repeat(self, manifest: str) -> RepeatedFetch | None:
        path = manifest.removesuffix(_MANIFEST_SUFFIX) + _REPEAT_SUFFIX
        return self._parsed(RepeatedFetch, path) if self._fs.exists(path) else None

    def _parsed(self, model: type[_Model], path: str, body: bytes | None = None) -> _Model | None:
        """The file's content, read already where it is `body`; None, with a line in the log, where it is damaged."""
        try:
            return model.model_validate_json(self._fs.cat_file(path) if body is None else body)
        except pydantic.ValidationError as error:
            import structlog

            structlog.get_logger(__name__).warning(
                "damaged file in the raw archive", path=path, why=f"{error.error_count()} faults"
            )
            return None

    def _record_repeat(
        self, path: str, stored: Manifest, fetched_at: datetime, seconds: float, fallback_reason: str | None
    ) -> Manifest:
        """Only the newest fetch's time is new: a manifest for each would outgrow the data."""
        before = self._repeat(path)
        repeat = RepeatedFetch(
            times=before.times + 1 if before else 1,
            fetched_at=fetched_at,
            seconds=seconds,
            fallback_reason=fallback_reason,
        )
        self._write(path.removesuffix(_MANIFEST_SUFFIX) + _REPEAT_SUFFIX, repeat.model_dump_json().encode())
        return stored.model_copy(update=repeat.model_dump(exclude={"times"}))

    def _store_file(self, folder: str, payload: Payload) -> RawFile:
        digest = file_sha256(payload.path)
        target = f"{folder}/{digest}.bin"
        if not self._is_whole(target, payload.path.stat().st_size, digest):
            part = f"{target}.part"  # a killed upload leaves a part, never a short file under a content hash
            self._fs.put_file(str(payload.path), part)
            self._commit(part, target)
        return RawFile(
            name=payload.name,
            sha256=digest,
            bytes=payload.path.stat().st_size,
            url=payload.url,
            params=dict(payload.params),
            media_type=payload.media_type,
            last_modified=payload.last_modified,
            origin=payload.origin,
            fingerprint=dict(payload.fingerprint),
        )

    def _payload(self, folder: str, file: RawFile, into: Path) -> Payload:
        stored = f"{folder}/{file.sha256}.bin"
        local = Path(stored)
        if not self._is_local:
            local = into / file.sha256
            if self._fs.exists(stored):
                self._fs.get_file(stored, str(local))
        if not local.exists():
            raise ArchiveError(f"{stored} ({file.name}) is gone from the raw archive; materialize the raw asset again")
        if file_sha256(local) != file.sha256:
            raise ArchiveError(f"{stored} ({file.name}) holds other bytes than were fetched; materialize it again")
        known: dict[str, Any] = file.model_dump(exclude={"sha256", "bytes"})
        return Payload(path=local, **known)

    def _protocols(self) -> tuple[str, ...]:
        protocol = self._fs.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def _write(self, path: str, body: bytes) -> None:
        part = f"{path}.part"
        self._fs.pipe_file(part, body)
        self._commit(part, path)

    def _is_whole(self, path: str, size: int, digest: str) -> bool:
        """Whether the archive has these bytes already: a disk that was full, or failed, may have cut them off."""
        if not self._fs.exists(path) or self._fs.size(path) != size:
            return False
        with self._fs.open(path, "rb") as stored:
            return hashlib.file_digest(stored, "sha256").hexdigest() == digest

    def _commit(self, part: str, path: str) -> None:
        """Rename a written part. On a local disk its bytes are there first, whatever ends the machine next."""
        if not self._is_local:
            self._fs.mv(part, path)
            return
        _sync(Path(part))
        Path(part).replace(path)
        _sync(Path(path).parent)

    @property
    def _is_local(self) -> bool:
        return "file" in self._protocols()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
