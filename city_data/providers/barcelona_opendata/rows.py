"""Rows of Barcelona's monthly state files: header, stamps, and the reason of every rejected row.

Belongs here: the CSV. Does not: city-hours (hours.py), or downloads (`__init__`). The columns and codes are those of
the city's page of the dataset `trams`.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.base import PermanentError
from city_data.providers.shared.numbers import NumberFormat
from city_data.providers.shared.spellings import DECORATION
from city_data.window import Month

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

STATES = ("no_data", "very_fluid", "fluid", "dense", "very_dense", "congested", "closed")
NO_DATA, CLOSED = 0, 6
NEEDED = ("idTram", "data", "estatActual")
OPTIONAL = ("estatPrevist",)  # a forecast, not history
HEAD_BYTES, TAIL_BYTES = 4_000, 1_000
_FOOTER_LINES = 3
_MOST_SEGMENTS = 1_000_000  # the largest identifier was 540; other files of the city count from 10,001
_PLAIN = r"[0-9]{14}|[0-9]{12}"
_SPELLED = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
STAMP = rf"(?:{_PLAIN}|{_SPELLED})(?:\.0+)?"  # without seconds the minute begins
_HABIT = 3  # fewer spoilt cells than this are an accident
_CODES = NumberFormat(counts=True)
REASONS = ("used", "too_many_fields", "no_segment", "not_a_time", "other_month", "not_a_state")
_SURPLUS = "beyond the header"


@dataclass(frozen=True)
class StateFile:
    """One month's CSV and its columns, known ones in the city's spelling."""

    month: Month
    path: Path
    columns: tuple[str, ...]

    @property
    def unknown(self) -> list[str]:
        return [name for name in self.columns if name not in (*NEEDED, *OPTIONAL)]

    @property
    def positions(self) -> list[str]:
        """A unique name for each column, by which the file is read, and for one more."""
        named = [name if name in NEEDED else f"{position}:{name}" for position, name in enumerate(self.columns)]
        return [*named, _SURPLUS]


@dataclass(frozen=True)
class Rows:
    """The month's rows in the file's order: `segment`, `face` (local clock time in seconds since the month began) and
    `state`, 0 to 6; counts of rejected rows by reason; and the total."""

    segment: NDArray[np.int32]
    face: NDArray[np.int32]
    state: NDArray[np.int8]
    rejected: dict[str, int]
    total: int

    @property
    def states(self) -> dict[str, int]:
        """The number of rows by state."""
        import numpy as np

        return dict(zip(STATES, np.bincount(self.state, minlength=len(STATES)).tolist(), strict=True))

    @property
    def known(self) -> int:
        """The number of rows with a state other than `no_data`."""
        return int((self.state != NO_DATA).sum())


def open_month(path: Path, month: Month) -> StateFile:
    """Check the header and the end. Raises PermanentError for an unknown layout, or a truncated last row."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("latin-1").removeprefix("ï»¿")
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read().decode("latin-1")
    lines = head.splitlines() or [""]
    spelled = {name.lower(): name for name in (*NEEDED, *OPTIONAL)}
    columns = tuple(spelled.get(cell.lower(), cell) for cell in _cells(lines[0]))
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise PermanentError(f"the CSV lacks {', '.join(missing)}; it begins {lines[0][:200]!r}")
    if twice := [name for name in NEEDED if columns.count(name) > 1]:
        raise PermanentError(f"the CSV has {', '.join(twice)} more than once")
    if len(lines) > 1:
        _refuse_cut(tail, columns)
    return StateFile(month, path, columns)


def _refuse_cut(tail: str, columns: Sequence[str]) -> None:
    """Raises PermanentError for a truncated last row. Blank lines and a footer may follow it."""
    rows = [cells for line in tail.splitlines() if any(cells := _cells(line))]
    for _ in range(_FOOTER_LINES):
        if rows and rows[-1][0].strip("0123456789."):
            rows.pop()
    last = rows[-1] if rows else []
    is_cut = len(last) == len(columns) and not re.fullmatch(STAMP, last[columns.index("data")])
    if 0 < len(last) < len(columns) or (is_cut and columns[-1] == "data"):
        raise PermanentError(f"the CSV is truncated: its last row is {','.join(last)!r}")


def read(file: StateFile) -> Rows:
    """All rows of the file, read in one pass.

    Raises PermanentError for bytes that are not CSV, and if most rows are of another month, have more fields than the
    header, or have an unreadable segment or state.
    """
    import polars as pl

    with _readable(file):
        table = _rows(file).collect(engine="streaming")
    codes = table["reason"].to_numpy()
    reasons = {name: int((codes == code).sum()) for code, name in enumerate(REASONS)}
    used = table.filter(pl.col("reason") == 0)
    rejected = {name: count for name, count in reasons.items() if count and name != "used"}
    elsewhere = reasons["other_month"] + reasons["not_a_time"]
    if elsewhere > len(table) / 2:
        raise PermanentError(
            f"{file.path.name} is not of the month: of {len(table):,} rows {elsewhere:,} have other dates, or none; "
            f"rejected: {rejected}"
        )
    _refuse_habit(file, table, "too_many_fields", _SURPLUS)
    _refuse_habit(file, table, "no_segment", "idTram")
    _refuse_habit(file, table, "not_a_state", "estatActual")
    segment, face, state = (used[name].to_numpy() for name in ("segment", "face", "state"))
    return Rows(segment, face, state, rejected, len(table))


def _refuse_habit(file: StateFile, table: pl.DataFrame, reason: str, column: str) -> None:
    """Raises PermanentError if most cells of a column are unreadable: its format has changed."""
    import polars as pl

    line = table.with_row_index("line", 2).filter((pl.col("reason") == REASONS.index(reason)) & (pl.col(column) != ""))
    good = int((table["reason"] == 0).sum())
    if len(line) > good and (len(line) >= _HABIT or not good):
        number, text = line.select("line", column).row(0)
        fault = f"cells of {column!r} cannot be read"
        fault = "rows have more fields than the header" if column == _SURPLUS else fault
        raise PermanentError(
            f"{file.path.name}: {len(line):,} of {len(line) + good:,} {fault}, such as {text[:40]!r} in line {number}"
        )


@contextmanager
def _readable(file: StateFile) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise PermanentError(f"{file.path.name} cannot be read: {str(error).splitlines()[0]}") from error


def _cells(line: str) -> list[str]:
    return [cell.strip(DECORATION) for cell in line.split(",")]


def _rows(file: StateFile) -> pl.LazyFrame:
    import polars as pl

    # A line at a time: Polars would refuse a file for one row of more fields, or for a first row of fewer.
    lines = pl.scan_csv(
        _without_nul(file.path),
        separator="\0",
        schema={"line": pl.String},
        has_header=False,
        skip_rows=1,
        truncate_ragged_lines=True,
        quote_char=None,  # no more than decoration here: a stray one must not join lines
        encoding="utf8-lossy",
    )
    cells = pl.col("line").str.splitn(",", len(file.positions)).struct.rename_fields(file.positions)
    text = lines.select(cells.alias("cells")).unnest("cells")
    text = text.select(pl.col(name).str.strip_chars(DECORATION) for name in (*NEEDED, _SURPLUS))
    segment, stamp, state = _whole("idTram"), pl.col("data"), _whole("estatActual")
    digits = stamp.str.replace(r"\.0+\z", "").str.replace_all(r"[-: T]", "").str.pad_end(14, "0")
    number = pl.when(stamp.str.contains(rf"\A(?:{STAMP})\z")).then(digits.cast(pl.Int64, strict=False))
    day, hour = number // 1_000_000 % 100, number // 10_000 % 100
    minute, second = number // 100 % 100, number % 100
    real = day.is_between(1, 31) & (hour < 24) & (minute < 60) & (second < 60)
    month = number // 100_000_000
    inside = (month == file.month.year * 100 + file.month.month) & (day <= file.month.last_day.day)
    reason = (
        pl.when((pl.col(_SURPLUS).str.strip_chars(DECORATION + ",") != "").fill_null(False))
        .then(1)
        .when(~segment.is_between(1, _MOST_SEGMENTS).fill_null(False))
        .then(2)
        .when(~real.fill_null(False))
        .then(3)
        .when(~inside)
        .then(4)
        .when(~state.is_between(0, len(STATES) - 1).fill_null(False))
        .then(5)
        .otherwise(0)
    )
    face = ((day - 1) * 24 + hour) * 3600 + minute * 60 + second
    return text.select(
        "idTram",
        "estatActual",
        _SURPLUS,
        segment.cast(pl.Int32, strict=False).alias("segment"),
        face.cast(pl.Int32, strict=False).alias("face"),
        state.cast(pl.Int8, strict=False).alias("state"),
        reason.cast(pl.UInt8).alias("reason"),
    )


def _without_nul(path: Path) -> Path | bytes:
    """The file, or its bytes with the mark of an unreadable one for each NUL, where a line would end."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        return path if body.find(b"\0") < 0 else body[:].replace(b"\0", "\ufffd".encode())


def _whole(name: str) -> pl.Expr:
    """A column's whole numbers, also if written as `2.0`."""
    import polars as pl

    number = _CODES.values(pl.col(name))
    return pl.when(number == number.floor()).then(number)
