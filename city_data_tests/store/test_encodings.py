"""Joining months: the same text in every encoding, in few chunks."""

from __future__ import annotations

import zlib

import pyarrow as pa
import pytest

from city_data.store.encodings import Encoding, pack, splice

MONTHS = [b'{"n":%d}' % number * 20_000 for number in range(7)] + [b'{"n":7}' * 100_000]
TEXT = b"[" + b",\n".join(MONTHS) + b"]"


def _decoded(body: bytes, encoding: Encoding) -> bytes:
    match encoding:
        case "gzip":
            return zlib.decompress(body, wbits=31)
        case "zstd":
            return bytes(pa.input_stream(pa.BufferReader(body), compression="zstd").read())
        case _:
            return body


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "identity"])
def test_months_are_joined_to_the_same_text_in_every_encoding(encoding: Encoding) -> None:
    packed = [pack(month, 20_000, encoding) for month in MONTHS] + [pack(b"", 0, encoding)]
    assert _decoded(b"".join(splice(packed, encoding, b"[", b",\n", b"]")), encoding) == TEXT
    assert _decoded(b"".join(splice([], encoding, b"[", b",\n", b"]")), encoding) == b"[]"


def test_small_months_of_a_plain_body_share_a_chunk() -> None:
    packed = [pack(b"x" * 1_000, 1, "identity")] * 24
    assert len(splice(packed, "identity", b"[", b",\n", b"]")) == 1
    assert splice([], "identity", b"", b"", b"") == (b"",)
