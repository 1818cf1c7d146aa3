"""Sums of Madrid's rows by station and hour, in a stream of pieces.

Belongs here: sums of millions of rows, in bounded memory. Does not: validity of rows (rows.py), repeated rows
(repeats.py), or the city-hour (hours.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from city_data.providers.errors import PermanentError
from city_data.providers.madrid_opendata.reading import MOST_STATIONS, CellReader, MonthFile, pieces_of
from city_data.providers.madrid_opendata.rows import FACES, Judge, Rows
from city_data.providers.shared.pieces import in_order

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

# Sums of a station-hour, and their types.
SUMS = {"rows": "u4", "digits": "u8", "flow": "u4", "weight": "u4", "weighted": "f8"}
_PAIRS = 8192  # of a station and a label; a month has about 5,000
_MOST_PAIRS = 20_000  # they take 0.4 GB; more are no identifiers of measuring points


def station_hours(file: MonthFile) -> tuple[pl.DataFrame, int]:
    """One row a station, local hour and labelled kind: `station`, `hour` (local clock time in hours since the month
    began), `label`, `rows`, `digits` (see `count`), `flow` (sum over valid quarters, hundredths of
    vehicles/h), and `weight` and `weighted`, sums of flow and of flow times the second value where that is known.

    And the number of rows outside of every station-hour of this month: other or unreadable dates or stations.
    A station-hour with more than 7 rows overflows its counts: such hours are resolved from their rows.
    Raises PermanentError for corrupt bytes, and for a file whose identifiers are those of no measuring points.
    """
    import polars as pl
    import pyarrow as pa

    sums = _DenseSums()
    for part in collected(file, _sums_of_runs):
        sums.add(part)
    pa.default_memory_pool().release_unused()  # 0.1 GB that the city-hour needs
    table = sums.table()
    placed = pl.col("station") > 0
    placeless = int(table.filter(~placed)["rows"].sum())
    return table.filter(placed) if placeless else table, placeless


def _sums_of_runs(rows: Rows) -> pl.DataFrame:
    """The sums of rows by `key`."""
    import numpy as np
    import polars as pl

    if (rows.key[1:] < rows.key[:-1]).any():  # files before September 2018
        rows = rows[np.argsort(rows.key, kind="stable")]
    starts = np.flatnonzero(np.concatenate([rows.key[:1] >= 0, rows.key[1:] != rows.key[:-1]]))
    summands: dict[str, NDArray[Any]] = {
        "digits": rows.digits(),
        "flow": rows.flow,
        "weight": rows.flow * rows.is_known,
        "weighted": rows.flow * rows.other.astype(np.float64),
    }
    sums = {name: np.add.reduceat(summand, starts) for name, summand in summands.items()}
    counts = np.diff(starts, append=len(rows.key)).astype(np.uint32)
    return pl.DataFrame({"key": rows.key[starts], "rows": counts, **sums})


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


def collected(file: MonthFile, collect: Callable[[Rows], pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """`collect` of the file's rows, some hundred thousand at a time, in the file's order. Raises PermanentError for
    corrupt bytes."""
    reader, judge = CellReader(file), Judge(file)
    yield from in_order(lambda piece: collect(judge.rows(reader.cells(piece))), pieces_of(file))
