"""Paris's archive of counts: one ZIP a year with a text file a week, for months that have left the current feed.

Belongs here: the listed years, the extract of a month. Does not: the current feed (feed.py), the content of a row
(rows.py), or caching the ZIP (shared/downloads.py).

A year is about 190 MB packed and 7 GB of text, and serves twelve months. The raw archive therefore holds the extract
from which a month is built: of each weekly file the rows of the month, and of those the columns that an export of the
current feed is asked for, byte for byte and in the file's order. Its manifest names the ZIP: address, size and SHA-256.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.paris_opendata.feed import DATASETS, HOST
from city_data.providers.paris_opendata.header import LABELS, Header, header_of
from city_data.providers.shared import portals
from city_data.providers.shared.downloads import CachedFile, opened
from city_data.providers.shared.spellings import DECORATION
from city_data.providers.transport.documents import read_json

NAME = "comptages-routiers-permanents-historique"
ATTACHMENTS = f"{DATASETS}/{NAME}/attachments"
_YEAR = re.compile(r"opendata_txt_(20[0-9]{2})[._]zip")
# "trafic_capteurs_2014_W00_20140101_20140102.txt": the first and the last day of the week's rows.
_DAYS = re.compile(r"_(20[0-9]{6})_(20[0-9]{6})\.[a-z]+$")
_DAY = timedelta(days=1)
_MOST_PACKED, _MOST_BYTES, _MOST_RATIO, _MOST_LINE = 1_000_000_000, 2_000_000_000, 200, 1 << 16
_DEFLATE64, _ENCRYPTED = 9, 0x1
_METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)


def years(http: HttpClient) -> list[int]:
    """The years that the archive lists. Raises TransientError and PermanentError."""
    response = http.get(ATTACHMENTS, accept=portals.judge_json)
    try:
        read_json(response.body)
    except ValueError as error:
        raise PermanentError(f"{response.url} did not answer a list of attachments: {error}") from error
    listed = sorted({int(year) for year in _YEAR.findall(response.text("latin-1"))})
    if not listed:
        raise PermanentError(f"{response.url} lists no opendata_txt_YYYY.zip")
    return listed


def address(year: int) -> str:
    return f"https://{HOST}/api/datasets/1.0/{NAME}/attachments/opendata_txt_{year}_zip/"


def fetch(http: HttpClient, into: Path, year: int, bounds: tuple[datetime, datetime], timezone: str) -> list[Payload]:
    """One payload a weekly file with rows of the month; none where the year's files have no row of it.

    The hour that ends with a year is stamped with the next one: it is in the last file of its own year, or nowhere.
    Raises TransientError for a ZIP that is not complete, PermanentError for one that cannot be read.
    """
    zone = ZoneInfo(timezone)
    first, last = ((bound.astimezone(zone).replace(tzinfo=None)) for bound in bounds)
    payloads = []
    with (
        opened(http, address(year), _MOST_PACKED) as cached,
        _complete(cached),
        zipfile.ZipFile(cached.file) as weeks,
    ):
        for number, info in enumerate(weeks.infolist()):
            if not _may_have(info.filename, first, last):
                continue
            _refuse_packing(info)
            path = into / Path(info.filename).name
            path = path.with_name(f"{number}-{path.name}") if path.exists() else path
            with weeks.open(info) as file, path.open("wb") as extract:
                rows = _extract(file, info, extract, (first, last))
            if rows:
                payloads.append(_payload(path, year, cached, info, rows))
    return payloads


def fingerprint(http: HttpClient, year: int) -> Mapping[str, str]:
    """Tag, date and size of the year's ZIP, by one call for its headers."""
    headers = http.head(address(year), accept=portals.judge).headers
    values = {f"archive:{name}": headers.get(name) for name in ("etag", "last-modified", "content-length")}
    return {name: value for name, value in values.items() if value}


@contextmanager
def _complete(cached: CachedFile) -> Iterator[None]:
    """Raises TransientError for corrupt bytes, which are forgotten, so that the next use downloads them again."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, UnicodeDecodeError, OverflowError) as error:
        cached.forget()
        cached.file.seek(0)
        begins = cached.file.read(60)
        raise TransientError(f"the download is not a complete ZIP ({error}); it begins {begins!r}") from error


def _may_have(name: str, first: datetime, last: datetime) -> bool:
    """Whether a file may have rows of the month: by the days in its name, with a day to spare, or where it names
    none."""
    folder, _, base = name.rpartition("/")
    if not base or "__macosx" in folder.lower() or not base.lower().endswith((".txt", ".csv")):
        return False
    match = _DAYS.search(base.lower())
    if match is None:
        return True
    try:
        begins, ends = (datetime.fromisoformat(day) for day in match.groups())
    except ValueError:
        return True
    return begins <= last + _DAY and ends + 2 * _DAY >= first


def _refuse_packing(info: zipfile.ZipInfo) -> None:
    if info.compress_type == _DEFLATE64:
        raise PermanentError(
            f"{info.filename} is packed by DEFLATE64 (method 9), as the years 2021 and 2023 are, which cannot be read "
            "here: unpack the year with 7-Zip to look at it"
        )
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise PermanentError(f"{info.filename} is encrypted, or packed by method {info.compress_type}")
    if info.file_size > _MOST_BYTES or info.file_size > _MOST_RATIO * max(info.compress_size, 1):
        raise PermanentError(f"{info.filename} would inflate {info.compress_size:,} bytes to {info.file_size:,}")


def _extract(file: IO[bytes], info: zipfile.ZipInfo, into: IO[bytes], bounds: tuple[datetime, datetime]) -> int:
    """Write the wanted columns of the header and of every row of the month; the number of rows. A line whose stamp
    cannot be read is kept: the parser counts it, or refuses the file."""
    head = file.readline(_MOST_LINE)
    header = header_of(head, info.filename)
    first, last = bounds
    mark = header.separator.encode()
    wanted = [header.positions[name] for name in LABELS if name in header.positions]
    stamp_at, size = header.positions["t_1h"], len(header.columns)
    into.write(_columns(header, wanted))
    inside: dict[bytes, bool] = {}
    rows = 0
    while line := file.readline(_MOST_LINE):
        cells = line.rstrip(b"\r\n").split(mark)
        if len(cells) != size:
            if line.strip():  # more cells than the extract has columns: broken there too
                into.write(line.rstrip(b"\r\n") + mark * len(wanted) + b"\n")
                rows += 1
            continue
        stamp = cells[stamp_at]
        if (is_inside := inside.get(stamp)) is None:
            is_inside = inside[stamp] = _is_inside(stamp, first, last)
        if is_inside:
            into.write(mark.join([cells[n] for n in wanted]) + b"\n")
            rows += 1
    return rows


def _columns(header: Header, wanted: list[int]) -> bytes:
    return header.separator.join(header.columns[n] for n in wanted).encode() + b"\n"


def _is_inside(stamp: bytes, first: datetime, last: datetime) -> bool:
    """Whether an hour that ends then is of the month. An unreadable stamp counts as inside."""
    try:
        moment = datetime.fromisoformat(stamp.decode("latin-1").strip(DECORATION)[:19])
    except ValueError:
        return True
    return first < moment.replace(tzinfo=None) <= last


def _payload(path: Path, year: int, cached: CachedFile, info: zipfile.ZipInfo, rows: int) -> Payload:
    entry = cached.entry
    params = {
        "extract": f"the columns {', '.join(LABELS)} of the rows whose hour is in the month",
        "file": info.filename,
        "rows": str(rows),
        "zip_bytes": str(entry.bytes),
        "zip_sha256": entry.sha256,
    }
    known = {"etag": entry.etag, "last-modified": entry.last_modified, "content-length": str(entry.bytes)}
    return Payload(
        path.name,
        path,
        address(year),
        params,
        "text/plain",
        last_modified=entry.last_modified,
        origin=entry.origin,
        fingerprint={f"archive:{name}": value for name, value in known.items() if value},
    )
