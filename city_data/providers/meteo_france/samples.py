"""A small part of Meteo-France's department files, for a look at a source whose files have hundreds of megabytes.

Belongs here: the beginning of a file. Does not: months (bulk_files.py), or the content of a line (lines.py).
"""

from __future__ import annotations

import email.utils
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from city_data.providers.base import Payload
from city_data.providers.http import HttpClient
from city_data.providers.meteo_france.bulk_files import broken, catalogue, column_positions, covering
from city_data.providers.meteo_france.lines import bare

SAMPLE_BYTES = 250_000  # a month of one station is about 40,000
_HOURS = 744


@dataclass(frozen=True)
class Beginning:
    """The first month of a file's first station; `changed_at` is the file's date, where the server has one."""

    payload: Payload
    station: str
    year: int
    changed_at: datetime | None


def beginning(http: HttpClient, into: Path, department: str, year: int) -> Beginning:
    """The lines of a department's newest file that are of its first station and its first January."""
    file = covering(catalogue(http), department, [year])[0]
    packed = into / "begin.csv.gz"
    response = http.beginning(file.url, packed, SAMPLE_BYTES)
    lines = _first_lines(packed)
    header = next(lines, b"")
    station_at, stamp_at = column_positions(header)
    station, kept = b"", list[bytes]()
    for line in lines:
        cells = line.split(b";")
        station = station or cells[station_at]
        if len(cells) <= max(station_at, stamp_at) or cells[station_at] != station:
            break
        if len(kept) == _HOURS:
            break
        kept.append(line)
    path = into / f"HOR_{department}_{file.first_year}-{file.last_year}.csv"
    path.write_bytes(header + b"".join(kept))
    changed = response.headers.get("last-modified", "")
    return Beginning(
        Payload(path.name, path, file.url, origin=response.origin),
        bare(station.decode("latin-1")).zfill(8),
        file.first_year,
        email.utils.parsedate_to_datetime(changed) if changed else None,
    )


def _first_lines(packed: Path) -> Iterator[bytes]:
    """The whole lines of a gzip file that breaks off."""
    try:
        plain = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(packed.read_bytes(), 100 * SAMPLE_BYTES)
    except zlib.error as error:
        with packed.open("rb") as file:
            raise broken(file, str(error)) from error
    yield from (line + b"\n" for line in plain.split(b"\n")[:-1])
