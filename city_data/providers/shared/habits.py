"""The refusal of a file whose format has changed: unusable cells or rows are a habit of it, not an accident.

Belongs here: the bounds for cells and rows of traffic counts, and the words of the errors. Does not: which cells and
rows are unusable (each source's own), or weather's rows (cells.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from city_data.providers.errors import PermanentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HABIT = 3  # fewer are an accident
_SHARES = 12  # hours; no city has so many with a load of less than 1 % and none with more


def refuse_spoilt_cells(column: str, spoilt: int, good: int, example: Callable[[], str], file: str = "") -> None:
    """Raises PermanentError, with `example`, where most cells of a column are spoilt."""
    if spoilt >= _HABIT and spoilt > good:
        where = f"{file}: " if file else ""
        raise PermanentError(
            f"{where}{spoilt:,} of {spoilt + good:,} cells of {column!r} cannot be used, such as {example()}"
        )


def refuse_shares_of_one(column: str, percent: NDArray[np.float64]) -> None:
    """Raises PermanentError where a city's load of the road, hour by hour (NaN is missing), is one of 0..1 and not of
    0..100: each of its hours would be a calm one."""
    import numpy as np

    known = percent[~np.isnan(percent)]
    between = int(np.count_nonzero((known > 0) & (known < 1)))
    if between >= _SHARES and known.max() <= 1:
        raise PermanentError(f"{column!r} is a share of 1 and not of 100: its highest hour has {known.max():.2f}")


def refuse_unreadable_rows(file: str, total: int, unreadable: Mapping[str, int], word: str = "rows") -> None:
    """Raises PermanentError where most rows cannot be read; `unreadable` counts them by reason."""
    count = sum(unreadable.values())
    if count > total / 2 and (count >= _HABIT or count == total):
        worst = max(unreadable, key=lambda reason: unreadable[reason])
        raise PermanentError(f"{file}: {count:,} of {total:,} {word} cannot be read, most of them {worst}")
