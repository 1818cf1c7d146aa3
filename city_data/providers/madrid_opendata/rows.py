"""Madrid's quarter-hour rows, validated one by one.

Belongs here: validity of rows, and their counts. Does not: reading cells (reading.py), sums (station_hours.py),
repeated rows (repeats.py), or the city-hour (hours.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from threading import Lock
from typing import TYPE_CHECKING, Any

from city_data.providers.madrid_opendata.layout import COUNTS, M30, SHARES, URBAN, kind_of
from city_data.providers.madrid_opendata.reading import Column, MonthFile, minute, plain, station
from city_data.providers.shared.city_hours import SPIKE
from city_data.providers.shared.pieces import cached_parts
from city_data.providers.shared.spellings import number_meaning

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Cells = dict[str, NDArray[Any]]

FACES, _QUARTERS = 768, 4  # at least the hours of a month; of an hour
# Reasons to reject a row, in order of precedence, then three for valid rows: integrated with a doubtful sample (E),
# without any mark, and marked as clean by the city.
REASONS = (
    "error_s", "not_a_number", "unreadable", "ambiguous", "negative", "spike", "no_samples",
    "doubtful", "unmarked", "clean",
)  # fmt: skip
VALID = REASONS[-3:]
_ERRORS = {"S": "error_s", "E": "doubtful", "N": "clean"}
# Outcomes of the row's second value: an urban point's `carga` (%), an M30 point's `vmed` (km/h).
OTHERS = ("known", "unreadable", "negative", "implausible")
HIGHEST = {URBAN: ("carga", 100), M30: ("vmed", 200)}
HUNDREDTHS = 100  # readings have two decimals, as integers, whose sums do not depend on order
# Each count is one octal digit of an integer: one sum counts a station-hour's rows by reason, quarter and fate.
_DIGITS = (*REASONS, *(f"quarter_{n}" for n in range(_QUARTERS)), *(f"other_{fate}" for fate in OTHERS))
_DIGIT_BITS = 3
_CACHED = 1 << 14
_MOST_TEXTS = 300_000  # of a column at once; a month has about 3,000


@dataclass(frozen=True)
class Rows:
    """Columns of rows. `key` is (station * 3 + label) * FACES + hour, and 0 for a row outside of this month's
    station-hours. `minute` is local clock time since the month began, `quarter` that of its hour. `reason` is the index
    in REASONS; `flow` is 0 where the row is not valid. `fate` is 1 + the index in OTHERS, and 0 where the row is not
    valid or has no second value; `other` is the second value where it is known, else 0. Readings are in hundredths."""

    key: NDArray[np.uint32]
    minute: NDArray[np.int32]
    quarter: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    flow: NDArray[np.uint32]
    fate: NDArray[np.uint8]
    other: NDArray[np.uint32]

    def __getitem__(self, index: NDArray[Any]) -> Rows:
        return Rows(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether the second value is known."""
        known: NDArray[np.bool_] = self.fate == 1 + OTHERS.index("known")
        return known

    def table(self) -> pl.DataFrame:
        """The rows of this month with `station`, `label` and `hour`. `fate` is the index in OTHERS; it and `other` are
        null where there is no second value, or none that is known."""
        import polars as pl

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        pair, fate = pl.col("key") // FACES, pl.col("fate")
        table = pl.DataFrame({**columns, "known": self.is_known})
        return table.filter(pl.col("key") > 0).select(
            "minute",
            "quarter",
            "reason",
            "flow",
            (pair // 3).cast(pl.Int32).alias("station"),
            (pair % 3).cast(pl.UInt8).alias("label"),
            (pl.col("key") % FACES).cast(pl.Int16).alias("hour"),
            pl.when(fate > 0).then(fate - 1).alias("fate"),
            pl.when(pl.col("known")).then(pl.col("other")).alias("other"),
        )

    def digits(self) -> NDArray[np.uint64]:
        """Each row's counts; see `count`."""
        import numpy as np

        # One look-up a row, by all that is counted, takes a third of the time of one for each.
        counted = (self.reason * _QUARTERS + self.quarter) * (len(OTHERS) + 1) + self.fate
        digits: NDArray[np.uint64] = np.array(_row_digits(), np.uint64)[counted]
        return digits


@cache
def _row_digits() -> list[int]:
    """The digits of one row by reason, quarter and fate."""
    quarters = [bit(f"quarter_{n}") for n in range(_QUARTERS)]
    fates = [0, *(bit(f"other_{fate}") for fate in OTHERS)]
    return [bit(reason) + quarter + fate for reason, quarter, fate in product(REASONS, quarters, fates)]


class Judge:
    """The validity of one month's rows, a piece at a time. Several threads may share it."""

    def __init__(self, file: MonthFile) -> None:
        def start(text: str) -> tuple[int, int, int, int]:
            minutes = minute(text, file)
            return (0, 0, 0, 0) if minutes is None else (1, minutes, minutes // 60, minutes % 60 // 15)

        self._id = file.layout.id_column
        self._start = _Meanings(start, "in_month:u1,minute:i4,hour:u4,quarter:u1")
        self._station = _Meanings(lambda text: (station(text) or 0,), "number:u4")
        self._label = _Meanings(lambda text: (kind_of(text),), "kind:u1")
        self._error = _Meanings(lambda text: (_error(text),), "reason:u1")
        self._flow = _Meanings(_flow, "reason:u1,hundredths:u4")
        self._samples = _Meanings(lambda text: (_samples(text),), "reason:u1")
        self._others = {
            kind: (column, _Meanings(_other(kind), "fate:u1,hundredths:u4")) for kind, (column, _) in HIGHEST.items()
        }

    def rows(self, cells: dict[str, Column]) -> Rows:
        import numpy as np

        start, stations = self._start.read(cells["fecha"]), self._station.read(cells[self._id])["number"]
        label, flow = self._label.read(cells["tipo_elem"])["kind"], self._flow.read(cells["intensidad"])
        reason = np.minimum(flow["reason"], self._error.read(cells["error"])["reason"])
        if "periodo_integracion" in cells:
            reason = np.minimum(reason, self._samples.read(cells["periodo_integracion"])["reason"])
        valid = reason >= REASONS.index(VALID[0])
        fate, other = np.zeros(len(reason), np.uint8), np.zeros(len(reason), np.uint32)
        for kind, (column, meanings) in self._others.items():
            if column in cells:
                read, own = meanings.read(cells[column]), valid & (label == kind)
                np.copyto(fate, read["fate"], where=own)
                np.copyto(other, read["hundredths"], where=own)
        key = (stations * 3 + label) * FACES + start["hour"]
        key *= start["in_month"] & (stations > 0)
        return Rows(key, start["minute"], start["quarter"], reason, flow["hundredths"] * valid, fate, other)


class _Meanings:
    """The meanings of a column's texts, each parsed once."""

    def __init__(self, meaning: Callable[[str], tuple[float, ...]], fields: str) -> None:
        import numpy as np

        self._meaning, self._lock = meaning, Lock()
        self._kind = np.dtype([(name, kind) for name, kind in (field.split(":") for field in fields.split(","))])
        self._forget()

    def _forget(self) -> None:
        import numpy as np
        import pyarrow as pa

        self._texts = pa.array([], pa.binary())
        self._table = np.zeros(0, self._kind)

    def read(self, column: Column) -> Cells:
        """The column's cells by field."""
        import numpy as np
        import pyarrow as pa
        from pyarrow import compute

        with self._lock:
            if len(self._texts) > _MOST_TEXTS:
                self._forget()
            fresh = column.texts.filter(compute.invert(compute.is_in(column.texts, value_set=self._texts)))
            if len(fresh):
                parsed = [self._meaning(plain(text)) for text in fresh.to_pylist()]
                self._table = np.concatenate([self._table, np.array(parsed, self._kind)])
                self._texts = pa.concat_arrays([self._texts, fresh])
            table = self._table[compute.index_in(column.texts, value_set=self._texts).to_numpy()]
        codes = pa.array(column.codes)  # Arrow takes a third of NumPy's time for these short look-ups
        fields = ((name, pa.array(np.ascontiguousarray(table[name]))) for name in self._kind.names or ())
        return {name: compute.take(values, codes, boundscheck=False).to_numpy() for name, values in fields}


def _error(text: str) -> int:
    return REASONS.index(_ERRORS.get(text.upper(), "unmarked"))


def _flow(text: str) -> tuple[int, int]:
    """The first reason against a reading, else the last of all reasons; and its hundredths."""
    number = number_meaning(COUNTS)(text)
    why = (
        "not_a_number" if number is None
        else "unreadable" if math.isnan(number)
        else "ambiguous" if math.isinf(number)
        else "negative" if number < 0
        else "spike" if number > SPIKE
        else None
    )  # fmt: skip
    return (len(REASONS) - 1, _hundredths(number)) if number is not None and why is None else (REASONS.index(why), 0)


def _samples(text: str) -> int:
    number = number_meaning(SHARES)(text)
    return len(REASONS) - 1 if number is None or number >= 1 else REASONS.index("no_samples")


def _other(kind: int) -> Callable[[str], tuple[int, int]]:
    """The fate and the hundredths of a text in the second column of a kind of road."""

    def meaning(text: str) -> tuple[int, int]:
        number = number_meaning(SHARES)(text)
        # A speed of 0 is missing: points without a speed sensor have it in all rows.
        if number is None or (kind == M30 and number == 0):
            return 0, 0
        fate = (
            "unreadable" if math.isnan(number)
            else "negative" if number < 0
            else "implausible" if number > HIGHEST[kind][1]
            else "known"
        )  # fmt: skip
        return 1 + OTHERS.index(fate), _hundredths(number) if fate == "known" else 0

    return meaning


def _hundredths(number: float) -> int:
    return math.floor(number * HUNDREDTHS + 0.5)


def count(digits: NDArray[np.uint64], *names: str) -> NDArray[np.uint64]:
    """The number of rows of each station-hour (of at most 7 rows) that are counted under any of `names`."""
    import numpy as np

    bits = [np.uint64(_DIGIT_BITS * _DIGITS.index(name)) for name in names]
    digit = [(digits >> bit) & np.uint64(2**_DIGIT_BITS - 1) for bit in bits]
    counted: NDArray[np.uint64] = sum(digit[1:], start=digit[0])
    return counted


def totals(digits: NDArray[np.uint64], names: Iterable[str]) -> dict[str, int]:
    """The number of rows that are counted under each of `names`, in all station-hours."""
    parts = list(cached_parts(digits, _CACHED))
    return {name: sum(int(count(part, name).sum()) for part in parts) for name in names}


def others_mask() -> int:
    """The bits of the counts of second values."""
    return sum((2**_DIGIT_BITS - 1) << (_DIGIT_BITS * _DIGITS.index(f"other_{fate}")) for fate in OTHERS)


def bit(name: str) -> int:
    """The digit of one row counted under `name`."""
    return 1 << (_DIGIT_BITS * _DIGITS.index(name))
