"""City-hours of one kind of mobility: mean passages an hour at a counting site, over a balanced panel of channels.

Belongs here: several rows of one interval, intervals to hours, sites with all of their channels. Does not: rows
(measures.py), or the panel's method for every city (shared/city_hours.py).

The channels of a site are its directions, whose passages add up. A site of which one channel falls silent would look
like a site with half of its passages, so a site is in the panel with all channels that measured in the month, or not
at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from city_data.providers.shared.city_hours import (
    METHOD,
    QUARTERS_AN_HOUR,
    QUARTERS_NEEDED,
    Estimate,
    estimate,
    members,
    reported_hours,
)
from city_data.providers.shared.local_hours import Clock
from city_data.providers.shared.mobility_counts.channels import Channel
from city_data.providers.shared.mobility_counts.measures import HOUR_S, Intervals

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SITE_METHOD_VERSION = 1
SITE_METHOD = f"sum over the channels of a site; {METHOD}"
NEEDED_S = HOUR_S * QUARTERS_NEEDED // QUARTERS_AN_HOUR
_STRATUM = "channels"


@dataclass(frozen=True)
class SiteHours:
    """Passages an hour at a site, up to the last hour with a count. `channels` and `sites` are those of the panel,
    `incomplete` sites those with channels outside it."""

    hours: Estimate
    channels: int
    sites: int
    incomplete: int
    used: int
    rejected: dict[str, int]
    nulled: dict[str, int]


def site_hours(intervals: Intervals, channels: Mapping[str, Channel | None], clock: Clock) -> SiteHours:
    """The city-hours of a month's intervals."""
    import numpy as np

    once, repeated = _once(_table(intervals))
    one_step, other_steps = _one_step_an_hour(once)
    flows, partial = _hourly(one_step)
    last = int(flows["hour"].to_numpy().max()) + 1 if len(flows) else 0
    table = np.full((len(intervals.names), last), np.nan)
    table[flows["channel"].to_numpy(), flows["hour"].to_numpy()] = flows["flow"].to_numpy()
    judged = reported_hours(table)
    sites = [channel.site if (channel := channels[name]) is not None else "" for name in intervals.names]
    kept, panel_sites, incomplete = _whole_sites(members(table, judged), np.any(~np.isnan(table), axis=1), sites)
    whole = np.ones(int(kept.sum()), dtype=bool)
    mean = estimate(table[kept], {_STRATUM: whole}, {_STRATUM: 1.0}, np.array(clock.week_hours)[:last], judged)
    hours = replace(mean, volume=mean.volume * (len(whole) / panel_sites if panel_sites else 1.0))
    rejected = dict(intervals.rejected) | {name: count for name, count in (repeated | other_steps).items() if count}
    nulled = {"partial_hour:count": partial} if partial else {}
    if not panel_sites and last:
        nulled["no_panel:count"] = int((~np.isnan(table)).sum())
    return SiteHours(hours, len(whole), panel_sites, incomplete, len(one_step), rejected, nulled)


def _table(intervals: Intervals) -> pl.DataFrame:
    """Sorted, so that sums of fractions do not depend on the order of rows."""
    import polars as pl

    names = ("channel", "start", "length", "count")
    kinds = (pl.Int64, pl.Int64, pl.Int64, pl.Float64)
    columns = [pl.Series(name, getattr(intervals, name), dtype=kind) for name, kind in zip(names, kinds, strict=True)]
    return pl.DataFrame(columns).with_columns(hour=pl.col("start") // HOUR_S).sort(names)


def _once(rows: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """One row an interval of a channel, by the rule of shared/duplicates.py, and the number of other rows."""
    import polars as pl

    one = rows.group_by("channel", "hour", "start", "length", maintain_order=True).agg(
        pl.col("count").unique().quantile(0.5, "lower"),
        (pl.len() - 1).alias("more"),
        (pl.col("count").n_unique() > 1).alias("disagree"),
    )
    more = {"duplicate": pl.col("disagree").not_(), "disagreeing": pl.col("disagree")}
    return one, {name: int(one.filter(of)["more"].sum()) for name, of in more.items()}


def _one_step_an_hour(once: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Of each channel's hour the intervals of one length, which cannot overlap: of the length that covers most of it,
    the longer of two. A channel whose step was changed has both."""
    import polars as pl

    steps = once.group_by("channel", "hour", "length").agg(covered=pl.len() * pl.col("length").first())
    best = steps.sort("covered", "length").group_by("channel", "hour").agg(pl.col("length").last())
    kept = once.join(best, on=("channel", "hour", "length"), how="semi", maintain_order="left")
    return kept, {"other_step": len(once) - len(kept)}


def _hourly(one_step: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Passages an hour of every channel and hour that is covered for long enough, and the number of other ones."""
    import polars as pl

    hours = one_step.group_by("channel", "hour", maintain_order=True).agg(
        pl.col("count").sum(), covered=pl.col("length").sum()
    )
    enough = hours.filter(pl.col("covered") >= NEEDED_S)
    flows = enough.with_columns(flow=pl.col("count") * HOUR_S / pl.col("covered"))
    return flows, len(hours) - len(enough)


def _whole_sites(
    member: NDArray[np.bool_], measured: NDArray[np.bool_], sites: list[str]
) -> tuple[NDArray[np.bool_], int, int]:
    """The channels of sites whose every channel that measured is a member, the number of these sites, and of others."""
    import numpy as np

    present = {site for site, has in zip(sites, measured.tolist(), strict=True) if has}
    lacking = {site for site, has, is_in in zip(sites, measured.tolist(), member.tolist(), strict=True)
               if has and not is_in}  # fmt: skip
    kept = np.array([site in present - lacking for site in sites], dtype=bool) & measured
    return kept, len(present - lacking), len(lacking)
