"""Months of a feed in a database, by the steps that a run takes, without Dagster: a tenth of its time.

Belongs here: fetching, building and storing. Does not: any test, or a platform (world.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from city_data.pipeline.build import build_month, month_load
from city_data.pipeline.feeds import Feed
from city_data.pipeline.fetch import fetch_month
from city_data.providers.http import HttpClient
from city_data.store.database import Database
from city_data.store.months import replace_month
from city_data.store.raw import RawArchive
from city_data.window import Month


def store_months(database: Database, archive: RawArchive, feed: Feed, months: Sequence[Month], at: datetime) -> None:
    http = HttpClient(feed.primary.provider.name, feed.primary.provider.capabilities)
    for month in months:
        fetch_month(feed, month, at, archive, lambda _: http)
        built = build_month(feed, month, archive)
        assert not built.refused
        replace_month(database, month_load(feed, month, built, None, "test", 1, at))
