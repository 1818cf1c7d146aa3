"""The raw archive keeps bytes as received, once, and notices when they are other than its manifest says."""

from __future__ import annotations

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


def test_bytes_and_where_they_came_from_are_kept(archive: RawArchive, tmp_path: Path) -> None:
    sent = payload(tmp_path, b"\x00\xff bytes")
    archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT, 1.5)
    manifest = archive.latest("traffic", "madrid", MONTH)
    (kept,) = archive.payloads(manifest, tmp_path)
    assert kept.path.read_bytes() == b"\x00\xff bytes"
    assert (kept.name, kept.url, kept.params, kept.media_type, kept.origin) == (
        "month.zip",
        sent.url,
        {"n": "1"},
        "application/zip",
        "sandbox",
    )
    assert (manifest.provider, manifest.fetched_at, manifest.total_bytes) == ("p", MOMENT, 8)


def test_the_newest_fetch_counts_and_equal_bytes_are_held_once(archive: RawArchive, tmp_path: Path) -> None:
    for hours, body in enumerate([b"a", b"a", b"b"]):
        sent = payload(tmp_path, body)
        archive.store("traffic", "madrid", MONTH, "p", [sent], MOMENT + timedelta(hours=hours))
    (kept,) = archive.payloads(archive.latest("traffic", "madrid", MONTH), tmp_path)
    assert kept.path.read_bytes() == b"b"
    assert archive.months() == [MONTH]
    archive.drop("traffic", "madrid", MONTH)
    assert archive.months() == []


def test_what_is_missing_or_changed_is_said(tmp_path: Path) -> None:
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
        found = self.dircache[path]
        return found if detail else [entry["name"] for entry in found]


def test_a_month_that_another_process_expired_is_seen_to_be_gone(tmp_path: Path) -> None:
    fsspec.register_implementation("remembering", Remembering, clobber=True)
    archive = RawArchive(f"remembering://{tmp_path}/raw")
    archive.store("traffic", "madrid", MONTH, "p", [payload(tmp_path, b"x")], MOMENT)
    assert archive.months() == [MONTH]
    shutil.rmtree(tmp_path / "raw" / "traffic")
    assert archive.months() == []
