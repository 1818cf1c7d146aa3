"""An hourly weather frame as local days: for a city of daily resolution whose fallback is hourly.

Belongs here: the day rule, which every row states in `raw_data`. Does not: which source is used (publish.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from city_data.datasets import WEATHER
from city_data.window import day_bounds

if TYPE_CHECKING:
    import pandas as pd

# A day of fewer hours than this says nothing of the day: its value is NULL.
MINIMUM_HOURS = 20
_SUMMED = "precipitation"


def daily(frame: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """Means of the local day's hours, the sum of its precipitation; `date` is the day's UTC start.

    `frame` has `date` (UTC), weather's numbers and `source`; the description, which no day has, is NULL.
    """
    import pandas as pd

    numbers = [column.name for column in WEATHER.columns if column.kind == "number"]
    days = frame["date"].dt.tz_convert(timezone).dt.date
    values = frame[numbers].astype("float64").groupby(days)
    enough = values.count() >= MINIMUM_HOURS
    means = values.mean().assign(**{_SUMMED: values[_SUMMED].sum()}).where(enough)
    counts = values.count().max(axis=1)
    made = pd.DataFrame(
        {
            "date": pd.to_datetime([day_bounds(day, timezone)[0] for day in means.index], utc=True),
            **{name: means[name].to_numpy() for name in numbers},
            "description": None,
            "source": frame.groupby(days)["source"].first().to_numpy(),
        }
    )
    rule = {"aggregated_from": "hourly", "day": f"00-24 {timezone}", "modelled": True}
    return made.assign(raw_data=pd.Series([{**rule, "hours": int(count)} for count in counts], dtype=object))
