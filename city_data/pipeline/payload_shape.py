"""The shape of a source's bytes: kind, columns with their types, stamps, size; without knowledge of any one source.

Belongs here: a description of bytes as received. Does not: comparing two of them (source_shape.py), or reading values
(providers/). Only the beginning and the end of large files are looked at.
"""

from __future__ import annotations

import json
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydantic

from city_data.payloads import Payload

_PIECE, _LARGEST_JSON, _MOST_ROWS = 1 << 17, 32_000_000, 5_000
_SEPARATORS = ";,\t|"
_WORDS_FOR_MISSING = frozenset({"", "nan", "null", "none"})
# A column whose values are nearly all of one type has that type; of fewer values nothing is known.
_DOMINANT, _FEW = 0.9, 5
_WHOLE, _POINT, _COMMA = "whole number in a text", "number with a point in a text", "number with a comma in a text"
TEXT_NUMBERS = frozenset({_WHOLE, _POINT, _COMMA})
_STAMPS = (
    re.compile(r"(?P<Y>(?:19|20)\d\d)-(?P<m>\d\d)-(?P<d>\d\d)(?:[T ](?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d))?(?:\.\d+)?"
               r"(?:Z|[+-]\d\d:?\d\d)?)?"),
    re.compile(r"(?P<d>\d\d)/(?P<m>\d\d)/(?P<Y>(?:19|20)\d\d)(?: (?P<H>\d\d?):(?P<M>\d\d)(?::(?P<S>\d\d))?)?"),
    re.compile(r"(?P<Y>(?:19|20)\d\d)(?P<m>\d\d)(?P<d>\d\d)(?P<H>\d\d)(?P<M>\d\d)?(?P<S>\d\d)?"),
)  # fmt: skip
_EPOCH = {"s": (1e9, 4e9), "ms": (1e12, 4e12)}


class ColumnShape(pydantic.BaseModel):
    """A column's type in words, and the share (0..1) of rows that have the column."""

    type: str
    share: float


class Stamps(pydantic.BaseModel):
    """The column of times. `first` and `last` are seconds since 1970 by the clock as written, `last` None where the end
    of the bytes was not looked at; `step` is the median distance."""

    column: str
    form: str
    count: int
    step: float | None
    first: float
    last: float | None


class Shape(pydantic.BaseModel):
    """`kind` is such as `CSV with ;`. `bytes` are those of all payloads; `complete` where all rows were looked at."""

    kind: str
    bytes: int
    complete: bool
    columns: dict[str, ColumnShape] = {}
    stamps: Stamps | None = None


@dataclass
class _Table:
    """Rows of one payload, as far as they were looked at, as values by column."""

    kind: str
    rows: int = 0
    values: dict[str, list[Any]] = field(default_factory=dict)
    has_end: bool = True
    complete: bool = True


def describe(payloads: Sequence[Payload]) -> Shape:
    """The shape of a fetch's payloads together. Bytes of no known kind have a size alone."""
    tables = [_table(payload.path) for payload in payloads]
    rows = sum(table.rows for table in tables)
    values: dict[str, list[Any]] = {}
    for table in tables:
        for name, column in table.values.items():
            values.setdefault(name, []).extend(column)
    columns = {
        name: ColumnShape(type=_type_of(column), share=round(len(column) / rows, 4)) for name, column in values.items()
    }
    return Shape(
        kind=", ".join(sorted({table.kind for table in tables})) or "nothing",
        bytes=sum(payload.path.stat().st_size for payload in payloads),
        complete=all(table.complete for table in tables),
        columns=columns,
        stamps=_stamps(values, columns, all(table.has_end for table in tables)),
    )


def _table(path: Path) -> _Table:
    with path.open("rb") as file:
        head = file.read(_PIECE)
        size = path.stat().st_size
        file.seek(max(size - _PIECE, len(head)))
        tail = file.read()
    if head[:2] == b"PK":
        return _unpacked("ZIP of ", _zipped(path))
    if head[:2] == b"\x1f\x8b":
        return _unpacked("gzip of ", _gunzipped(path))
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    if text[:1] in (b"{", b"["):
        return _json(path)
    return _csv(head, tail, whole=len(head) + len(tail) == size)


def _unpacked(prefix: str, head: bytes | None) -> _Table:
    if head is None:
        return _Table(f"broken {prefix.split()[0]}")
    table = _csv(head, b"", whole=False)
    table.kind, table.has_end, table.complete = prefix + table.kind, False, False
    return table


def _zipped(path: Path) -> bytes | None:
    """The beginning of the largest file; None of a broken archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            largest = max(archive.infolist(), key=lambda info: info.file_size)
            with archive.open(largest) as file:
                return file.read(_PIECE)
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError):
        return None


def _gunzipped(path: Path) -> bytes | None:
    import gzip

    try:
        with gzip.open(path) as file:
            return file.read(_PIECE)
    except (OSError, zlib.error, EOFError):
        return None


def _csv(head: bytes, tail: bytes, whole: bool) -> _Table:
    lines = _lines(head, cut_end=bool(tail) or not whole)
    header = lines[0] if lines else ""
    separator = max(_SEPARATORS, key=header.count)
    names = [cell.strip(' "\t') for cell in header.split(separator)]
    if len(names) < 2 or header.lstrip().startswith("<"):
        return _Table("HTML" if header.lstrip().startswith("<") else "no table")
    table = _Table(f"CSV with {separator!r}", complete=whole)
    for line in (*lines[1:], *_lines(tail, cut_begin=not whole)):
        cells = [cell.strip(' "\t') for cell in line.split(separator)]
        if len(cells) == len(names):
            _add(table, zip(names, cells, strict=True))
    return table


def _lines(piece: bytes, cut_begin: bool = False, cut_end: bool = False) -> list[str]:
    """Whole lines of a piece of a file."""
    lines = piece.decode("utf-8-sig", "replace").splitlines()
    if cut_end and len(lines) > 1:
        lines = lines[:-1]
    return [line for line in (lines[1:] if cut_begin else lines) if line.strip()]


def _json(path: Path) -> _Table:
    """The largest table of the document: records, or columns of equal length; of joined documents the first."""
    if path.stat().st_size > _LARGEST_JSON:
        return _Table("large JSON", complete=False)
    try:
        body = path.read_bytes()
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = body.decode("latin-1")
        document, _ = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return _Table("broken JSON")
    best = _Table("JSON without a table")
    for table in _json_tables(document):
        best = max(best, table, key=lambda one: one.rows)
    return best


def _json_tables(document: Any) -> Iterator[_Table]:
    if isinstance(document, list):
        table = _Table("JSON records")
        for record in document[:_MOST_ROWS]:
            if isinstance(record, dict):
                _add(table, _flat(record))
        table.complete = table.has_end = len(document) <= _MOST_ROWS
        yield table
    elif isinstance(document, dict):
        lists = {name: column for name, column in document.items() if isinstance(column, list)}
        plain = {name: c for name, c in lists.items() if not any(isinstance(value, dict | list) for value in c[:3])}
        if plain and len({len(column) for column in plain.values()}) == 1 and len(plain) > 1:
            yield _Table("JSON columns", rows=len(next(iter(plain.values()))), values=dict(plain))
        for value in document.values():
            if isinstance(value, dict | list):
                yield from _json_tables(value)


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", "list"
        else:
            yield f"{prefix}{name}", value


def _add(table: _Table, cells: Iterable[tuple[str, Any]]) -> None:
    table.rows += 1
    for name, value in cells:
        table.values.setdefault(name, []).append(value)


def _type_of(values: Sequence[Any]) -> str:
    """The type that nearly all values have, by itself or as a stamp's form; `mixed`, `rare` or `empty` otherwise."""
    kinds = Counter(kind for kind in map(_kind_of, values) if kind is not None)
    if not kinds:
        return "empty"
    if (known := kinds.total()) < _FEW:
        return "rare"
    if kinds[_WHOLE] and len(kinds) > 1:  # 12 beside 12,5
        for decimal in (_POINT, _COMMA):
            if kinds[decimal]:
                kinds[decimal] += kinds.pop(_WHOLE)
                break
    kind, count = kinds.most_common(1)[0]
    return kind if count >= _DOMINANT * known else "mixed"


def _kind_of(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value.strip().lower() in _WORDS_FOR_MISSING):
        return None
    if isinstance(value, bool):
        return "truth value"
    if isinstance(value, int | float):
        unit = _epoch_unit(value)
        return f"stamp in {unit} since 1970" if unit else "number"
    text = str(value).strip()
    if _moment(text) is not None:
        return f"stamp as {re.sub('[0-9]', '9', text).replace('+', '-')}"
    if re.fullmatch(r"-?\d+", text):
        return _WHOLE
    if match := re.fullmatch(r"-?\d*([.,])\d+", text):
        return _POINT if match[1] == "." else _COMMA
    return "text"


def _moment(value: Any) -> float | None:
    """Seconds since 1970 by the clock as written; None for anything but a stamp."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        scale = next(
            (1000.0 if unit == "ms" else 1.0 for unit, (low, high) in _EPOCH.items() if low <= value <= high), 0
        )
        return value / scale if scale else None
    match = next((m for pattern in _STAMPS if (m := pattern.fullmatch(str(value).strip())) is not None), None)
    if match is None:
        return None
    part = {name: int(text or 0) for name, text in match.groupdict().items()}
    midnight_after = part.get("H", 0) == 24
    try:
        hour = 0 if midnight_after else part.get("H", 0)
        moment = datetime(part["Y"], part["m"], part["d"], hour, part.get("M", 0), part.get("S", 0), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() + 86_400 * midnight_after


def _epoch_unit(value: float) -> str | None:
    return next((unit for unit, (low, high) in _EPOCH.items() if low <= value <= high), None)


def _stamps(values: Mapping[str, list[Any]], columns: Mapping[str, ColumnShape], has_end: bool) -> Stamps | None:
    """The column of stamps with the most distinct ones."""
    best: Stamps | None = None
    for name, column in columns.items():
        if not column.type.startswith("stamp"):
            continue
        moments = sorted({moment for value in values[name] if (moment := _moment(value)) is not None})
        gaps = sorted(later - earlier for earlier, later in pairwise(moments))
        step = gaps[len(gaps) // 2] if gaps else None
        if best is None or len(moments) > best.count:
            last = moments[-1] if has_end else None
            best = Stamps(column=name, form=column.type, count=len(moments), step=step, first=moments[0], last=last)
    return best
