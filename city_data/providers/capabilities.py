"""The capabilities that a provider declares: columns and their meaning, resolution, lag, reach, limits, licence, hosts.

Belongs here: facts about a source, known before anything is fetched. Does not: how a source is called (http.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from city_data.datasets import WEATHER, DatasetName, Resolution
from city_data.window import Month


@dataclass(frozen=True)
class Quota:
    """At most `calls` calls in each `seconds`, as sources count them: an hour by the clock, a day from midnight UTC."""

    calls: int
    seconds: int


@dataclass(frozen=True)
class RateLimit:
    """At most `calls` calls in `seconds`, shared by every run; never closer together than `spacing` seconds.

    `quotas` apply in addition, such as a day's. `weight` is the number of calls that the source counts for one of ours.
    """

    calls: int
    seconds: float
    spacing: float = 0.0
    quotas: tuple[Quota, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class Meaning:
    """The meaning of a column's values in the cities of one source, in words for people, and the method's version.

    `quantity`: the counted or measured thing. `area`: the part of the city that it is measured in. `per`: the unit that
    a value is the mean of, such as a site, a direction or an arc. `comparable`: values of two cities may be compared,
    where it is set for both; one city's vehicles per arc are not another's per measurement point.
    """

    quantity: str
    area: str
    per: str
    method: str
    method_version: int = 1
    comparable: bool = False

    @classmethod
    def of_weather(cls, columns: Iterable[str], *, area: str, per: str, method: str) -> dict[str, Meaning]:
        """The meaning of each of these weather columns: physical quantities, whose numbers can be compared."""
        known = {column.name: column for column in WEATHER.columns}
        return {
            name: cls(known[name].description, area, per, method, comparable=known[name].kind == "number")
            for name in columns
        }


@dataclass(frozen=True)
class Capabilities:
    """A provider's declared columns, resolution, delays, limits and licence.

    `lag`: how long after a month's end its data first appears. `settling`: how long after that it may still change.
    `pace`: how long a month that may still change is kept before it is fetched again.
    `ahead`: how far beyond the moment of a request its data reaches.
    `grace`: how long after the lag a month without data is awaited, before it is called missing for good.
    `earliest`: the first month that exists at the source, None where there is no known limit.
    `hosts`: the only hosts that may be called, redirects included. `key_variable`: the secret's environment variable.
    `forward_only`: the source has no history, so its months are those that were collected, see
    `CollectingProvider`; hours that were missed cannot be fetched again.
    `minimum_used_share`: below this share (0..1) of a whole month's rows the used ones are too few to publish, rows
    sent again left out. `implausible_share`: up to this share of a column's values may lie outside the plausible range;
    they become NULL. `negative_is_missing`: a negative number is the source's word for a missing value. `meanings`: of
    each of `columns`.
    """

    dataset: DatasetName
    columns: tuple[str, ...]
    resolution: Resolution
    lag: timedelta
    settling: timedelta
    earliest: Month | None
    rate_limit: RateLimit
    licence: str
    licence_url: str
    modelled: bool
    hosts: tuple[str, ...]
    key_variable: str | None = None
    forward_only: bool = False
    pace: timedelta = timedelta(days=1)
    ahead: timedelta = timedelta()
    grace: timedelta = timedelta(days=30)
    minimum_used_share: float = 0.5
    implausible_share: float = 0.01
    negative_is_missing: bool = False
    meanings: Mapping[str, Meaning] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Columns, resolution, lag and reach in one line for people."""
        hours = self.lag / timedelta(hours=1)
        lag = f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} h"
        reach = f"from {self.earliest} on" if self.earliest else "no known first month"
        if self.forward_only:
            reach = "forward-only: months begin with the first snapshot that was collected"
        kind = "modelled" if self.modelled else "observed"
        return f"{', '.join(self.columns)}; {self.resolution}, {kind}, lag {lag}; {reach}"
