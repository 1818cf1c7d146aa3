"""Compression of bodies. Belongs here: packing a month of text, and joining packed months, in each encoding.

Does not: the choice by Accept-Encoding, or the texts (api/). gzip is one member of deflate blocks (segments.py); zstd
is a sequence of frames, which decoders read as one text (RFC 8878, 3.1: "multiple frames may be concatenated").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from isal.isal_zlib import crc32

from city_data.store import segments
from city_data.store.segments import Segment

Encoding = Literal["zstd", "gzip", "identity"]
# Of a month of a frame of hours, 1.2 MB of text, or of parts of days, 0.25 MB, gzip's level 6 takes more than twice as
# long as 2 for 30 % fewer bytes, zstd's 9 takes 5 times as long as 3 for 20 % fewer: half of the time of a first read.
# Smaller texts, as a history's months are, take few milliseconds anyway.
_LARGE_BYTES = 200 * 1024
_LEVELS: dict[Encoding, tuple[int, int]] = {"gzip": (segments.LEVEL, 2), "zstd": (9, 3)}
_CHUNK_BYTES = 1024 * 1024


def pack(text: bytes | memoryview, rows: int, encoding: Encoding) -> Segment:
    """A text of `rows` records, compressed so that `splice` can join it with others."""
    if encoding == "gzip":
        return segments.encode_text(text, rows, _level(text, encoding))
    return Segment(_zstd(text) if encoding == "zstd" else bytes(text), crc32(text), len(text), rows)


def _level(text: bytes | memoryview, encoding: Encoding) -> int:
    return _LEVELS[encoding][len(text) >= _LARGE_BYTES]


def splice(
    packed: Sequence[Segment], encoding: Encoding, opening: bytes, between: bytes, closing: bytes
) -> tuple[bytes, ...]:
    """A body in chunks: one, or several of an uncompressed body."""
    if encoding == "gzip":
        return (b"".join(segments.splice_parts(packed, opening, between, closing)),)
    filled = [segment.body for segment in packed if segment.rows]
    if encoding == "zstd":
        parts = [_small(opening)]
        for position, body in enumerate(filled):
            parts += [_small(between), body] if position and between else [body]
        return (b"".join([*parts, _small(closing)]),)
    separated = [part for body in filled for part in (between, body)]
    return tuple(_chunks([opening, *separated[1:], closing]))


def _chunks(parts: Sequence[bytes]) -> Iterator[bytes]:
    """The parts, joined until they have _CHUNK_BYTES: each chunk is sent by itself, which takes 2 us."""
    pending, size = list[bytes](), 0
    for part in parts:
        pending.append(part)
        size += len(part)
        if size >= _CHUNK_BYTES:
            yield b"".join(pending)
            pending, size = [], 0
    if pending:
        yield b"".join(pending)


def _zstd(text: bytes | memoryview) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", compression_level=_level(text, "zstd")).compress(text, asbytes=True))


@lru_cache(maxsize=256)
def _small(text: bytes) -> bytes:
    return _zstd(text) if text else b""
