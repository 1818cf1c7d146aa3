"""Names in Dagster: the asset keys of a city and dataset, the steps of a month, the job of all months.

Belongs here: the naming of assets and steps. Does not: any definition.
"""

from __future__ import annotations

import dagster as dg

from city_data.pipeline.feeds import Feed

MONTHS_JOB = "city_months"
STEPS = ("raw", "monthly", "cache")


def asset_key(feed: Feed, step: str) -> dg.AssetKey:
    """The asset key of a feed's `raw`, `monthly` or `cache` step."""
    return dg.AssetKey([step, feed.dataset.name, feed.city.city_id])
