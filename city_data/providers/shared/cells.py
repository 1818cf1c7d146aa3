"""Cells of a source's rows: read by their field's grammar and bounds, and counted if they give no value.

Belongs here: fields, cells, and the refusal of a file with mostly unusable cells of a field. Does not: grammars
(numbers.py), or which of several rows of one hour counts (duplicates.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from city_data.datasets import WEATHER
from city_data.providers.errors import PermanentError
from city_data.providers.shared.numbers import NotANumber, NumberFormat

# A changed format rather than an accident: at least three spoilt cells, and more than twice as many as good ones. A
# format that changed spoils nearly all of a column; half a column is left to the checks of the month.
_HABIT, _MOSTLY = 3, 2
# The source itself marks such a cell, so its format has not changed.
_MARKED = frozenset({"doubtful", "accumulated", "several"})
_SHOWN = 40


@dataclass(frozen=True)
class Cell:
    """One field of one row. Without a `value` it is missing, or unusable for the `reason`; `text` is the source's own
    text, `file` and `row` (from 1 on) its position."""

    value: float | str | None
    text: str
    file: str
    row: int
    reason: str = ""

    @property
    def number(self) -> float | None:
        return self.value if isinstance(self.value, float) else None


Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Field:
    """A numeric field by the source's name. `low` and `high` are inclusive bounds: no value outside them is used."""

    name: str
    format: NumberFormat
    low: float
    high: float

    @classmethod
    def of_weather(cls, column: str, name: str, number_format: NumberFormat) -> Field:
        """A field with the plausible range of a column of the weather dataset."""
        definition = WEATHER.column(column)
        assert definition.low is not None  # noqa: S101  a column of text has no bounds
        assert definition.high is not None  # noqa: S101
        return cls(name, number_format, definition.low, definition.high)

    def read(self, value: object, file: str, row: int) -> Cell:
        """The cell; its `reason` is `unreadable`, `ambiguous`, `negative` (where `low` is at least 0) or
        `implausible`."""
        text = value if isinstance(value, str) else "" if value is None else str(value)
        try:
            number = self.format.parse(value)
        except NotANumber as error:
            return Cell(None, text, file, row, error.reason)
        if number is None or self.low <= number <= self.high:
            return Cell(number, text, file, row)
        return Cell(None, text, file, row, "negative" if number < 0 <= self.low else "implausible")


def count_nulled(rows: Iterable[Row]) -> Counter[str]:
    """The unusable cells of used rows, counted by `reason:field`."""
    return Counter(f"{cell.reason}:{field}" for row in rows for field, cell in row.items() if cell.reason)


def refuse_spoilt_files(rows: Iterable[Row]) -> None:
    """Raises PermanentError where most cells of a field are unusable in a file: its format has changed, and the rest
    would pass for a whole month; and for any `ambiguous` cell, since its value could be either of two.

    `rows` are all rows of the month, those without any value included.
    """
    good: Counter[tuple[str, str]] = Counter()
    bad: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for row in rows:
        for field, cell in row.items():
            if cell.reason:
                bad[cell.file, field].append(cell)
            elif cell.value is not None:
                good[cell.file, field] += 1
    for (file, field), cells in bad.items():
        if (ambiguous := next((cell for cell in cells if cell.reason == "ambiguous"), None)) is not None:
            raise PermanentError(f"{file}: {_quoted(field, ambiguous)} is ambiguous: thousands, or a fraction?")
        spoilt = [cell for cell in cells if cell.reason not in _MARKED]
        if len(spoilt) >= _HABIT and len(spoilt) > _MOSTLY * good[file, field]:
            summary = f"{len(spoilt)} of {len(spoilt) + good[file, field]} cells of {field!r} cannot be used"
            worst = Counter(cell.reason for cell in spoilt).most_common(1)[0][0]
            first = min((cell for cell in spoilt if cell.reason == worst), key=lambda cell: cell.row)
            raise PermanentError(f"{file}: {summary}, most of them {worst}, such as {_quoted(field, first)}")


def _quoted(field: str, cell: Cell) -> str:
    text = cell.text if len(cell.text) <= _SHOWN else f"{cell.text[:_SHOWN]}..."
    return f"{text!r} in row {cell.row}, column {field!r}"
