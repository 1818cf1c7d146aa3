"""Zurich's file of pedestrian counts: one CSV since 2021, written anew every hour.

Belongs here: its address, the extract of a span. Does not: the content of a row (foot_rows.py), or caching the file
(shared/downloads.py).

The file is some 35 MB and serves every month. The raw archive therefore holds the extract from which a month is built:
the header and the lines of the span, byte for byte and in the file's order, and then the lines of the file's newest
stamp, which tell the running hour from a whole one. Its manifest names the file: address, size and SHA-256.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.shared import ckan
from city_data.providers.shared.downloads import CachedFile, opened
from city_data.providers.shared.spellings import DECORATION
from city_data.providers.zurich_opendata.datastore import CATALOGUE
from city_data.providers.zurich_opendata.foot_rows import Header, stamp_of

PACKAGE = "hystreet_fussgaengerfrequenzen"
FILE = "hystreet_fussgaengerfrequenzen_seit2021.csv"
_MOST_BYTES, _MOST_LINE = 500_000_000, 1 << 16


def address(http: HttpClient) -> str:
    """The file's address by the catalogue. Raises TransientError and PermanentError."""
    listed = ckan.resources(http, CATALOGUE, PACKAGE)
    urls = {url for resource in listed if (url := str(resource.get("url"))).endswith(f"/{FILE}")}
    if len(urls) != 1:
        raise PermanentError(f"{CATALOGUE} lists {FILE} {len(urls)} times among {len(listed)} files of {PACKAGE}")
    return urls.pop()


def fetch(http: HttpClient, into: Path, bounds: tuple[datetime, datetime], stem: str) -> list[Payload]:
    """The extract of the span; nothing where the file has no line of it."""
    with opened(http, address(http), _MOST_BYTES) as cached:
        header, first = _header(cached)
        path, rows, newest = into / f"{stem}-pedestrians.csv", 0, _Newest()
        with path.open("wb") as extract:
            extract.write(first)
            for line, stamp in _lines(cached.file, header):
                inside = stamp is None or bounds[0] <= stamp < bounds[1]
                newest.add(stamp, b"" if inside else line)
                if inside:
                    rows += 1
                    extract.write(line)
            extract.write(newest.lines)
        if not rows:
            path.unlink()
            return []
        entry = cached.entry
        params = {"bytes": str(entry.bytes), "sha256": entry.sha256, "rows": str(rows)}
        return [
            Payload(
                path.name,
                path,
                entry.url,
                params,
                media_type="text/csv",
                last_modified=entry.last_modified,
                origin=entry.origin,
            )
        ]


@dataclass
class _Newest:
    """The lines of the newest stamp."""

    stamp: datetime | None = None
    lines: bytes = b""

    def add(self, stamp: datetime | None, line: bytes) -> None:
        if stamp is None or (self.stamp is not None and stamp < self.stamp):
            return
        self.lines = line if stamp != self.stamp else self.lines + line
        self.stamp = stamp


def _header(cached: CachedFile) -> tuple[Header, bytes]:
    """The columns and their line. Raises TransientError for a page or a document in place of the file, which is
    forgotten, so that the next use downloads it again; PermanentError where a needed column is missing."""
    line = cached.file.readline(_MOST_LINE)
    if line.lstrip(b"\xef\xbb\xbf \r\n").startswith((b"<", b"{")) or not line.strip():
        cached.forget()
        content = f"not a CSV file but {line[:60]!r}" if line.strip() else "empty"
        raise TransientError(f"{FILE}: the download is {content}")
    return Header.of(line, FILE), line


def _lines(file: IO[bytes], header: Header) -> Iterator[tuple[bytes, datetime | None]]:
    """The lines below the header with their stamps, None where it cannot be read: such lines are for the parser to
    count."""
    position, stamps = header.positions["timestamp"], dict[bytes, datetime | None]()
    while line := file.readline(_MOST_LINE):
        if line.strip():
            cell = line.split(b",", position + 1)[position:][:1]
            text = cell[0] if cell else b""
            if text not in stamps:
                stamps[text] = stamp_of(text.decode("utf-8", "replace").strip(DECORATION))
            yield line, stamps[text]
