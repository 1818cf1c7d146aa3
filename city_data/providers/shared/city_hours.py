"""The city-hour, method version 1: mean vehicles per hour per measurement point, over a fixed monthly panel.

Belongs here: station-hours to one number an hour, such that a dying sensor never looks like falling traffic, nor a
growing network like rising traffic. Does not: a source's rows to station-hours, which its own module does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHOD_VERSION = 1
METHOD = "mean over a fixed monthly panel, gaps filled from each member's own weekly profile"
# Vehicles/h. Madrid sent 27,943 among neighbours of 2,400 to 5,200, Valencia 911,392.
SPIKE = 20_000
QUARTERS_AN_HOUR = 4
QUARTERS_NEEDED = 3
PANEL_SHARE = 0.7
MINIMUM_COVERAGE = 0.5
_HOURS_A_WEEK = 168


@dataclass(frozen=True)
class Estimate:
    """One value an hour; NaN is missing. `volume` in vehicles/h, `coverage` 0..1, `stations` the number that counted;
    `panel` is the number of points in the panel by stratum."""

    volume: NDArray[np.float64]
    coverage: NDArray[np.float64]
    stations: NDArray[np.int64]
    panel: dict[str, int]


def estimate(
    flow: NDArray[np.float64],
    strata: Mapping[str, NDArray[np.bool_]],
    weights: Mapping[str, float],
    week_hours: NDArray[np.int64],
    judged: NDArray[np.bool_] | None = None,
) -> Estimate:
    """The method, on a month's station-hours: `flow` is stations by hours (NaN where a station has none), `strata` are
    masks of stations, `weights` are fixed, `week_hours` is each hour's index in the local week.

    A station's share of valid hours, which admits it to the panel, is taken over the hours in `judged`, or all. Where a
    stratum has no panel there is no volume.
    """
    import numpy as np

    hours = flow.shape[1]
    member = members(flow, judged)
    flow, strata = flow[member], {name: stratum[member] for name, stratum in strata.items()}
    valid = ~np.isnan(flow)
    profile = _profile(flow, valid, week_hours)
    known = valid & ~np.isnan(profile)
    counted, total = np.zeros(hours), np.zeros(hours)
    volume, weight, complete = np.zeros(hours), 0.0, np.full(hours, len(flow) > 0)
    for name, stratum in strata.items():
        size = int(stratum.sum())
        if not size:  # its weight is fixed: without it the mean would be of another city
            complete[:] = False
            continue
        mu = np.where(known[stratum], profile[stratum], 0).sum(axis=0)
        v = np.where(known[stratum], flow[stratum], 0).sum(axis=0)
        # Early in a month a point can lack a profile at some hour of the week: it then counts as the mean point.
        profiled = np.maximum((~np.isnan(profile[stratum])).sum(axis=0), 1)
        panel_mu = np.nansum(profile[stratum], axis=0) * (size / profiled)
        # A panel whose profile is 0 at this hour has nothing to scale: the ratio is 1.
        ratio = np.divide(v, mu, out=np.ones(hours), where=mu > 0)
        # The strata's levels differ: an hour without one of them is an hour without a value.
        complete &= known[stratum].any(axis=0)
        volume += weights[name] * panel_mu * ratio / size
        weight += weights[name]
        counted, total = counted + mu, total + panel_mu
    stations = known.sum(axis=0)
    coverage = np.divide(counted, total, out=(stations > 0).astype(float), where=total > 0)
    volume = np.where((coverage >= MINIMUM_COVERAGE) & complete, volume / (weight or 1), np.nan)
    return Estimate(volume, coverage, stations, {name: int(stratum.sum()) for name, stratum in strata.items()})


def reported_hours(flow: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The hours in which any station has a value: an outage of the whole collection says nothing about a station."""
    import numpy as np

    reported: NDArray[np.bool_] = np.any(~np.isnan(flow), axis=0)
    return reported


def members(flow: NDArray[np.float64], judged: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which stations are in the panel: by their shares of valid hours among those in `judged`, or all."""
    import numpy as np

    measured = ~np.isnan(flow) if judged is None else ~np.isnan(flow) & judged
    panel: NDArray[np.bool_] = measured.sum(axis=1) >= max(
        1, PANEL_SHARE * (flow.shape[1] if judged is None else int(judged.sum()))
    )
    return panel


def _profile(flow: NDArray[np.float64], valid: NDArray[np.bool_], week_hours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each station's mean at the hour of the week of each slot, within this month only."""
    import numpy as np

    profile = np.full(flow.shape, np.nan)
    for week_hour in range(_HOURS_A_WEEK):
        same = np.flatnonzero(week_hours == week_hour)
        if len(same):
            times = valid[:, same].sum(axis=1)
            totals = np.where(valid[:, same], flow[:, same], 0).sum(axis=1)
            means = np.divide(totals, times, out=np.full(len(flow), np.nan), where=times > 0)
            profile[:, same] = means[:, None]
    return profile
