"""The raw archive stores bytes as received, once, and detects bytes that differ from the manifest."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from city_data.providers.base import Payload
from city_data.store.raw import ArchiveError, RawArchive
from city_data.window import Month

MONTH, MOMENT = Month(2026, 10), datetime(2026, 11, 10, tzinfo=UTC)


@pytest.fixture(params=["folder", "memory"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> RawArchive:
    url = str(tmp_path / "raw") if request.param == "folder" else f"memory://{tmp_path.name}"
    return RawArchive(url)


def payload(folder: Path, body: bytes) -> Payload:
    path = folder / "received"
    path.write_bytes(body)
    return Payload("month.zip", path, "https://example.org/month.zip", {"n": "1"}, "application/zip", None, "sandbox")


def test_bytes_and_their_origin_are_stored(archive: RawArchive, tmp_path: Path) -> None:
    sent = payload(tmp_path, b"\x00\xff bytes")
    archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT, 1.5)
    manifest = archive.latest("traffic", "madrid", MONTH)
    (archived,) = archive.payloads(manifest, tmp_path)
    assert archived.path.read_bytes() == b"\x00\xff bytes"
    assert (archived.name, archived.url, archived.params, archived.media_type, archived.origin) == (
        "month.zip",
        sent.url,
        {"n": "1"},
        "application/zip",
        "sandbox",
    )
    assert (manifest.provider, manifest.fetched_at, manifest.total_bytes) == ("p", MOMENT, 8)


def test_newest_manifest_counts_and_equal_bytes_are_stored_once(archive: RawArchive, tmp_path: Path) -> None:
    for hours, body in enumerate([b"a", b"a", b"b"]):
        sent = payload(tmp_path, body)
        archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT + timedelta(hours=hours))
    (archived,) = archive.payloads(archive.latest("traffic", "madrid", MONTH), tmp_path)
    assert archived.path.read_bytes() == b"b"
    assert archive.months() == [MONTH]
    archive.drop("traffic", "madrid", MONTH)
    assert archive.months() == []


def test_missing_or_changed_bytes_are_reported(tmp_path: Path) -> None:
    archive = RawArchive(str(tmp_path / "raw"))
    with pytest.raises(ArchiveError, match="traffic/madrid 2026-10"):
        archive.latest("traffic", "madrid", MONTH)
    manifest = archive.store("traffic", "madrid", MONTH, "p", [payload(tmp_path, b"a")], MOMENT)
    (file,) = (tmp_path / "raw").rglob("*.bin")
    file.write_bytes(b"b")
    with pytest.raises(ArchiveError, match="other bytes"):
        archive.payloads(manifest, tmp_path)
    file.unlink()
    with pytest.raises(ArchiveError, match="is gone"):
        archive.payloads(manifest, tmp_path)


class Remembering(LocalFileSystem):
    """Listings as s3fs keeps them: for ever, unless it is told not to."""

    protocol = ("remembering",)

    def ls(self, path: str, detail: bool = False, **kwargs: object) -> object:
        path = self._strip_protocol(path)
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True)
            if not self.dircache.use_listings_cache:
                return super().ls(path, detail=detail)
        entries = self.dircache[path]
        return entries if detail else [entry["name"] for entry in entries]


def test_expiry_by_another_process_is_noticed(tmp_path: Path) -> None:
    fsspec.register_implementation("remembering", Remembering, clobber=True)
    archive = RawArchive(f"remembering://{tmp_path}/raw")
    archive.store("traffic", "madrid", MONTH, "p", [payload(tmp_path, b"x")], MOMENT)
    assert archive.months() == [MONTH]
    shutil.rmtree(tmp_path / "raw" / "traffic")
    assert archive.months() == []


def damage(file: Path, how: str) -> None:
    body = file.read_bytes()
    file.write_bytes({"empty": b"", "half": body[: len(body) // 2], "other": bytes(len(body))}[how])


@pytest.mark.parametrize("how", ["empty", "half", "other"])
@pytest.mark.parametrize("pattern", ["*.bin", "*.manifest.json", "*.seen.json"])
def test_damaged_file_is_healed_by_the_next_fetch(tmp_path: Path, pattern: str, how: str) -> None:
    archive, sent = RawArchive(str(tmp_path / "raw")), payload(tmp_path, b"a month of bytes")
    for hours in range(2):
        archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT + timedelta(hours=hours))
    (file,) = (tmp_path / "raw").rglob(pattern)
    damage(file, how)
    archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT + timedelta(hours=2))
    manifest = archive.latest("traffic", "madrid", MONTH)
    (healed,) = archive.payloads(manifest, tmp_path)
    assert healed.path.read_bytes() == b"a month of bytes"
    assert manifest.fetched_at == MOMENT + timedelta(hours=2)


@pytest.mark.parametrize("how", ["empty", "half", "other"])
def test_damaged_manifest_is_an_archive_error_that_names_it(tmp_path: Path, how: str) -> None:
    archive = RawArchive(str(tmp_path / "raw"))
    archive.store("traffic", "madrid", MONTH, "p", [payload(tmp_path, b"a")], MOMENT)
    (file,) = (tmp_path / "raw").rglob("*.manifest.json")
    damage(file, how)
    with pytest.raises(ArchiveError, match=r"2026-10/.*manifest.json is damaged; materialize the raw asset again"):
        archive.latest("traffic", "madrid", MONTH)


def test_damaged_bytes_on_object_storage_are_healed_too(tmp_path: Path) -> None:
    archive, sent = RawArchive(f"memory://{tmp_path.name}"), payload(tmp_path, b"bytes")
    manifest = archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT)
    files = fsspec.filesystem("memory")
    (path,) = files.glob(f"/{tmp_path.name}/traffic/madrid/{MONTH}/*.bin")
    files.pipe_file(path, b"wrong")
    archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT)
    (healed,) = archive.payloads(manifest, tmp_path)
    assert healed.path.read_bytes() == b"bytes"


def test_bytes_reach_the_disk_before_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that loses power must not leave a name without its bytes."""
    synced: list[str] = []
    sync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    RawArchive(str(tmp_path / "raw")).store("traffic", "madrid", MONTH, "p", [payload(tmp_path, b"a")], MOMENT)
    folder = str(tmp_path / "raw" / "traffic" / "madrid" / str(MONTH))
    assert [path.endswith(".part") or path == folder for path in synced] == [True] * 4
    assert synced[1::2] == [folder, folder]
