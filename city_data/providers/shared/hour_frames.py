"""The frame of a month's city-hours, as sources with counting points or road segments return it.

Belongs here: stamps, the source, and what the details of hours have in common. Does not: the values of columns, which
each source's method computes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from city_data.providers.base import Request

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


def hour_frame(
    request: Request, source: str, columns: Mapping[str, Any], details: Sequence[Mapping[str, Any]], first: int = 0
) -> pd.DataFrame:
    """One row an hour, from the month's hour number `first` on, as many as there are `details`: `date` (UTC), the
    `columns`, `source` and `raw_data`."""
    import pandas as pd

    stamps = request.month.hours(request.location.timezone)[first : first + len(details)]
    return pd.DataFrame(
        {
            "date": pd.to_datetime(stamps, utc=True),
            **columns,
            "source": source,
            "raw_data": pd.Series(details, dtype=object),
        }
    )


def panel_details(
    coverage: NDArray[np.float64], stations: NDArray[np.int64], method_version: int
) -> list[dict[str, Any]]:
    """What the details of each hour of a panel begin with: coverage (0..1), members that counted, method version."""
    return [
        {"coverage": round(share, 4), "stations": counted, "method_version": method_version}
        for share, counted in zip(coverage.tolist(), stations.tolist(), strict=True)
    ]


def unresolved_flag(slot: int, unresolved: Collection[int]) -> dict[str, str]:
    """The detail of an hour that stands for both passes of October's doubled hour; nothing for any other."""
    return {"flag": "doubled_hour_unresolved"} if slot in unresolved else {}


def rounded(value: float) -> float | None:
    """A detail to four decimals; None for NaN."""
    return None if value != value else round(float(value), 4)
