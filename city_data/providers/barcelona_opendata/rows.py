"""Rows of Barcelona's monthly state files: header, stamps, and every row's reason to be left out.

Belongs here: the CSV. Does not: what an hour is made of (hours.py), or where files come from
(barcelona_opendata.py). The columns and codes are those of the city's page of the dataset `trams`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.base import PermanentError
from city_data.window import Month

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

STATES = ("no_data", "very_fluid", "fluid", "dense", "very_dense", "congested", "closed")
NO_DATA, CLOSED = 0, 6
NEEDED = ("idTram", "data", "estatActual")
OPTIONAL = ("estatPrevist",)  # a forecast, which is no history
HEAD_BYTES, TAIL_BYTES = 4_000, 400
_MOST_SEGMENTS = 1_000_000  # the largest identifier was 540; other files of the city count from 10,001
_STAMP_DIGITS = 14
REASONS = ("kept", "no_segment", "not_a_time", "outside_month", "not_a_state")


@dataclass(frozen=True)
class StateFile:
    """One month's CSV and its columns."""

    month: Month
    path: Path
    columns: tuple[str, ...]
    quote: bool

    @property
    def unknown(self) -> list[str]:
        return [name for name in self.columns if name not in (*NEEDED, *OPTIONAL)]


@dataclass(frozen=True)
class Rows:
    """The month's rows in the file's order: `segment`, `face` (seconds since the month began, on the clock's face) and
    `state`, 0 to 6; rows left out, by reason; and how many there were in all."""

    segment: NDArray[np.int32]
    face: NDArray[np.int32]
    state: NDArray[np.int8]
    rejected: dict[str, int]
    total: int

    @property
    def states(self) -> dict[str, int]:
        """How many rows say what."""
        import numpy as np

        return dict(zip(STATES, np.bincount(self.state, minlength=len(STATES)).tolist(), strict=True))

    @property
    def known(self) -> int:
        """Rows that say more than that there is no data."""
        return int((self.state != NO_DATA).sum())


def open_month(path: Path, month: Month) -> StateFile:
    """Look at the header and the end. Raises PermanentError for an unknown layout, or a last row that breaks off."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("latin-1").removeprefix("ï»¿")
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        tail = file.read().decode("latin-1")
    lines = head.splitlines() or [""]
    columns = tuple(_cells(lines[0]))
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise PermanentError(f"the CSV lacks {', '.join(missing)}; it begins {lines[0][:200]!r}")
    if len(lines) > 1:
        last = tail.splitlines()[-1]
        cells = _cells(last)
        if len(cells) != len(columns) or len(cells[columns.index("data")]) != _STAMP_DIGITS:
            raise PermanentError(f"the CSV breaks off: its last row is {last!r}")
    return StateFile(month, path, columns, '"' in head)


def read(file: StateFile) -> Rows:
    """Every row, once. Raises PermanentError for bytes that are no CSV, and where most rows are of another month."""
    import polars as pl

    with _readable(file):
        table = _rows(file).collect(engine="streaming")
    codes = table["reason"].to_numpy()
    reasons = {name: int((codes == code).sum()) for code, name in enumerate(REASONS)}
    kept = table.filter(pl.col("reason") == 0)
    rejected = {name: count for name, count in reasons.items() if count and name != "kept"}
    elsewhere = reasons["outside_month"] + reasons["not_a_time"]
    if elsewhere > len(table) / 2:
        raise PermanentError(
            f"{file.path.name} is not of the month: of {len(table):,} rows {elsewhere:,} have other dates, or none; "
            f"rejected: {rejected}"
        )
    segment, face, state = (kept[name].to_numpy() for name in ("segment", "face", "state"))
    return Rows(segment, face, state, rejected, len(table))


@contextmanager
def _readable(file: StateFile) -> Iterator[None]:
    import polars as pl

    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise PermanentError(f"{file.path.name} cannot be read: {str(error).splitlines()[0]}") from error


def _cells(line: str) -> list[str]:
    return [cell.strip().strip('"').strip() for cell in line.split(",")]


def _rows(file: StateFile) -> pl.LazyFrame:
    import polars as pl

    text = pl.scan_csv(
        file.path,
        schema=dict.fromkeys(file.columns, pl.String),
        quote_char='"' if file.quote else None,
        encoding="utf8-lossy",
    )

    def whole(name: str) -> pl.Expr:
        """Identifiers carry blanks in some years."""
        return pl.col(name).str.strip_chars()

    segment = whole("idTram").cast(pl.Int64, strict=False)
    stamp = whole("data")
    number = pl.when(stamp.str.len_bytes() == _STAMP_DIGITS).then(stamp.cast(pl.Int64, strict=False))
    day, hour = number // 1_000_000 % 100, number // 10_000 % 100
    minute, second = number // 100 % 100, number % 100
    real = day.is_between(1, 31) & (hour < 24) & (minute < 60) & (second < 60)
    month = number // 100_000_000
    inside = (month == file.month.year * 100 + file.month.month) & (day <= file.month.last_day.day)
    state = whole("estatActual").cast(pl.Int64, strict=False)
    reason = (
        pl.when(~segment.is_between(1, _MOST_SEGMENTS).fill_null(False))
        .then(1)
        .when(~real.fill_null(False))
        .then(2)
        .when(~inside)
        .then(3)
        .when(~state.is_between(0, len(STATES) - 1).fill_null(False))
        .then(4)
        .otherwise(0)
    )
    face = ((day - 1) * 24 + hour) * 3600 + minute * 60 + second
    return text.select(
        segment.cast(pl.Int32, strict=False).alias("segment"),
        face.cast(pl.Int32, strict=False).alias("face"),
        state.cast(pl.Int8, strict=False).alias("state"),
        reason.cast(pl.UInt8).alias("reason"),
    )
