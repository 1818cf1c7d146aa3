"""The body of an answer as a stream: content decoding under a cap, and downloads that can be resumed.

Belongs here: streams of bytes. Does not: calls, retries and deadlines (http.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.errors import PermanentError, TransientError
from city_data.providers.transport.response import bare

if TYPE_CHECKING:
    import httpx


@dataclass
class Part:
    """A download's bytes so far. `validator` is the ETag or date of their version, where the source reports one."""

    path: Path
    validator: str | None = None

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self.validator = None

    def wanted(self) -> dict[str, str]:
        """Headers that request the rest, or the whole file if the source has another version by now (RFC 9110,
        13.1.5)."""
        if not self.size():
            return {}
        return {"Range": f"bytes={self.size()}-"} | ({"If-Range": self.validator} if self.validator else {})


def validator(headers: httpx.Headers) -> str | None:
    """The value for If-Range: a strong tag, or else the date."""
    tag: str | None = headers.get("etag")
    date: str | None = headers.get("last-modified")
    return tag if tag and not tag.startswith("W/") else date


def first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """About the first `size` bytes."""
    for chunk in chunks:
        yield chunk[:size]
        size -= len(chunk)
        if size <= 0:
            return


def plain(answer: httpx.Response, chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """The body without its content coding, never inflating far beyond `most` bytes at once."""
    coding = answer.headers.get("content-encoding", "identity").lower()
    if coding == "identity":
        yield from chunks
        return
    if coding not in ("gzip", "x-gzip"):
        raise PermanentError(f"{bare(str(answer.url))} answered in the coding {coding!r}, which was not requested")
    yield from _inflated(chunks, bare(str(answer.url)), most)


def _inflated(chunks: Iterator[bytes], url: str, most: int) -> Iterator[bytes]:
    """The plain bytes of one gzip member, as servers send it. Any byte after it is an error: zlib would copy all of
    them at every chunk, outside of the cap."""
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
    for chunk in chunks:
        try:
            yield inflate.decompress(chunk, most + 1)
        except zlib.error as error:
            raise TransientError(f"{url} answered broken gzip: {error}") from error
        if inflate.unused_data:
            raise TransientError(f"{url} answered gzip with other bytes after its end: {inflate.unused_data[:40]!r}")
    if not inflate.eof:
        raise TransientError(f"{url} answered truncated gzip")
