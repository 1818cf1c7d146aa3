"""How a body is compressed. Belongs here: the choice by Accept-Encoding, and months of text spliced in each encoding.

Does not: the texts (writers.py). gzip is one member of deflate blocks (store/segments.py); zstd is a row of frames,
which decoders read as one text (RFC 8878, 3.1: "multiple frames may be concatenated").
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from starlette.datastructures import Headers

from api.query.negotiation import best, qualities
from city_data.store import segments
from city_data.store.segments import Segment

Encoding = Literal["zstd", "gzip", "identity"]
_LEVEL = 9
# Less than any quality that a client can write: sent as it is where nothing else is taken.
_UNLISTED = 0.0001


def encoding_for(headers: Headers, offered: Sequence[Encoding] = ("zstd", "gzip")) -> Encoding:
    """Of those offered the one the client likes best (RFC 9110, 12.5.3), the first of equals; else as it is."""
    asked = qualities(headers.getlist("accept-encoding"))
    others = asked.get("*", 0.0)
    known: dict[Encoding, float] = {
        "zstd": asked.get("zstd", 0.0),  # not by `*`, which older clients send that know gzip alone
        "gzip": asked.get("gzip", asked.get("x-gzip", others)),
    }
    plain: dict[Encoding, float] = {"identity": asked.get("identity", others or _UNLISTED)}
    return best({one: known[one] for one in offered} | plain) or "identity"


def pack(text: bytes, rows: int, encoding: Encoding) -> Segment:
    """A text of `rows` records as a piece that `splice` puts among others."""
    if encoding == "gzip":
        return segments.encode_text(text, rows)
    return Segment(_zstd(text) if encoding == "zstd" else text, zlib.crc32(text), len(text), rows)


def splice(
    packed: Sequence[Segment], encoding: Encoding, opening: bytes, between: bytes, closing: bytes
) -> tuple[bytes, ...]:
    """A body in chunks. What is not compressed is large: it goes out a month at a time, and is never joined."""
    if encoding == "gzip":
        return (b"".join(segments.splice_parts(packed, opening, between, closing)),)
    filled = [piece.body for piece in packed if piece.rows]
    if encoding == "zstd":
        parts = [_small(opening)]
        for position, body in enumerate(filled):
            parts += [_small(between), body] if position and between else [body]
        return (b"".join([*parts, _small(closing)]),)
    parts = [(between if position else opening) + body for position, body in enumerate(filled)] or [opening]
    return (*parts, closing) if closing else tuple(parts)


def _zstd(text: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd", compression_level=_LEVEL).compress(text, asbytes=True))


@lru_cache(maxsize=256)
def _small(text: bytes) -> bytes:
    return _zstd(text) if text else b""
