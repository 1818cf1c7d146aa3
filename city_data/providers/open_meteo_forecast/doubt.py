"""Refusals of hours that no forecasts can be: one forecast under two leads, and shares in place of percentages.

Belongs here: what many hours show together. Does not: single cells (shared/cells.py), or the time axis (hours.py).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations, groupby

from city_data.datasets import LEAD_DAYS
from city_data.providers.base import PermanentError

Numbers = Mapping[str, float | None]
# No two forecasts of these agree for days; hours without rain are alike, and so are clear skies.
_DISTINCT = ("temperature", "wind_speed", "pressure")
_PERCENTAGES = ("humidity", "cloud_cover")
_MOST_EQUAL = 120  # hours on end: runs may fail for some days
_SAMPLES = 5  # of a stretch of as many hours
_FEWEST = 24  # values that show a unit
_DAY = timedelta(days=1)


def refuse_equal_leads(
    hours: Mapping[datetime, Numbers], names_by_lead: Mapping[int, Mapping[str, str]], as_of: datetime
) -> None:
    """Raises PermanentError where one lead of a variable has what another has: then what a later run forecast, or what
    was measured, passes for an earlier forecast. Hours ahead have one forecast for all leads, and a constant says
    nothing: the drift of the month's spread reports it. `hours` are in order."""
    stamps = list(hours)
    listed = {
        (lead, column): [row.get(names[column]) for row in hours.values()]
        for lead, names in names_by_lead.items()
        for column in _DISTINCT
    }
    is_open = bool(stamps) and stamps[-1] >= as_of
    for late, early in combinations(LEAD_DAYS, 2):
        count = bisect_left(stamps, as_of + late * _DAY)  # of the hours that are final
        for column in _DISTINCT:
            longest = _longest_equal(listed[late, column][:count], listed[early, column][:count], is_open)
            if longest >= _MOST_EQUAL:
                leads = f"the forecasts of {late} and of {early} days before"
                raise PermanentError(f"{leads} have the same {column} for {longest} hours on end")


def refuse_shares(hours: Mapping[datetime, Numbers], names: Mapping[str, str]) -> None:
    """Raises PermanentError where percentages are shares of 1, under whatever unit. `names` are the variables by
    column."""
    for column in _PERCENTAGES:
        values = _values(hours, names[column])
        if len(values) >= _FEWEST and max(values) <= 1 and any(value % 1 for value in values):
            raise PermanentError(f"{names[column]} is not in %: of {len(values)} values the highest is {max(values)}")


def _values(hours: Mapping[datetime, Numbers], name: str) -> Sequence[float]:
    return [value for row in hours.values() if (value := row.get(name)) is not None]


def _longest_equal(one: Sequence[float | None], other: Sequence[float | None], is_open: bool) -> int:
    """The length of the longest stretch of equal values, as long as these values vary; missing ones do not count. 0
    where it is too short for a refusal, as a few samples show: comparing all took a third of the time of a load. In an
    open month a source without new runs has one forecast at the end: it is stale, and says nothing wrong."""
    alike = [one[n] == other[n] or None in (one[n], other[n]) for n in range(0, len(one), _MOST_EQUAL // _SAMPLES)]
    if not any(all(alike[n : n + _SAMPLES]) for n in range(len(alike) - _SAMPLES + 1)):
        return 0
    pairs = [pair for pair in zip(one, other, strict=True) if None not in pair]
    stretches = [list(stretch) for _, stretch in groupby(pairs, lambda pair: pair[0] == pair[1])]
    ended = stretches[:-1] if is_open and len(stretches) > 1 else stretches
    return max(
        (len(stretch) for stretch in ended if stretch[0][0] == stretch[0][1] and len(set(stretch)) > 1), default=0
    )
