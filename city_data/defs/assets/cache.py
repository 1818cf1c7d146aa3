"""The cache asset: puts a published month's segment in Redis, so that the first request is a cache hit.

Belongs here: warming only. A cache that is absent, full or wrong never fails a run or changes an answer.
"""

import dagster as dg

from city_data.defs.keys import asset_key, asset_tags
from city_data.defs.resources import CacheResource, DatabaseResource
from city_data.pipeline.feeds import Feed
from city_data.window import Month

CODE_VERSION = "1"


def cache_asset(feed: Feed, partitions: dg.PartitionsDefinition[str]) -> dg.AssetsDefinition:
    """`<city>/<dataset>_cache`: the month's serialised segment in Redis."""

    @dg.asset(
        key=asset_key(feed, "cache"),
        partitions_def=partitions,
        group_name=feed.city.city_id,
        tags=asset_tags(feed),
        kinds={"redis"},
        owners=["team:city_data"],
        description=f"{feed.city.name}'s {feed.dataset.name} months, serialised and compressed, ready to be sent.",
        code_version=CODE_VERSION,
        deps=[asset_key(feed, "monthly")],
    )
    def warm(
        context: dg.AssetExecutionContext, database: DatabaseResource, cache: CacheResource
    ) -> dg.MaterializeResult[None]:
        from city_data.store.cache import name_of
        from city_data.store.cache_seal import read_seal
        from city_data.store.segments import read_segments

        month = Month.parse(context.partition_key)
        entry, store = database.entry(feed, month), cache.open()
        if entry is None or entry.version is None:
            return dg.MaterializeResult(metadata={"cached": False, "bytes": 0.0})
        wanted = [(month, entry.version)]
        loaded = {wanted[0]: entry.loaded_at}
        segments = read_segments(database.open(), feed.dataset.name, feed.city.city_id, wanted, loaded)
        seal = read_seal(database.open())
        cached = all(
            store.put_segment(name_of(feed.dataset.name, feed.city.city_id, *key), entry.identity, segment, seal)
            for key, segment in segments.items()
        )
        size = sum(len(segment.body) for segment in segments.values())
        return dg.MaterializeResult(
            metadata={"cached": cached, "bytes": float(size), "version": entry.version, "cache": store.status()}
        )

    return warm
