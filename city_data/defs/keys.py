"""Names in Dagster: the asset keys and tags of a city and dataset, the steps of a month, the job of all months.

Belongs here: the naming of assets and steps. Does not: any definition.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from city_data.datasets import DATASETS
from city_data.pipeline.feeds import Feed

# Dagster's own job of all assets. A job of ours may only have assets of the same months, and a month ahead that one
# dataset reaches is none of another's.
MONTHS_JOB = "__ASSET_JOB"
FORMER_MONTHS_JOB = "city_months"  # of runs until 2026-11
STEPS = ("raw", "monthly", "cache")


def run_tags(feeds: Sequence[Feed]) -> dict[str, str]:
    """The tags by which a run is found. Its feeds have one dataset and one first provider."""
    tags = {"city_data/dataset": feeds[0].dataset.name, "city_data/provider": feeds[0].primary.provider.name}
    return tags if len(feeds) > 1 else {**tags, "city_data/city": feeds[0].city.city_id}


def feeds_by_step(run: dg.DagsterRun) -> dict[str, tuple[str, str]]:
    """Dataset and city of each of a run's steps, as far as the run selects assets: without a selection it has all."""
    feeds = {key.to_python_identifier(): feed_of(key) for key in run.asset_selection or ()}
    return {step: feed for step, feed in feeds.items() if feed is not None}


def asset_key(feed: Feed, step: str) -> dg.AssetKey:
    """The asset key of a feed's `raw`, `monthly` or `cache` step, such as `madrid/weather_raw`.

    Dagster's graphs title an asset by the last part alone, and the group's name is beside it: the city comes first.
    """
    return dg.AssetKey([feed.city.city_id, f"{feed.dataset.name}_{step}"])


def reader_key(feed: Feed) -> dg.AssetKey:
    """The asset key of what is served of a feed's city."""
    return dg.AssetKey([feed.city.city_id, "reader"])


def asset_tags(feed: Feed) -> dict[str, str]:
    """The tags by which assets are selected, such as `tag:country=ES and tag:dataset=weather`. `provider` is the first
    one, which the months come from unless it does not have them."""
    return {
        **city_tags(feed),
        "dataset": feed.dataset.name,
        "provider": feed.primary.provider.name,
        "resolution": feed.resolution,
    }


def city_tags(feed: Feed) -> dict[str, str]:
    return {"country": feed.city.country, "city": feed.city.city_id}


def feed_of(key: dg.AssetKey) -> tuple[str, str] | None:
    """Dataset and city of a feed's asset; None for an asset of another kind, such as a provider."""
    dataset, _, step = key.path[-1].rpartition("_")
    return (dataset, key.path[0]) if len(key.path) == 2 and dataset in DATASETS and step in STEPS else None
