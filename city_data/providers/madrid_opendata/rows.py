"""Madrid's quarter-hour rows, validated one by one and summed to station-hours in a stream.

Belongs here: validity of rows, and their counts. Does not: parsing cells (reading.py), repeated rows (repeats.py), or
the city-hour (hours.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from city_data.providers.errors import PermanentError
from city_data.providers.madrid_opendata.layout import M30, URBAN
from city_data.providers.madrid_opendata.reading import ERRORS, FACES, MOST_STATIONS, CellReader, MonthFile, pieces_of
from city_data.providers.shared.city_hours import SPIKE

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

# Reasons to reject a row, then three for valid rows: integrated with a doubtful sample (E), without any mark, and
# marked as clean by the city.
REASONS = (
    "error_s", "not_a_number", "unreadable", "ambiguous", "negative", "spike", "no_samples",
    "doubtful", "unmarked", "clean",
)  # fmt: skip
VALID = REASONS[-3:]
# Outcomes of the row's second value: an urban point's `carga` (%), an M30 point's `vmed` (km/h).
OTHERS = ("known", "unreadable", "negative", "implausible")
HIGHEST = {URBAN: ("carga", 100), M30: ("vmed", 200)}
# Each count is one octal digit of an integer: one sum counts a station-hour's rows by reason, quarter and fate.
_DIGITS = (*REASONS, *(f"quarter_{n}" for n in range(4)), *(f"other_{fate}" for fate in OTHERS))
_DIGIT_BITS = 3
_THREADS = 2  # pieces parsed at once; more take memory without being faster on two cores
# Sums of a station-hour, and their types.
SUMS = {"rows": "u4", "digits": "u8", "flow": "u4", "weight": "u4", "weighted": "f8"}
_SUMMED = list(SUMS)[1:]
_PAIRS = 8192  # of a station and a label; a month has about 5,000
_MOST_PAIRS = 20_000  # they take 0.4 GB; more are no identifiers of measuring points
HUNDREDTHS = 100  # readings have two decimals, as integers, whose sums do not depend on order


def station_hours(file: MonthFile) -> tuple[pl.DataFrame, int]:
    """One row a station, local hour and labelled kind: `station`, `hour` (local clock time in hours since the month
    began), `label`, `rows`, `digits` (see `count`), `flow` (sum over valid quarters, hundredths of
    vehicles/h), and `weight` and `weighted`, sums of flow and of flow times the second value where that is known.

    And the number of rows outside of every station-hour of this month: other or unreadable dates or stations.
    A station-hour with more than 7 rows overflows its counts: such hours are resolved from their rows.
    Raises PermanentError for corrupt bytes, and for a file whose identifiers are those of no measuring points.
    """
    import polars as pl

    sums = _DenseSums()
    for part in collected(file, _sums_of_runs):
        sums.add(part)
    table = sums.table()
    placed = pl.col("station") > 0
    placeless = int(table.filter(~placed)["rows"].sum())
    return table.filter(placed) if placeless else table, placeless


def _sums_of_runs(rows: pl.LazyFrame) -> pl.DataFrame:
    """The sums of rows by `key`, which is 0 where it was null."""
    import numpy as np
    import polars as pl

    table = rows.select(pl.col("key").fill_null(0), *_summands()).collect()
    if not table["key"].is_sorted():  # files before September 2018
        table = table.sort("key")
    key = table["key"].to_numpy()
    starts = np.flatnonzero(np.concatenate([key[:1] >= 0, key[1:] != key[:-1]]))
    sums = {name: np.add.reduceat(table[name].to_numpy(), starts) for name in _SUMMED}
    return pl.DataFrame({"key": key[starts], "rows": np.diff(starts, append=len(key)).astype(np.uint32), **sums})


class _DenseSums:
    """Sums by key, as arrays in which each pair of station and label has a block of hours: grouping millions of keys
    takes three times their memory."""

    def __init__(self) -> None:
        import numpy as np

        self._place = np.full(3 * (MOST_STATIONS + 1), -1, dtype=np.int32)
        self._pairs = np.zeros(0, dtype=np.uint32)
        self._sums = {name: np.zeros(_PAIRS * FACES, kind) for name, kind in SUMS.items()}

    def add(self, part: pl.DataFrame) -> None:
        """Add sums of distinct keys. Raises PermanentError for more measuring points than memory is meant for."""
        import numpy as np

        pair, hour = np.divmod(part["key"].to_numpy(), np.uint32(FACES))
        fresh = np.unique(pair[self._place[pair] < 0])
        self._place[fresh] = np.arange(len(self._pairs), len(self._pairs) + len(fresh))
        self._pairs = np.concatenate([self._pairs, fresh])
        if len(self._pairs) > _MOST_PAIRS:
            raise PermanentError(f"the CSV has more than {_MOST_PAIRS:,} measuring points; a month has about 5,000")
        while len(self._pairs) * FACES > len(self._sums["rows"]):
            self._sums = {name: np.concatenate([sums, np.zeros_like(sums)]) for name, sums in self._sums.items()}
        index = self._place[pair].astype(np.int64) * FACES + hour
        for name, sums in self._sums.items():
            sums[index] += part[name].to_numpy()

    def table(self) -> pl.DataFrame:
        """The sums of all keys that have rows. Empties the arrays."""
        import numpy as np
        import polars as pl

        index = np.flatnonzero(self._sums["rows"])
        columns = {name: self._sums.pop(name)[index] for name in SUMS}
        place, hour = np.divmod(index.astype(np.uint32), np.uint32(FACES))
        pair = self._pairs[place]
        station, label = pair // 3, pair % 3
        keys = {"station": station.astype(np.int32), "hour": hour.astype(np.int16), "label": label.astype(np.uint8)}
        return pl.DataFrame(keys | columns)


def summed(rows: pl.LazyFrame, by: list[str]) -> pl.LazyFrame:
    """Sums of rows by the columns `by`."""
    import polars as pl

    return rows.select(*by, *_summands()).group_by(by).agg(pl.len().alias("rows"), pl.col(*_SUMMED).sum())


def _summands() -> list[pl.Expr]:
    import polars as pl

    flow, other = pl.col("flow"), pl.col("other")
    weight = pl.when(other.is_not_null()).then(flow).otherwise(0).cast(pl.UInt32).alias("weight")
    weighted = (flow.cast(pl.Float64) * other.fill_null(0).cast(pl.Float64)).alias("weighted")
    return [pl.col("digits"), flow, weight, weighted]


def count(digits: NDArray[np.uint64], *names: str) -> NDArray[np.uint64]:
    """The number of rows of each station-hour (of at most 7 rows) that are counted under any of `names`."""
    import numpy as np

    bits = [np.uint64(_DIGIT_BITS * _DIGITS.index(name)) for name in names]
    digit = [(digits >> bit) & np.uint64(2**_DIGIT_BITS - 1) for bit in bits]
    counted: NDArray[np.uint64] = sum(digit[1:], start=digit[0])
    return counted


def others_mask() -> int:
    """The bits of the counts of second values."""
    return sum((2**_DIGIT_BITS - 1) << (_DIGIT_BITS * _DIGITS.index(f"other_{fate}")) for fate in OTHERS)


def bit(name: str) -> pl.Expr:
    """The digit of one row counted under `name`."""
    import polars as pl

    return pl.lit(1 << (_DIGIT_BITS * _DIGITS.index(name)), pl.UInt64)


def collected(file: MonthFile, collect: Callable[[pl.LazyFrame], pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """`collect` of the file's rows, some hundred thousand at a time, in the file's order.

    Rows have a `key` of station, hour and label (null where a row is not of the month), `station`, `hour` and `minute`
    since the month began, `label`, `flow` (0 where the row is not valid), `other` (known and plausible), both in
    hundredths, and `digits`. Raises PermanentError for corrupt bytes.
    """
    import polars as pl

    reader = CellReader(file)
    try:
        yield from _in_order(lambda piece: collect(_judged(reader.cells(piece).lazy())), pieces_of(file))
    except pl.exceptions.PolarsError as error:
        raise PermanentError(f"{file.info.filename} cannot be read: {str(error).splitlines()[0]}") from error


def _in_order(work: Callable[[bytes], pl.DataFrame], pieces: Iterable[bytes]) -> Iterator[pl.DataFrame]:
    """`work` on each piece, while the next one is inflated."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running: deque[Future[pl.DataFrame]] = deque()
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) > _THREADS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


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
            key=(pl.col("station").cast(pl.UInt32) * 3 + pl.col("label")) * FACES + pl.col("hour").cast(pl.UInt32),
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
    """The digit of the first reason that applies."""
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
    """The row's second value if usable, and the digit of its fate. A speed of 0 is missing: points without a speed
    sensor have it in all rows."""
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
