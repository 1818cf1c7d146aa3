"""Madrid's quarter-hour rows, of every layout since 2015, summed to station-hours as they stream by.

Belongs here: the CSV's layouts, which rows are valid. Does not: the ZIP (zip.py), the city-hour made of
station-hours (hours.py), or where files come from (madrid_opendata.py).
The columns are those of the city's description of December 2015; their names, order, separator, quoting and spellings
have changed since, so files are read by header.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from city_data.providers.base import PermanentError
from city_data.providers.madrid_opendata.zip import as_gzip, look_into, readable
from city_data.providers.shared.city_hours import SPIKE
from city_data.window import Month

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

NEEDED = ("fecha", "tipo_elem", "intensidad", "error")
OPTIONAL = ("ocupacion", "carga", "vmed", "periodo_integracion", "identif", "tipo")
_IDS = ("id", "idelem")
# One count a hexadecimal digit of one integer, so that a station-hour's rows are counted by reason in a single sum. The
# last three are valid: by the city's own mark clean, integrated with a doubtful sample (E), and without any mark.
REASONS = ("error_s", "not_a_number", "negative", "spike", "no_samples", "doubtful", "unmarked", "clean")
VALID = REASONS[-3:]
_DIGIT = 4
_FACES = 768  # at least the hours of a month
_MOST_STATIONS = 1_000_000  # keeps a group's key within 32 bits; the largest identifier was 11,000
_ISO = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}")
_SLASHED = re.compile(r"(\d{2})/(\d{2})/\d{4} \d{1,2}:\d{2}(:\d{2})?")


@dataclass(frozen=True)
class Layout:
    """How one file is written. `slashed` dates are dd/mm/yyyy."""

    columns: tuple[str, ...]
    separator: str
    quote: bool
    slashed: bool

    @property
    def id_column(self) -> str:
        return next(name for name in _IDS if name in self.columns)

    @property
    def unknown(self) -> list[str]:
        return [name for name in self.columns if name not in (*_IDS, *NEEDED, *OPTIONAL)]


@dataclass(frozen=True)
class MonthFile:
    """One month's CSV in its ZIP, and its layout. `bytes` is the CSV's size."""

    month: Month
    path: Path
    info: zipfile.ZipInfo
    layout: Layout

    @property
    def bytes(self) -> int:
        return self.info.file_size


def open_month(path: Path, month: Month) -> MonthFile:
    """Look into the ZIP and at the first rows.

    Raises PermanentError for what is no ZIP of exactly this month's CSV, for a bomb, and for an unknown layout.
    """
    info, head = look_into(path, month)
    return MonthFile(month, path, info, _layout(head))


@contextmanager
def _scanning(file: MonthFile) -> Iterator[pl.LazyFrame]:
    """The file's rows, to be collected in this context. Raises PermanentError where its bytes turn out to be spoilt."""
    import polars as pl

    with readable(file.path):
        try:
            yield _rows(file)
        except pl.exceptions.PolarsError as error:
            raise PermanentError(f"{file.info.filename} cannot be read: {str(error).splitlines()[0]}") from error


def _layout(head: bytes) -> Layout:
    lines = head.decode("latin-1").lstrip("ï»¿").splitlines()
    if len(lines) < 2:
        raise PermanentError(f"the CSV has no rows; it begins {head[:80]!r}")
    separator = ";" if ";" in lines[0] else ","
    columns = tuple(_cells(lines[0], separator))
    missing = [name for name in NEEDED if name not in columns]
    if not any(name in columns for name in _IDS):
        missing.insert(0, "id")
    if missing:
        raise PermanentError(f"the CSV lacks {', '.join(missing)}; it has {', '.join(columns)[:300]}")
    position = columns.index("fecha")
    rows = [_cells(line, separator) for line in lines[1:-1] or lines[1:]]
    dates = [row[position] for row in rows if len(row) > position]
    return Layout(columns, separator, '"' in head.decode("latin-1"), _slashed(dates))


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(separator)]


def _slashed(dates: list[str]) -> bool:
    """Whether dates are dd/mm/yyyy. Refuses a mixture, and a first half above 12 in what would be the month."""
    if dates and all(_ISO.fullmatch(text) for text in dates):
        return False
    found = [_SLASHED.fullmatch(text) for text in dates]
    odd = next((text for text, match in zip(dates, found, strict=True) if match is None), None)
    if odd is not None or not found:
        raise PermanentError(f"`fecha` is neither YYYY-MM-DD HH:MM:SS nor dd/mm/yyyy: {odd!r}")
    if any(match and int(match[2]) > 12 for match in found):
        raise PermanentError(f"`fecha` is ambiguous: {dates[0]!r} could be month first")
    return True


def station_hours(file: MonthFile) -> tuple[pl.DataFrame, int]:
    """One row a station and local hour: `station`, `hour` (hours since the month began, on the clock's face), `m30`,
    `rows`, `reasons` (see REASONS), `flow` (sum over valid quarters, vehicles/h), and `weight` and `weighted`, sums of
    flow and of flow times carga (urban, %) or times vmed (M30, km/h) where that is known.

    And the number of rows that are of no station-hour of this month: other dates, or what is no date or no number."""
    with _scanning(file) as rows:
        return _summed(rows)


def ordered_rows(file: MonthFile, hours: list[int]) -> pl.DataFrame:
    """The rows of a few local hours in the file's order, each with its `stamp` text: for what needs more than sums."""
    import polars as pl

    with _scanning(file) as rows:
        placed = pl.col("hour").is_in(hours) & pl.col("station").is_not_null()
        return rows.filter(placed).collect(engine="streaming")


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """`station_hours` of rows that are at hand."""
    return _summed(rows.lazy())[0]


def count(reasons: NDArray[np.uint32], *names: str) -> NDArray[np.uint32]:
    """How many rows of each station-hour fell under any of some reasons. Of a station-hour of at most 15 rows."""
    digits = [(reasons >> (_DIGIT * REASONS.index(name))) & (2**_DIGIT - 1) for name in names]
    counted: NDArray[np.uint32] = sum(digits[1:], start=digits[0])
    return counted


def _summed(rows: pl.LazyFrame) -> tuple[pl.DataFrame, int]:
    """Grouped by one integer, which takes 110 MB less than grouping by its three parts."""
    import polars as pl

    key = (pl.col("station") * _FACES + pl.col("hour")) * 2 + pl.col("m30").cast(pl.Int32)
    sums = (
        rows.group_by(key.alias("key"))
        .agg(
            pl.len().alias("rows"),
            pl.col("reason").sum().alias("reasons"),
            pl.col("flow").sum(),
            pl.col("weight").sum(),
            (pl.col("weight") * pl.col("other")).sum().alias("weighted"),
        )
        .collect(engine="streaming")
    )
    placeless = int(sums.filter(pl.col("key").is_null())["rows"].sum())
    parts = sums.filter(pl.col("key").is_not_null()).select(
        (pl.col("key") // (2 * _FACES)).alias("station"),
        (pl.col("key") // 2 % _FACES).cast(pl.Int16).alias("hour"),
        (pl.col("key") % 2 == 1).alias("m30"),
        "rows",
        "reasons",
        "flow",
        "weight",
        "weighted",
    )
    return parts, placeless


def _rows(file: MonthFile) -> pl.LazyFrame:
    import polars as pl

    layout = file.layout
    numbers = dict.fromkeys(("intensidad", "carga", "vmed", "periodo_integracion"), pl.Float32)
    types = {**numbers, **dict.fromkeys(_IDS, pl.Int32)}
    frame = pl.scan_csv(
        as_gzip(file.path, file.info),
        separator=layout.separator,
        quote_char='"' if layout.quote else None,
        encoding="utf8-lossy",
        schema_overrides={name: types.get(name, pl.String) for name in layout.columns},
        infer_schema=False,
        ignore_errors=True,  # text where a number should be comes out null, and is counted as such
    )
    stamp, month = pl.col("fecha"), file.month
    if layout.slashed:
        day, of = stamp.str.slice(0, 2), pl.concat_str(stamp.str.slice(6, 4), pl.lit("-"), stamp.str.slice(3, 2))
    else:
        day, of = stamp.str.slice(8, 2), stamp.str.slice(0, 7)
    clock = stamp.str.slice(11, 2).str.strip_chars(": ")
    hour = (day.cast(pl.Int32, strict=False) - 1) * 24 + clock.cast(pl.Int32, strict=False)
    hour = pl.when((of == str(month)) & hour.is_between(0, _FACES - 1)).then(hour)
    # In late 2017 rows of many points were written with the id 0, which is none.
    station = pl.col(layout.id_column)
    station = pl.when(station.is_between(1, _MOST_STATIONS)).then(station)
    # `M30`, `PUNTOS MEDIDA M-30`, and 494 in the first half of 2015; the rest is urban.
    m30 = pl.col("tipo_elem").str.contains("30", literal=True) | (pl.col("tipo_elem") == "494")
    m30 = m30.fill_null(False)
    flow = pl.col("intensidad")
    samples = pl.col("periodo_integracion") if "periodo_integracion" in layout.columns else pl.lit(1)

    def bit(name: str) -> pl.Expr:
        return pl.lit(1 << (_DIGIT * REASONS.index(name)), pl.UInt32)

    reason = (
        pl.when(pl.col("error") == "S")
        .then(bit("error_s"))
        .when(flow.is_null() | flow.is_nan())
        .then(bit("not_a_number"))
        .when(flow < 0)
        .then(bit("negative"))
        .when(flow > SPIKE)
        .then(bit("spike"))
        .when(samples.fill_null(1) < 1)
        .then(bit("no_samples"))
        .when(pl.col("error") == "N")
        .then(bit("clean"))
        .when(pl.col("error") == "E")
        .then(bit("doubtful"))
        .otherwise(bit("unmarked"))
    )
    zero = pl.lit(0, pl.Float32)
    load = pl.col("carga") if "carga" in layout.columns else pl.lit(None, pl.Float32)
    speed = pl.col("vmed") if "vmed" in layout.columns else pl.lit(None, pl.Float32)
    other = pl.when(m30).then(pl.when(speed > 0).then(speed)).otherwise(pl.when(load.is_between(0, 100)).then(load))
    valid = pl.col("reason") >= bit(VALID[0])
    return (
        frame.select(
            station.alias("station"),
            stamp.alias("stamp"),
            hour.alias("hour"),
            m30.alias("m30"),
            reason.alias("reason"),
            flow.alias("raw_flow"),
            other.fill_nan(None).alias("other"),
        )
        .with_columns(pl.when(valid).then(pl.col("raw_flow")).otherwise(zero).alias("flow"))
        .with_columns(pl.when(pl.col("other").is_not_null()).then(pl.col("flow")).otherwise(zero).alias("weight"))
        .with_columns(pl.col("other").fill_null(0))
        .drop("raw_flow")
    )
