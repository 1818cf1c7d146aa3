"""Downloads of the client over real sockets: resumed after an interruption, restarted, or removed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from city_data.payloads import file_sha256
from city_data.providers.base import TransientError
from city_data.providers.http import HttpSettings
from city_data_tests.providers.wire import PATH, URL, WHOLE, Answer, Call, Site, client


def ranged(call: Call) -> Answer:
    """A server that resumes, unless the client's version is another."""
    start = call.headers.get("range", "").removeprefix("bytes=").removesuffix("-")
    if not start or call.headers.get("if-range", '"v"') != '"v"':
        return Answer(WHOLE, headers={"ETag": '"v"'})
    span = f"bytes {start}-{len(WHOLE) - 1}/{len(WHOLE)}"
    return Answer(WHOLE[int(start) :], 206, {"Content-Range": span})


def cut(size: int, **headers: str) -> Answer:
    return Answer(WHOLE[:size], headers=headers, length=len(WHOLE))


@pytest.mark.parametrize(
    ("first", "then", "last_range"),
    [
        (cut(9000, ETag='"v"'), ranged, "bytes=9000-"),
        (cut(9000), ranged, "bytes=9000-"),
        # The file was replaced in between: the server sends the new one whole.
        (Answer(b"x" * 9000, headers={"ETag": '"old"'}, length=12_000), ranged, "bytes=9000-"),
        # A server that knows no ranges.
        (cut(9000), Answer(WHOLE), "bytes=9000-"),
    ],
)
def test_interrupted_download_is_resumed(web: Site, tmp_path: Path, first: Answer, then: Any, last_range: str) -> None:
    web.on(PATH, first, then)
    response = client(web).download(URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert response.body == b""
    assert web.calls[-1].headers["range"] == last_range


@pytest.mark.parametrize(
    "odd",
    [Answer(status=416), Answer(WHOLE[5000:], 206, {"Content-Range": f"bytes 5000-{len(WHOLE) - 1}/{len(WHOLE)}"})],
)
def test_failed_resume_starts_over(web: Site, tmp_path: Path, odd: Answer) -> None:
    web.on(PATH, cut(9000), odd, ranged)
    client(web).download(URL, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == WHOLE
    assert "range" not in web.calls[2].headers


def test_failed_download_leaves_no_file(web: Site, tmp_path: Path) -> None:
    web.on(PATH, cut(9000))
    with pytest.raises(TransientError):
        client(web, settings=HttpSettings(attempts=2)).download(URL, tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_error_during_a_resume_keeps_the_partial_file(web: Site, tmp_path: Path) -> None:
    web.on(PATH, cut(9000, ETag='"v"'), Answer(status=503), ranged)
    client(web).download(URL, tmp_path / "file")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(WHOLE).hexdigest()
    assert web.calls[2].headers["if-range"] == '"v"'
