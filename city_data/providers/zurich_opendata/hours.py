"""Zurich's hours: vehicles an hour per measured direction of the city, persons an hour per site of one street.

Belongs here: the strata and their weights, the panels. Does not: rows (rows.py, foot_rows.py), or the method for every
city with counting points (shared/city_hours.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from city_data.providers.shared.city_hours import Estimate, estimate, reported_hours
from city_data.providers.shared.local_hours import Clock
from city_data.providers.zurich_opendata.foot_rows import SITES
from city_data.providers.zurich_opendata.rows import Counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Version of the list of motorway sites and of the weights. To be raised with either.
STRATA_VERSION = 1
# A1L at Schwamendingen, the Milchbuck tunnel, A3W to the Uetliberg tunnel and to Chur, and A1L's exit Aubrugg.
MOTORWAY_SITES = frozenset({"Z024", "Z033", "Z079", "Z080", "Z110"})
# The strata's shares of the 217 directions of September 2026, fixed so that a new site or a lost one moves nothing.
STRATA_WEIGHTS = {"streets": 208 / 217, "motorways": 9 / 217}
_PANEL = "sites"


def volume(counts: Counts, clock: Clock) -> Estimate:
    """Vehicles an hour per direction, up to the last hour with a measured one; a series is one direction.

    Without a motorway, or without a street, in the panel there is no volume: the mean would be of another city.
    """
    import numpy as np

    series = sorted(counts.sites)
    motorway = np.array([counts.sites[one] in MOTORWAY_SITES for one in series], dtype=bool)
    table = _table(counts.vehicles, series, clock)
    return _estimate(table, {"streets": ~motorway, "motorways": motorway}, STRATA_WEIGHTS, clock)


def persons(counts: Mapping[tuple[str, int], float], clock: Clock) -> Estimate:
    """Persons an hour per site of the street, up to the last hour with a count.

    All sites must be in the panel: of three so different ones a mean of two is another quantity.
    """
    import numpy as np

    table = _table(counts, SITES, clock)
    street = _estimate(table, {_PANEL: np.ones(len(SITES), dtype=bool)}, {_PANEL: 1.0}, clock)
    if street.panel[_PANEL] == len(SITES):
        return street
    return Estimate(np.full(table.shape[1], np.nan), street.coverage, street.stations, street.panel)


def _estimate(
    table: NDArray[np.float64], strata: Mapping[str, NDArray[np.bool_]], weights: Mapping[str, float], clock: Clock
) -> Estimate:
    """The panel's value by hour."""
    import numpy as np

    return estimate(table, strata, weights, np.array(clock.week_hours)[: table.shape[1]], reported_hours(table))


def _table(values: Mapping[tuple[str, int], float], series: Sequence[str], clock: Clock) -> NDArray[np.float64]:
    """Series by hours, up to the last with a value; NaN where there is none."""
    import numpy as np

    place = {one: row for row, one in enumerate(series)}
    table = np.full((len(series), len(clock.faces)), np.nan)
    for (one, slot), value in values.items():
        table[place[one], slot] = value
    return table[:, : max((slot for _, slot in values), default=-1) + 1]
