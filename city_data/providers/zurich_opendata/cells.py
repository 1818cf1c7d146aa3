"""Counts as cells of sites and hours: read, bounded, and one a cell.

Belongs here: what vehicles and pedestrians share. Does not: stamps, or which row counts (rows.py, foot_rows.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from city_data.providers.errors import PermanentError
from city_data.providers.shared.habits import refuse_spoilt_cells
from city_data.providers.shared.numbers import NotANumber, NumberFormat

_SHOWN = 40


@dataclass
class Cells:
    """The usable values of a column by (series, slot)."""

    column: str
    format: NumberFormat
    highest: float
    file: str = ""
    values: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    _good: int = 0
    _bad: int = 0
    _first_bad: str = ""

    def add(self, key: tuple[str, int], cell: object, row: int) -> str:
        """Adds a cell's value; else returns the reason why it has none: `no_value`, `unreadable`, `negative` or
        `implausible`. Raises PermanentError for an ambiguous one, whose value could be either of two."""
        shown = f"{str(cell)[:_SHOWN]!r} in row {row} of {self.file}, column {self.column!r}"
        try:
            number = self.format.parse(cell)
        except NotANumber as error:
            if error.reason == "ambiguous":
                raise PermanentError(f"{shown}, is ambiguous: thousands, or a fraction?") from error
            return self._spoilt(error.reason, shown)
        if number is None:
            return "no_value"
        if not 0 <= number <= self.highest:
            return self._spoilt("negative" if number < 0 else "implausible", shown)
        self._good += 1
        self.values.setdefault(key, []).append(number)
        return ""

    def _spoilt(self, reason: str, shown: str) -> str:
        self._bad += 1
        self._first_bad = self._first_bad or shown
        return reason

    def refuse_habit(self) -> None:
        """Raises PermanentError where most cells are spoilt: their format has changed."""
        refuse_spoilt_cells(self.column, self._bad, self._good, lambda: self._first_bad)


def one_value_a_cell(
    values: Mapping[tuple[str, int], list[float]], rejected: Counter[str]
) -> dict[tuple[str, int], float]:
    """The rule of shared/duplicates.py for one field: of values that disagree the lower median of the different ones.
    The other rows are counted in `rejected`."""
    single = {}
    for key, same in values.items():
        distinct = sorted(set(same))
        single[key] = distinct[(len(distinct) - 1) // 2]
        if len(same) > 1:
            rejected["duplicate" if len(distinct) == 1 else "disagreeing"] += len(same) - 1
    return single
