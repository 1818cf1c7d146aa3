"""Meteo-France's department files: found in the French open data catalogue by title, filtered line by line.

Belongs here: the catalogue, the choice of files, the extract of a month. Does not: the content of a line
(lines.py), or caching the files (shared/downloads.py).

A file holds all stations of a department for some years: hundreds of megabytes of CSV, rewritten every day. Archiving
it for each month would store 24 copies of the same bytes. The raw archive therefore holds the extract from which the
month is built: the header and the lines of the city's stations and the month's hours, byte for byte and in the file's
order. Its manifest names the file: address, size, SHA-256, ETag and date. The tag changes every day even if a month
does not, so the provider offers no fingerprint of a month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from city_data.providers.base import Payload, PermanentError, TransientError
from city_data.providers.http import HttpClient
from city_data.providers.meteo_france.lines import HOUR, NAMES, STAMP, bare, columns_of, stamp_text
from city_data.providers.shared.downloads import CachedFile, opened
from city_data.providers.shared.stations import NoData
from city_data.providers.transport.documents import read_json
from city_data.providers.transport.response import Response, accept_ok

CATALOGUE = "https://www.data.gouv.fr/api/1/datasets/6569b4473bedf2e7abad3b72/"
_TITLE = re.compile(r"HOR_departement_(\w{2,3})_periode_(\d{4})-(\d{4})", re.IGNORECASE)
_MOST_PACKED, _MOST_BYTES, _MOST_RATIO, _MOST_LINE = 1_000_000_000, 16_000_000_000, 300, 1 << 20
_PIECE, _MOST_MEMBERS = 1 << 20, 100_000


@dataclass(frozen=True)
class DepartmentFile:
    """An entry of the catalogue: the years of its period, both included, are those of its stamps in UTC."""

    department: str
    first_year: int
    last_year: int
    title: str
    url: str
    last_modified: str = ""


@dataclass
class Extract:
    """The requested lines, and all stations of the file."""

    header: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    stations: set[str] = field(default_factory=set)


def catalogue(http: HttpClient) -> list[DepartmentFile]:
    """Every department file that the data set lists. Raises TransientError for an empty list, PermanentError
    if it has no such file: the titles changed."""
    document = read_json(http.get(CATALOGUE, accept=_judge).body)
    resources = document.get("resources") if isinstance(document, dict) else None
    listed = resources if isinstance(resources, list) else []
    files = [file for entry in listed if (file := _file(entry)) is not None]
    if resources == []:
        raise TransientError(f"{CATALOGUE} lists nothing")
    if not files:
        raise PermanentError(f"{CATALOGUE} lists no file named HOR_departement_.._periode_....-....")
    return files


def fetch(
    http: HttpClient, into: Path, department: str, stations: Sequence[str], bounds: tuple[datetime, datetime]
) -> list[Payload]:
    """One payload for each file with lines of the month: two if the month's hours end in another year, else one.

    Raises NoData where no file covers the month, or none of its lines is of the stations; TransientError where the
    catalogue has a hole.
    """
    first, last = bounds[0] + HOUR, bounds[1]  # stamps are the ends of hours
    payloads, reasons = [], []
    for file in covering(catalogue(http), department, sorted({first.year, last.year})):
        with opened(http, file.url, _MOST_PACKED) as cached:
            try:
                extracted = extract(cached.file, cached.entry.bytes, stations, stamp_text(first), stamp_text(last))
            except TransientError:
                cached.forget()
                raise
            if extracted.lines:
                payloads.append(_payload(file, cached, extracted, stations, into))
            else:
                here = ", ".join(sorted(extracted.stations)[:20])
                reasons.append(f"{file.title} has no line of {', '.join(stations)} in the month; its stations: {here}")
    if not payloads:
        raise NoData("; ".join(reasons))
    return payloads


def extract(packed: IO[bytes], size: int, stations: Sequence[str], first: str, last: str) -> Extract:
    """The header and every line of `stations` with a stamp of `first` to `last`, both included, in bounded memory.

    Raises TransientError for incomplete gzip, PermanentError for an unknown header, an endless line or a gzip bomb.
    """
    extracted = Extract()
    lines = _lines(packed, size)
    header = next(lines, b"")
    station_at, stamp_at = column_positions(header)
    most = max(station_at, stamp_at) + 1
    extracted.header = header
    station_ids: dict[bytes, str] = {}
    for line in lines:
        cells = line.split(b";", most)
        if len(cells) <= most - 1:
            continue  # a blank or truncated line, without a station
        station = station_ids.get(cells[station_at])
        if station is None:
            station = station_ids[cells[station_at]] = bare(cells[station_at].decode("latin-1")).zfill(8)
        if station in stations and _within(bare(cells[stamp_at].decode("latin-1")), first, last):
            extracted.lines.append(line)
    extracted.stations = set(station_ids.values())
    return extracted


def _within(stamp: str, first: str, last: str) -> bool:
    """Whether a stamp lies in the range. An unreadable stamp counts as inside: the parser counts it, or refuses the
    file."""
    return first <= stamp <= last or STAMP.fullmatch(stamp) is None


def covering(files: Sequence[DepartmentFile], department: str, years: Sequence[int]) -> list[DepartmentFile]:
    """The files that hold the years; of two that hold one, as around New Year, the newer; of two by one title, as
    while the files move to another host, the one modified last.

    Raises TransientError for a year between listed ones that no file has: periods shift at New Year, one by one.
    """
    own = [file for file in files if file.department == department]
    if not own:
        known = ", ".join(sorted({file.department for file in files}))
        raise PermanentError(f"the catalogue has no department {department!r}; it has {known}")
    newest_first = sorted(own, key=lambda file: (file.last_year, file.first_year, file.last_modified), reverse=True)
    chosen = [next((f for f in newest_first if f.first_year <= year <= f.last_year), None) for year in years]
    covering = list(dict.fromkeys(file for file in chosen if file is not None))
    listed = [year for file in files for year in (file.first_year, file.last_year)]
    holes = [
        year for year, file in zip(years, chosen, strict=True) if file is None and min(listed) < year < max(listed)
    ]
    if holes:
        periods = ", ".join(file.title for file in newest_first)
        raise TransientError(f"the catalogue has a hole: no file covers {', '.join(map(str, holes))}; it has {periods}")
    if not covering:
        periods = ", ".join(file.title for file in newest_first)
        raise NoData(f"no file covers {' and '.join(map(str, years))}; there are {periods}")
    return covering


def _payload(
    file: DepartmentFile, cached: CachedFile, extracted: Extract, stations: Sequence[str], into: Path
) -> Payload:
    path = into / f"HOR_{file.department}_{file.first_year}-{file.last_year}.csv"
    path.write_bytes(extracted.header + b"".join(extracted.lines))
    entry = cached.entry
    params = {
        "extract": "the header, and the lines of the stations whose hour is in the month",
        "title": file.title,
        "stations": ",".join(stations),
        "file_bytes": str(entry.bytes),
        "file_sha256": entry.sha256,
        **({"file_etag": entry.etag} if entry.etag else {}),
    }
    return Payload(
        path.name, path, file.url, params, "text/csv", last_modified=entry.last_modified, origin=entry.origin
    )


def _lines(packed: IO[bytes], size: int) -> Iterator[bytes]:
    """The lines of a gzip file with their line ends, which the last one may lack."""
    done, rest = 0, b""
    most = min(_MOST_BYTES, max(size * _MOST_RATIO, 100 * _PIECE))
    for piece in _inflated(packed):
        done += len(piece)
        if done > most:
            raise PermanentError(f"the file of {size:,} bytes inflates to more than {most:,}")
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _MOST_LINE:
            raise PermanentError(f"a line of the file is longer than {_MOST_LINE:,} bytes")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


def _inflated(packed: IO[bytes]) -> Iterator[bytes]:
    """The plain bytes in pieces, with length and checksum verified at the end of each gzip member (RFC 1952)."""
    from isal import isal_zlib
    from isal.igzip_lib import IsalError  # raised by isal_zlib, not a zlib.error

    inflate, pending, members = None, b"", 0
    try:
        while True:
            pending = pending or packed.read(_PIECE)
            if inflate is None:
                if not pending:
                    break
                inflate, members = isal_zlib.decompressobj(16 + isal_zlib.MAX_WBITS), members + 1
                if members > _MOST_MEMBERS:  # zlib copies the rest of the piece for each member
                    raise PermanentError(f"the file has more than {_MOST_MEMBERS:,} gzip members")
            piece = inflate.decompress(pending, _PIECE)
            if not pending and not piece:  # no more input, and no buffered output
                break
            yield piece
            pending = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            inflate = None if inflate.eof else inflate
    except IsalError as error:  # type: ignore[misc]  # an exception class, despite its stub
        raise broken(packed, str(error)) from error
    if inflate is not None or not packed.tell():
        raise broken(packed, "it ends too early")


def broken(packed: IO[bytes], why: str) -> TransientError:
    packed.seek(0)
    begins = packed.read(60)
    start = f"begins {begins!r}" if begins else "is empty"
    return TransientError(f"the download is not a complete gzip ({why}); it {start}")


def column_positions(header: bytes) -> tuple[int, int]:
    """The positions of the station and stamp columns."""
    names = columns_of(header.decode("utf-8", "replace"))
    try:
        return names.index(NAMES[0][0]), names.index(NAMES[0][1])
    except ValueError as error:
        wanted = " and ".join(NAMES[0])
        raise PermanentError(f"the file has no columns {wanted}; it begins {header[:100]!r}") from error


def _file(entry: Any) -> DepartmentFile | None:
    title, url = (entry.get("title"), entry.get("url")) if isinstance(entry, dict) else (None, None)
    if not isinstance(title, str) or not isinstance(url, str):
        return None
    match = _TITLE.fullmatch(title.strip().removesuffix(".csv.gz"))
    if match is None:
        return None
    modified = str(entry.get("last_modified") or "")  # ISO 8601, which sorts by time
    return DepartmentFile(match[1].upper(), int(match[2]), int(match[3]), title, url, modified)


def _judge(response: Response) -> None:
    accept_ok(response)
    text = " ".join(response.body[:200].decode("latin-1").split())
    try:
        read_json(response.body)
    except ValueError as error:
        raise TransientError(f"{response.url} did not answer JSON: {text or 'an empty body'}") from error
