"""The rule for several rows of one station and hour: one value per field is used, the other rows are rejected.

Belongs here: the rule of every source. Does not: the key of a row (each source's own), or a faster version for
millions of rows in a bulk file, which must give the same result.

The rule, field by field: a value wins over an empty or unusable cell; values that are equal count once; of values
that disagree, the lower median counts. It is a value that was really sent, it depends neither on the order of rows nor
on how often one of them was sent, and a single outlier of three readings never wins. All rows of a key but one are
rejected, as `duplicate`, or as `disagreeing` where any of their fields has two different values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from city_data.providers.shared.cells import Cell, Row

Key = TypeVar("Key")


def one_row_a_key(rows: Iterable[tuple[Key, Row]], rejected: Counter[str]) -> dict[Key, Row]:
    """One row for every key, keys in their first order; the other rows are counted in `rejected`."""
    by_key: dict[Key, list[Row]] = {}
    for key, row in rows:
        by_key.setdefault(key, []).append(row)
    return {key: same[0] if len(same) == 1 else _resolved(same, rejected) for key, same in by_key.items()}


def lower_median(cells: Sequence[Cell]) -> Cell:
    """The lower median of a field's cells, in any order."""
    valued = sorted((cell for cell in cells if cell.value is not None), key=_by_value, reverse=True)
    distinct = sorted({cell.value: cell for cell in valued}.values(), key=_by_value)
    return distinct[(len(distinct) - 1) // 2] if distinct else max(cells, key=lambda cell: (cell.reason, cell.text))


def _resolved(rows: Sequence[Mapping[str, Cell]], rejected: Counter[str]) -> Row:
    fields = list(dict.fromkeys(field for row in rows for field in row))
    cells = {field: [row[field] for row in rows if field in row] for field in fields}
    disagree = any(len({cell.value for cell in same if cell.value is not None}) > 1 for same in cells.values())
    rejected["disagreeing" if disagree else "duplicate"] += len(rows) - 1
    return {field: lower_median(same) for field, same in cells.items()}


def _by_value(cell: Cell) -> tuple[float, str, str]:
    """Numbers by size, words by the alphabet; the text decides between equal ones, so that reports do not depend on
    order."""
    return (cell.number or 0.0, cell.value if isinstance(cell.value, str) else "", cell.text)
