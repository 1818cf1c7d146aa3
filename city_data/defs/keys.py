"""Names in Dagster: the asset keys of a city and dataset, the steps of a month, the job of all months.

Belongs here: the naming of assets and steps. Does not: any definition.
"""

from __future__ import annotations

import dagster as dg

from city_data.pipeline.feeds import Feed

MONTHS_JOB = "city_months"
STEPS = ("raw", "monthly", "cache")


def run_tags(feed: Feed) -> dict[str, str]:
    """The tags by which a run of a feed's month is found."""
    return {"city_data/city": feed.city.city_id, "city_data/dataset": feed.dataset.name}


def asset_key(feed: Feed, step: str) -> dg.AssetKey:
    """The asset key of a feed's `raw`, `monthly` or `cache` step."""
    return dg.AssetKey([step, feed.dataset.name, feed.city.city_id])
