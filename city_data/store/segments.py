"""Month segments: one version of a month as JSON records, serialised and compressed once, spliced into answers.

Belongs here: how a record is written, and how segments become one gzip member. Does not: their storage (months.py
writes them to PostgreSQL, cache.py to Redis), or the choice of segments for an answer (api/).

A body is a raw deflate stream ended by a full flush, so that bodies may follow one another in any order. An answer is
ONE gzip member: several members are cut after the first by httpx 0.28 and `curl --compressed`, without an error.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import sqlalchemy as sa
from isal import isal_zlib

from city_data.datasets import DATASETS, Dataset, DatasetName
from city_data.store.database import Database
from city_data.store.schema import MONTH_VERSION
from city_data.window import Month

# A JSON string has no bare newline, so this never occurs inside a record.
SEPARATOR = b",\n"
LEVEL = 6
_HEAD_BYTES = 4_096  # some records
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_DATE_MARK = b'"date":"'
_DATE_LENGTH = len("2026-10-01T00:00:00Z")
_NAMESPACE = uuid.UUID("6f1d5f0e-54d7-5b52-9f5b-1f0c6f3b8f2a")


class Segment(NamedTuple):
    """`body` compressed; `crc32` and `length` (bytes) are those of the text before compression."""

    body: bytes
    crc32: int
    length: int
    rows: int


def record_names(dataset: Dataset) -> list[str]:
    """The fields of a record, in the order that they are sent in; columns that are `on_request` are none of them."""
    return fields_with(dataset, dataset.record_columns)


def fields_with(dataset: Dataset, columns: Sequence[str]) -> list[str]:
    """The fields of a record with these columns, in order."""
    names = [*dataset.key, *columns, "source"]
    return ["id", "location_id", *names, "created_at", "updated_at"] if dataset.records_have_ids else names


def record_id(dataset: Dataset, city_id: str, date: datetime, *others: int) -> str:
    """A stable id, derived from dataset, city, date and the values of the other keys."""
    parts = (dataset.name, city_id, date.astimezone(UTC).isoformat(), *others)
    return str(uuid.uuid5(_NAMESPACE, "/".join(map(str, parts))))


def location_id(city_id: str, date: datetime, zone: ZoneInfo) -> str:
    """City and local day."""
    return f"{city_id}_{date.astimezone(zone).date()}"


def record_texts(
    dataset: Dataset,
    city_id: str,
    timezone: str,
    rows: Iterable[dict[str, Any]],
    created: datetime,
    updated: datetime,
) -> list[bytes]:
    """Each row (of `frames.records`) as the JSON object that the reader sends."""
    zone, names = ZoneInfo(timezone), record_names(dataset)
    moments = {"created_at": created.astimezone(UTC), "updated_at": updated.astimezone(UTC)}
    texts = []
    for row in rows:
        values = row
        if "id" in names:
            ids = {"id": record_id(dataset, city_id, *(row[name] for name in dataset.key))}
            values = {**row, **moments, **ids, "location_id": location_id(city_id, row["date"], zone)}
        texts.append(orjson.dumps({name: values[name] for name in names}, option=orjson.OPT_UTC_Z))
    return texts


def encode(texts: Sequence[bytes]) -> Segment:
    """Compress records into a segment."""
    return encode_text(SEPARATOR.join(texts), len(texts))


def encode_text(text: bytes | memoryview, rows: int, level: int = LEVEL) -> Segment:
    """Compress any text of `rows` records into a segment, to be spliced with others."""
    return Segment(_flushed(text, level), isal_zlib.crc32(text), len(text), rows)


def text_of(segment: Segment) -> bytes:
    """The text that was encoded. Raises ValueError for a damaged segment."""
    try:
        text = zlib.decompressobj(-zlib.MAX_WBITS).decompress(segment.body)
    except zlib.error as error:
        raise ValueError(f"a damaged segment: {error}") from error
    if len(text) != segment.length or isal_zlib.crc32(text) != segment.crc32:
        raise ValueError("a damaged segment: its text has another length or checksum")
    return text


def records(segment: Segment) -> list[bytes]:
    """A segment's records. Raises ValueError where its bytes are not those that were encoded."""
    text = text_of(segment)
    return text.split(SEPARATOR) if text else []


def record_date(record: bytes) -> datetime:
    """The date of a record: the marker cannot occur inside a JSON string, whose quotes are escaped."""
    at = record.index(_DATE_MARK) + len(_DATE_MARK)
    return datetime.fromisoformat(record[at : at + _DATE_LENGTH].decode("ascii"))


def cut(segment: Segment, start: datetime | None, end: datetime | None) -> list[bytes]:
    """The records from `start` on and before `end`; None means unbounded. They are sorted by date, so two bisections
    find them.
    """
    texts = records(segment)
    first = 0 if start is None else bisect_left(texts, start, key=record_date)
    last = len(texts) if end is None else bisect_left(texts, end, lo=first, key=record_date)
    return texts[first:last]


def splice_parts(segments: Iterable[Segment], opening: bytes, between: bytes, closing: bytes) -> list[bytes]:
    """Segments' texts between others as one gzip member (RFC 1952), in parts, without decompressing any segment."""
    first, separator = _small(opening), _small(between)
    parts, crc, length = [_GZIP_HEADER, first.body], first.crc32, first.length
    is_first = True
    for body, crc32, size, rows in segments:
        if not rows:
            continue
        if between and not is_first:
            parts.append(separator.body)
            crc, length = isal_zlib.crc32_combine(crc, separator.crc32, separator.length), length + separator.length
        parts.append(body)
        crc, length, is_first = isal_zlib.crc32_combine(crc, crc32, size), length + size, False
    crc, length = isal_zlib.crc32_combine(crc, isal_zlib.crc32(closing), len(closing)), length + len(closing)
    return [*parts, _final(closing), struct.pack("<II", crc, length & 0xFFFFFFFF)]


def conformed(segment: Segment, dataset: Dataset) -> Segment:
    """A stored segment with the dataset's current fields: those added since its load are null, removed ones are left
    out. Raises ValueError where its bytes are not those that were encoded.
    """
    names = record_names(dataset)
    if not segment.rows or list(orjson.loads(_first_record(segment))) == names:
        return segment
    rows = (orjson.loads(record) for record in records(segment))
    return encode([orjson.dumps({name: row.get(name) for name in names}) for row in rows])


def read_segments(
    database: Database,
    dataset: DatasetName,
    city_id: str,
    wanted: Sequence[tuple[Month, int]],
    loaded_at: Mapping[tuple[Month, int], datetime | None] | None = None,
) -> dict[tuple[Month, int], Segment]:
    """The wanted (month, version) pairs that exist, `conformed`. Raises DatabaseUnavailable.

    With `loaded_at`, only those loaded then: a month that was dropped and loaded anew has the same numbers again.
    """
    if not wanted:
        return {}
    table = MONTH_VERSION
    pairs = sa.tuple_(table.c.month, table.c.version).in_([(month.first_day, version) for month, version in wanted])
    names = ("month", "version", "body", "crc32", "length", "rows", "loaded_at")
    query = sa.select(*(table.c[name] for name in names)).where(
        table.c.dataset == dataset, table.c.city_id == city_id, pairs
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    if loaded_at is not None:
        rows = [row for row in rows if loaded_at[Month.of(row.month), row.version] == row.loaded_at]
    return {
        (Month.of(row.month), row.version): conformed(
            Segment(bytes(row.body), row.crc32, row.length, row.rows), DATASETS[dataset]
        )
        for row in rows
    }


def _first_record(segment: Segment) -> bytes:
    """Most of a segment need not be decompressed for it."""
    try:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(segment.body, _HEAD_BYTES)
    except zlib.error as error:
        raise ValueError(f"a damaged segment: {error}") from error
    first, separator, _ = head.partition(SEPARATOR)
    return first if separator else records(segment)[0]


def _flushed(text: bytes | memoryview, level: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush(zlib.Z_FULL_FLUSH)


@lru_cache(maxsize=256)
def _small(text: bytes) -> Segment:
    return encode_text(text, 0)


@lru_cache(maxsize=256)
def _final(text: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(text) + compressor.flush()
