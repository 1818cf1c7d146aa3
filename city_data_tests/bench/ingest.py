"""A full-size Madrid month from raw file to city-hours, beside a plain scan of the same ZIP, and its memory."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

from city_data.sandbox import write_madrid_month
from city_data.window import Month
from city_data_tests.bench.figure import Figure
from city_data_tests.bench.parsing import SHELL, TIMES, measured

MONTH = Month(2026, 8)
_PARSE = SHELL.format(
    prepare="""
from datetime import UTC, datetime
from city_data.providers.base import Payload, Location, Request, Settings
from city_data.providers.madrid_opendata import MadridOpenData
from city_data.window import Month
place = Location("madrid", 40.4168, -3.7038, "Europe/Madrid")
request = Request(place, Month.parse(sys.argv[2]), Settings(), datetime(2026, 11, 24, tzinfo=UTC))
import city_data.providers.madrid_opendata.hours, pandas, polars
""",
    work="frame = MadridOpenData().parse(request, [Payload(path.name, path, 'https://example.org')]).frame",
)
_FLOOR = SHELL.format(
    prepare="""
import polars as pl
from city_data_tests.bench.ingest import as_gzip
""",
    work="""
types = {"fecha": pl.String, "intensidad": pl.Float64}
scan = pl.scan_csv(as_gzip(path), separator=";", schema_overrides=types, ignore_errors=True)
hour = pl.col("fecha").str.slice(0, 13)
scan.group_by(hour).agg(pl.col("intensidad").mean()).collect(engine="streaming")
""",
)


def run(folder: Path) -> list[Figure]:
    path = folder / f"{MONTH.month:02d}-{MONTH.year}.zip"
    write_madrid_month(path, MONTH)
    floor = sorted(measured(_FLOOR, path, MONTH)[0] for _ in range(TIMES))[TIMES // 2]
    runs = sorted(measured(_PARSE, path, MONTH) for _ in range(TIMES))
    return [
        Figure("Madrid month, 13 million rows, to city-hours / plain scan", runs[TIMES // 2][0], 2.5, "s", floor),
        Figure("the same, peak memory", max(peak for _, peak in runs), 650, "MB"),
    ]


def as_gzip(path: Path) -> bytes:
    """The deflate stream of a ZIP's one file as gzip, which Polars inflates itself: RFC 1952 around the RFC 1951 stream
    that APPNOTE 4.3.7 puts behind a local header of its own."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        (info,) = archive.infolist()
        file.seek(info.header_offset)
        file.seek(sum(struct.unpack("<26xHH", file.read(30))), os.SEEK_CUR)
        header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        return header + file.read(info.compress_size) + struct.pack("<II", info.CRC, info.file_size & 0xFFFFFFFF)
