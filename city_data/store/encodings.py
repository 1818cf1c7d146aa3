"""Compression of bodies. Belongs here: packing a month of text, and joining packed months, in each encoding.

Does not: the choice by Accept-Encoding, or the texts (api/). gzip is one member of deflate blocks (segments.py); zstd
is a sequence of frames, which decoders read as one text (RFC 8878, 3.1: "multiple frames may be concatenated").
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

from city_data.store import segments
from city_data.store.segments import Segment

Encoding = Literal["zstd", "gzip", "identity"]
_LEVEL = 9
_CHUNK_BYTES = 1024 * 1024


def pack(text: bytes, rows: int, encoding: Encoding) -> Segment:
    """A text of `rows` records, compressed so that `splice` can join it with others."""
    if encoding == "gzip":
        return segments.encode_text(text, rows)
    return Segment(_zstd(text) if encoding == "zstd" else text, zlib.crc32(text), len(text), rows)


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


def _zstd(text: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", compression_level=_LEVEL).compress(text, asbytes=True))


@lru_cache(maxsize=256)
def _small(text: bytes) -> bytes:
    return _zstd(text) if text else b""
