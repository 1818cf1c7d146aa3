"""A number as JSON tells it: finite and plausible in sign, or NULL and counted.

Belongs here: what holds for any source's numbers. Does not: strings, which each source writes its
own way.
"""

from __future__ import annotations

import math
from collections import Counter

from city_data.datasets import DATASETS

_LARGE = 2**53  # an integer beyond it is no float, and no weather
_NEVER_NEGATIVE = {
    column.name
    for dataset in DATASETS.values()
    for column in dataset.columns
    if column.low is not None and column.low >= 0
}


def number(value: object, name: str, nulled: Counter[str]) -> float | None:
    """`value` of the column `name`; None where it is missing, no number, or negative where that cannot be.

    The last two are counted in `nulled`, as `reason:column`.
    """
    if value is None:
        return None
    made = float(value) if isinstance(value, float) or (type(value) is int and abs(value) < _LARGE) else math.nan
    if not math.isfinite(made):
        nulled[f"not_a_number:{name}"] += 1
        return None
    if made < 0 and name in _NEVER_NEGATIVE:
        nulled[f"negative:{name}"] += 1
        return None
    return made
