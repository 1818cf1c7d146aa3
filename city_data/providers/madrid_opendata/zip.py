"""A month's ZIP: its CSV by name, whole, no bomb; and its bytes for Polars without a temporary file.

Belongs here: the container. Does not: what is in the CSV (rows.py).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from city_data.providers.base import PermanentError
from city_data.window import Month

# A month was 840 MB in 92 MB of ZIP; more than these is no month but a bomb.
MOST_BYTES, MOST_RATIO = 4_000_000_000, 60
HEAD_BYTES = 64_000
_PIECE = 1 << 20
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What goes wrong with the bytes in this context is told as PermanentError."""
    from isal.igzip_lib import IsalError  # what isal_zlib raises: no zlib.error; its stub says instance, not class

    try:
        yield
    except (zipfile.BadZipFile, zlib.error, IsalError, struct.error, EOFError, OSError) as error:  # type: ignore[misc]
        with path.open("rb") as file:
            begins = file.read(60)
        raise PermanentError(f"the download is no whole ZIP ({error}); it begins {begins!r}") from error


def find_csv(path: Path, month: Month) -> tuple[zipfile.ZipInfo, bytes]:
    """The one CSV that is named for this month, whatever else is packed with it, and how it begins.

    Raises PermanentError where there is none or more than one, where it cannot be read, and for a bomb.
    """
    expected = f"{month.month:02d}-{month.year}.csv"
    with readable(path), _opened(path) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        named = [info for info in files if _is_named(info.filename, expected)]
        if len(named) != 1:
            names = ", ".join(ascii(info.filename)[1:-1] for info in files[:20])
            raise PermanentError(f"the ZIP holds {names or 'nothing'}, not one {expected}")
        info = named[0]
        if info.file_size > MOST_BYTES or info.file_size > MOST_RATIO * max(info.compress_size, 1):
            raise PermanentError(f"{expected} would inflate {info.compress_size:,} bytes to {info.file_size:,}")
        if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
            raise PermanentError(f"{expected} is encrypted, or compressed by method {info.compress_type}")
        with archive.open(info) as file:
            return info, file.read(HEAD_BYTES)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive's directory. What the standard library makes of a spoilt one beyond BadZipFile: a name that is no
    UTF-8 though flagged so, a version or an offset that cannot be."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (UnicodeDecodeError, NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise zipfile.BadZipFile(f"{type(error).__name__}: {error}") from error


def _is_named(name: str, expected: str) -> bool:
    """macOS packs a file of attributes beside each file, of the same name under a folder of its own."""
    folder, _, base = name.rpartition("/")
    return base.lower() == expected and "__macosx" not in folder.lower()


def verify(path: Path, info: zipfile.ZipInfo) -> None:
    """Inflate it all, keeping nothing: what the directory says of length and checksum is true, or PermanentError."""
    from isal import isal_zlib

    checksum, length = 0, 0
    with readable(path), _body(path, info) as pieces:
        for plain in pieces if info.compress_type == zipfile.ZIP_STORED else _inflated(pieces):
            checksum, length = isal_zlib.crc32(plain, checksum), length + len(plain)
            if length > info.file_size:
                raise PermanentError(f"{info.filename} inflates to more than the {info.file_size:,} bytes it claims")
        if length != info.file_size or checksum != info.CRC:
            raise zipfile.BadZipFile(
                f"{info.filename} inflates to {length:,} of {info.file_size:,} bytes, or to others"
            )


def as_gzip(path: Path, info: zipfile.ZipInfo) -> bytes:
    """The ZIP's deflate stream as gzip, by rewrapping header and trailer: nothing is inflated, and no file is made.

    RFC 1952 around the RFC 1951 stream that APPNOTE 4.3.7 puts behind a local header of its own. A stored file is
    packed, which keeps its plain bytes out of memory.
    """
    trailer = struct.pack("<II", info.CRC, info.file_size & 0xFFFFFFFF)
    with _body(path, info) as pieces:
        if info.compress_type == zipfile.ZIP_STORED:
            return b"".join((*_packed(pieces), trailer))
        gzip = b"".join((_GZIP_HEADER, *pieces, trailer))
    missing = info.compress_size - (len(gzip) - 18)
    if missing:
        raise zipfile.BadZipFile(f"{missing:,} of {info.compress_size:,} bytes are not there")
    return gzip


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib

    inflate = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in pieces:
        rest = piece
        while rest:
            yield inflate.decompress(rest, _PIECE)
            rest = inflate.unconsumed_tail
    if not inflate.eof:
        raise EOFError("the deflate stream breaks off")


def _packed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """gzip without its trailer, whose checksum and length are the directory's: where they are not true, it is told."""
    from isal import isal_zlib

    deflate = isal_zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    yield _GZIP_HEADER
    yield from (deflate.compress(piece) for piece in pieces)
    yield deflate.flush()


@contextmanager
def _body(path: Path, info: zipfile.ZipInfo) -> Iterator[Iterator[bytes]]:
    """The deflate stream, in pieces."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(30))
        start = info.header_offset + 30 + name + extra
        file.seek(start)
        yield iter(lambda: file.read(min(_PIECE, start + info.compress_size - file.tell())), b"")
