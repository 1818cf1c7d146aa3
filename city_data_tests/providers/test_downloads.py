"""Files of many months are downloaded once, revalidated before every use, and never used incomplete."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from city_data.providers.base import PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.shared import downloads
from city_data.providers.shared.downloads import folder, opened
from city_data_tests.providers.wire import Answer, Call, Site, client

URL, PATH = "https://a.example/file.gz", "/a.example/file.gz"


def tagged(body: bytes, **headers: str) -> object:
    """A server that knows its tags and dates."""

    def reply(call: Call) -> Answer:
        conditions = {"etag": call.headers.get("if-none-match"), "last-modified": call.headers.get("if-modified-since")}
        if any(conditions[name.lower()] == text for name, text in headers.items()):
            return Answer(b"", 304, headers)
        return Answer(body, 200, headers)

    return reply


def read(http: HttpClient, url: str = URL) -> bytes:
    with opened(http, url, 1_000_000) as kept:
        assert kept.entry.url == url
        return kept.file.read()


def contents() -> list[Path]:
    return [path for path in folder().glob("*/*") if path.name not in ("lock", "entry.json")]


@pytest.mark.parametrize(
    "headers", [{"ETag": '"1"'}, {"ETag": 'W/"1"'}, {"Last-Modified": "Mon, 23 Nov 2026 06:00:00 GMT"}]
)
def test_unchanged_file_is_not_downloaded_again(web: Site, headers: dict[str, str]) -> None:
    web.on(PATH, tagged(b"one", **headers))  # type: ignore[arg-type]
    assert [read(client(web)) for _ in range(3)] == [b"one"] * 3
    conditional = [bool({"if-none-match", "if-modified-since"} & call.headers.keys()) for call in web.calls]
    assert conditional == [False, True, True]


def test_a_changed_file_replaces_the_old_one(web: Site) -> None:
    web.on(PATH, tagged(b"one", ETag='"1"'), tagged(b"two", ETag='"2"'))  # type: ignore[arg-type]
    assert [read(client(web)) for _ in range(2)] == [b"one", b"two"]
    assert (
        len([path for path in folder().rglob("*") if path.is_file() and path.name not in ("lock", "entry.json")]) == 1
    )


def test_file_without_etag_or_date_is_downloaded_again(web: Site) -> None:
    web.on(PATH, Answer(b"one"), Answer(b"two"))
    assert [read(client(web)) for _ in range(2)] == [b"one", b"two"]


def test_old_file_is_not_used_when_the_source_is_unreachable(web: Site) -> None:
    web.on(PATH, Answer(b"one", headers={"ETag": '"1"'}), Answer(b"", 503))
    assert read(client(web)) == b"one"
    with pytest.raises(TransientError, match="503"):
        read(client(web))


def test_partial_file_of_a_killed_process_is_not_used(web: Site) -> None:
    web.on(PATH, tagged(b"whole", ETag='"1"'))  # type: ignore[arg-type]
    read(client(web))
    (entry,) = folder().rglob("entry.json")
    (content,) = contents()
    content.write_bytes(b"who")
    (entry.parent / "incoming.part").write_bytes(b"w")
    assert read(client(web)) == b"whole"
    entry.write_text("{")
    assert read(client(web)) == b"whole"
    assert "if-none-match" not in web.calls[-1].headers


def test_discarded_file_is_downloaded_again(web: Site) -> None:
    web.on(PATH, tagged(b"broken", ETag='"1"'))  # type: ignore[arg-type]
    with opened(client(web), URL, 1_000_000) as kept:
        kept.forget()
        assert kept.file.read() == b"broken"  # an open file stays readable
    read(client(web))
    assert "if-none-match" not in web.calls[-1].headers


def test_runs_at_the_same_time_share_one_download(web: Site) -> None:
    web.on(PATH, tagged(b"one" * 1000, ETag='"1"'))  # type: ignore[arg-type]
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(read(client(web)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"one" * 1000] * 4
    assert [("if-none-match" in call.headers) for call in web.calls] == [False, True, True, True]


def test_long_unused_files_are_deleted(web: Site) -> None:
    for name in ("old", "new", "next"):
        web.on(f"/a.example/{name}", tagged(name.encode(), ETag=f'"{name}"'))  # type: ignore[arg-type]
    read(client(web), "https://a.example/old")
    (entry,) = folder().rglob("entry.json")
    long_ago = time.time() - downloads.UNUSED_SECONDS - 60
    os.utime(entry, (long_ago, long_ago))
    read(client(web), "https://a.example/new")
    assert not entry.exists()
    read(client(web), "https://a.example/next")
    assert len(list(folder().rglob("entry.json"))) == 2


def test_file_of_another_route_is_separate(web: Site) -> None:
    """What a stand-in sent must never pass for the real thing."""
    web.on(PATH, tagged(b"one", ETag='"1"'))  # type: ignore[arg-type]
    read(client(web))
    other = {host: base.replace("127.0.0.1", "localhost") for host, base in web.routes.items()}
    read(client(web, routes=other))
    assert "if-none-match" not in web.calls[-1].headers


def test_unwritable_folder_is_reported(web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(PermanentError, match="set CITY_DATA_CACHE_DIR"):
        read(client(web))


def test_download_folder_follows_the_settings() -> None:
    assert folder({"CITY_DATA_CACHE_DIR": "/a"}) == Path("/a/downloads")
    assert folder({"XDG_CACHE_HOME": "/b", "HOME": "/c"}) == Path("/b/city_data/downloads")
    assert folder({"HOME": "/c"}) == Path("/c/.cache/city_data/downloads")


def test_file_is_downloaded_once_for_machines_with_a_common_storage(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pod starts with an empty folder; a changed file replaces the copy, and a torn one is not used."""
    monkeypatch.setenv("CITY_DATA_DOWNLOADS_URL", str(tmp_path / "copies"))
    web.on(PATH, *[tagged(b"one", ETag='"1"')] * 2, *[tagged(b"two", ETag='"2"')] * 3)  # type: ignore[arg-type]
    found = []
    for pod in range(4):
        monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / f"pod-{pod}"))
        found.append(read(client(web)))
    assert found == [b"one", b"one", b"two", b"two"]
    assert [call.headers.get("if-none-match") for call in web.calls] == [None, '"1"', '"1"', '"2"']
    (copy,) = [path for path in (tmp_path / "copies").glob("*/*") if path.name != "entry.json"]
    copy.write_bytes(b"tw")
    monkeypatch.setenv("CITY_DATA_CACHE_DIR", str(tmp_path / "pod-4"))
    assert read(client(web)) == b"two"
    assert "if-none-match" not in web.calls[-1].headers


def test_copy_that_no_file_has_replaced_for_long_is_deleted(
    web: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITY_DATA_DOWNLOADS_URL", str(tmp_path / "copies"))
    web.on(PATH, tagged(b"one", ETag='"1"'))  # type: ignore[arg-type]
    web.on("/a.example/other.gz", tagged(b"other", ETag='"1"'))  # type: ignore[arg-type]
    read(client(web))
    (entry,) = (tmp_path / "copies").glob("*/entry.json")
    old = time.time() - downloads.UNUSED_SECONDS - 60
    os.utime(entry, (old, old))
    read(client(web), "https://a.example/other.gz")
    assert not entry.parent.exists()
    assert len(list((tmp_path / "copies").glob("*/entry.json"))) == 1
