"""Madrid's quarter-hour rows, judged one by one and summed to station-hours as they stream by.

Belongs here: which rows are valid, and what is counted of them. Does not: what a cell says
(reading.py), rows of one quarter that stand more than once (repeats.py), or the city-hour (hours.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from city_data.providers.errors import PermanentError
from city_data.providers.madrid_opendata.layout import M30, URBAN
from city_data.providers.madrid_opendata.reading import ERRORS, FACES, MonthFile, cells
from city_data.providers.madrid_opendata.zip import readable
from city_data.providers.shared.city_hours import SPIKE

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# Why a row is left out; the last three are valid: integrated with a doubtful sample (E), without any mark, and by the
# city's own mark clean.
REASONS = (
    "error_s", "not_a_number", "unreadable", "ambiguous", "negative", "spike", "no_samples",
    "doubtful", "unmarked", "clean",
)  # fmt: skip
VALID = REASONS[-3:]
# What became of the row's second value: an urban point's `carga` (%), an M30 point's `vmed` (km/h).
OTHERS = ("known", "unreadable", "negative", "implausible")
HIGHEST = {URBAN: ("carga", 100), M30: ("vmed", 200)}
# One digit a count, of one integer: a station-hour's rows are counted by reason, quarter and fate in a single sum.
_DIGITS = (*REASONS, *(f"quarter_{n}" for n in range(4)), *(f"other_{fate}" for fate in OTHERS))
_DIGIT_BITS = 3
HUNDREDTHS = 100  # readings are kept to two decimals, as integers, whose sums hang on no order


def station_hours(file: MonthFile) -> tuple[pl.DataFrame, int]:
    """One row a station, local hour and kind that rows are labelled with: `station`, `hour` (hours since the month
    began, on the clock's face), `label`, `rows`, `digits` (see `count`), `flow` (sum over valid quarters, hundredths of
    vehicles/h), and `weight` and `weighted`, sums of flow and of flow times the second value where that is known.

    And the number of rows that are of no station-hour of this month: other dates, or what is no date or no number.
    Where a station-hour has more than 7 rows its counts mean nothing: such hours are resolved from their rows.
    """
    import polars as pl

    with scanning(file) as rows:
        sums = summed(rows, ["key"]).collect(engine="streaming")
    key, placeless = pl.col("key"), 0
    if sums["key"].has_nulls():
        placeless = int(sums.filter(key.is_null())["rows"].sum())
        sums = sums.filter(key.is_not_null())
    parts = sums.select(
        station=(key // (3 * FACES)).cast(pl.Int32),
        hour=(key // 3 % FACES).cast(pl.Int16),
        label=(key % 3).cast(pl.UInt8),
        rows="rows",
        digits="digits",
        flow="flow",
        weight="weight",
        weighted="weighted",
    )
    return parts, placeless


def summed(rows: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    """Rows' sums. Grouped by one integer, which takes 110 MB less than grouping by its parts."""
    import polars as pl

    other = pl.col("other").fill_null(0).cast(pl.Float64)
    return rows.group_by(by).agg(
        pl.len().alias("rows"),
        pl.col("digits").sum(),
        pl.col("flow").sum(),
        pl.col("flow").filter(pl.col("other").is_not_null()).sum().alias("weight"),
        (pl.col("flow").cast(pl.Float64) * other).sum().alias("weighted"),
    )


def count(digits: NDArray[np.uint64], *names: str) -> NDArray[np.uint64]:
    """How many rows of each station-hour are counted under any of some names. Of a station-hour of at most 7 rows."""
    import numpy as np

    bits = [np.uint64(_DIGIT_BITS * _DIGITS.index(name)) for name in names]
    digit = [(digits >> bit) & np.uint64(2**_DIGIT_BITS - 1) for bit in bits]
    counted: NDArray[np.uint64] = sum(digit[1:], start=digit[0])
    return counted


def others_mask() -> int:
    """The bits of the counts that are of second values."""
    return sum((2**_DIGIT_BITS - 1) << (_DIGIT_BITS * _DIGITS.index(f"other_{fate}")) for fate in OTHERS)


def bit(name: str) -> pl.Expr:
    """A row that is counted once under `name`."""
    import polars as pl

    return pl.lit(1 << (_DIGIT_BITS * _DIGITS.index(name)), pl.UInt64)


@contextmanager
def scanning(file: MonthFile) -> Iterator[pl.LazyFrame]:
    """The file's rows, to be collected in this context: `key` of station, hour and label (null where a row has no
    place in the month), `station`, `hour` and `minute` since the month began, `label`, `flow` (0 where the row is not
    valid), `other` (known and plausible), both in hundredths, and `digits`.

    Raises PermanentError where its bytes turn out to be spoilt.
    """
    import polars as pl

    with readable(file.path):
        try:
            yield _judged(cells(file))
        except pl.exceptions.PolarsError as error:
            raise PermanentError(f"{file.info.filename} cannot be read: {str(error).splitlines()[0]}") from error


def _judged(rows: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    minute, valid = pl.col("minute"), pl.col("reason") >= 1 << (_DIGIT_BITS * _DIGITS.index(VALID[0]))
    other, fate = _other()
    quarter = minute % 60 // 15
    first, second, third, fourth = (bit(f"quarter_{n}") for n in range(4))
    quarters = pl.when(quarter == 0).then(first).when(quarter == 1).then(second).when(quarter == 2).then(third)
    return (
        rows.with_columns(reason=_reason(), second=other, hour=minute // 60)
        .with_columns(
            key=((pl.col("station") * FACES + pl.col("hour")) * 3 + pl.col("label")).cast(pl.UInt32),
            flow=pl.when(valid).then(_hundredths("intensidad")).otherwise(0).cast(pl.UInt32),
            other=pl.when(valid).then(_hundredths("second")).cast(pl.UInt32),
            digits=pl.col("reason") + quarters.otherwise(fourth) + pl.when(valid).then(fate).otherwise(0),
        )
        .select("key", "station", "hour", "minute", "label", "flow", "other", "digits")
    )


def _hundredths(name: str) -> pl.Expr:
    import polars as pl

    return (pl.col(name) * HUNDREDTHS + 0.5).floor()


def _reason() -> pl.Expr:
    """The digit of the first reason that holds."""
    import polars as pl

    error, flow, samples = pl.col("error"), pl.col("intensidad"), pl.col("periodo_integracion")
    whys = {
        "error_s": error == ERRORS.index("S"),
        "not_a_number": flow.is_null(),
        "unreadable": flow.is_nan(),
        "ambiguous": flow.is_infinite(),
        "negative": flow < 0,
        "spike": flow > SPIKE,
        "no_samples": samples.is_nan() | (samples < 1),
        "doubtful": error == ERRORS.index("E"),
        "unmarked": error == len(ERRORS),
    }
    reason = bit("clean")
    for name, why in reversed(whys.items()):
        reason = pl.when(why).then(bit(name)).otherwise(reason)
    return reason


def _other() -> tuple[pl.Expr, pl.Expr]:
    """The row's second value where it can be used, and the digit of its fate. A speed of 0 is none: it stands in all
    rows of points that measure none."""
    import polars as pl

    label = pl.col("label")
    speed = pl.when(pl.col("vmed") != 0).then(pl.col("vmed"))
    high = pl.when(label == M30).then(HIGHEST[M30][1]).otherwise(HIGHEST[URBAN][1])
    value = pl.when(label == M30).then(speed).when(label == URBAN).then(pl.col("carga"))
    fate = (
        pl.when(value.is_null()).then(pl.lit(0, pl.UInt64)).when(value.is_nan()).then(bit("other_unreadable"))
        .when(value < 0).then(bit("other_negative")).when(value > high).then(bit("other_implausible"))
        .otherwise(bit("other_known"))
    )  # fmt: skip
    return pl.when(value.is_between(0, high)).then(value), fate
