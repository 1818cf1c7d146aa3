"""A month's ZIP: finding its CSV, its lines a few megabytes at a time without a temporary file, size and checksum.

Belongs here: the container. Does not: the content of the CSV (rows.py).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from city_data.providers.base import PermanentError
from city_data.window import Month

# A month was 840 MB in 92 MB of ZIP; beyond these limits it is a ZIP bomb.
MOST_BYTES, MOST_RATIO = 4_000_000_000, 60
HEAD_BYTES = 64_000
_STORED, _PLAIN = 1 << 14, 1 << 17  # read and inflated at once: buffers that are reused, within a processor's cache
_MOST_SAMPLED = 64_000_000
_LINES = 8 << 20  # of the CSV at once
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns every error of corrupt bytes in this context into PermanentError."""
    from isal.igzip_lib import IsalError  # raised by isal_zlib, not a zlib.error; its stub lacks the class

    try:
        yield
    except (zipfile.BadZipFile, zlib.error, IsalError, struct.error, EOFError, OSError) as error:  # type: ignore[misc]
        with path.open("rb") as file:
            begins = file.read(60)
        raise PermanentError(f"the download is not a complete ZIP ({error}); it begins {begins!r}") from error


def find_csv(path: Path, month: Month) -> tuple[zipfile.ZipInfo, bytes]:
    """The one CSV with this month's name, among any other files, and its first bytes.

    Raises PermanentError if there is none or more than one, if it is unreadable, and for a ZIP bomb.
    """
    expected = f"{month.month:02d}-{month.year}.csv"
    with readable(path), _opened(path) as archive:
        # Not by is_dir(), which raises IndexError for an entry without a name.
        files = [info for info in archive.infolist() if not info.filename.endswith("/")]
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
    """The archive's directory. Raises BadZipFile also for the standard library's other errors with a corrupt one: a
    name that is flagged as UTF-8 and is not, an impossible version or offset."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (UnicodeDecodeError, NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise zipfile.BadZipFile(f"{type(error).__name__}: {error}") from error


def _is_named(name: str, expected: str) -> bool:
    """Whether the file has the expected name, except under `__MACOSX`, where macOS packs attributes of each file."""
    folder, _, base = name.rpartition("/")
    return base.lower() == expected and "__macosx" not in folder.lower()


def verify(path: Path, info: zipfile.ZipInfo) -> None:
    """Inflate the whole CSV without storing it. Raises PermanentError if length or checksum differ from the
    directory's."""
    for _ in _plain(path, info):
        pass


def pieces(path: Path, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The CSV without its header, in pieces of whole lines, at least one. Raises as `verify` does, after the last piece
    at the latest, and PermanentError for a line as long as a piece."""
    parts: list[bytes] = []
    size = 0
    plain = _plain(path, info)
    for lines in chain([next(plain, b"").partition(b"\n")[2]], plain):
        parts.append(lines)
        size += len(lines)
        end = lines.rfind(b"\n") + 1
        if size >= _LINES and end:
            parts[-1] = lines[:end]
            yield b"".join(parts)
            parts, size = [lines[end:]], len(lines) - end
        elif size > 2 * _LINES:
            raise PermanentError(f"{info.filename} has a line of more than {_LINES:,} bytes")
    yield b"".join(parts)


def _plain(path: Path, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """The CSV's bytes, verified at their end."""
    from isal import isal_zlib

    checksum, length = 0, 0
    with readable(path), _body(path, info) as stored:
        for plain in stored if info.compress_type == zipfile.ZIP_STORED else _inflated(stored):
            checksum, length = isal_zlib.crc32(plain, checksum), length + len(plain)
            if length > info.file_size:
                raise PermanentError(f"{info.filename} inflates to more than the {info.file_size:,} bytes it claims")
            yield plain
        if length != info.file_size or checksum != info.CRC:
            raise zipfile.BadZipFile(
                f"{info.filename} inflates to {length:,} of {info.file_size:,} bytes, or to others"
            )


def repack_beginning(begin: Path, into: Path) -> None:
    """The whole lines at the beginning of a ZIP's first file, as a ZIP of the same name. Raises PermanentError for
    anything but the beginning of a ZIP."""
    body = begin.read_bytes()
    with readable(begin):
        method, name_length, extra_length = struct.unpack("<8xH16xHH", body[:30])
        name, data = body[30 : 30 + name_length], body[30 + name_length + extra_length :]
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _MOST_SAMPLED) if method else data
        if b"\n" not in plain:
            raise EOFError("it begins with no line")
        with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name.decode("cp437"), plain[: plain.rindex(b"\n") + 1])


def _inflated(stored: Iterator[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib

    inflate = isal_zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in stored:
        rest = piece
        while rest:
            yield inflate.decompress(rest, _PLAIN)
            rest = inflate.unconsumed_tail
    if not inflate.eof:
        raise EOFError("the deflate stream is truncated")


@contextmanager
def _body(path: Path, info: zipfile.ZipInfo) -> Iterator[Iterator[bytes]]:
    """The deflate stream, in pieces."""
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(30))
        start = info.header_offset + 30 + name + extra
        file.seek(start)
        yield iter(lambda: file.read(min(_STORED, start + info.compress_size - file.tell())), b"")
