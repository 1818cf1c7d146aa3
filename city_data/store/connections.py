"""The process's shared connections: one database pool and one Redis client for all runs.

Belongs here: sharing. Does not: the connections themselves (database.py, cache.py).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from city_data.store.cache import Cache
    from city_data.store.database import Database

# A run can wait for Redis longer than a reader, whose timeout is 0.1 s.
CACHE_TIMEOUT_S = 2.0
# The steps of a run follow each other more closely.
TRUSTED_S = 1.0


@cache
def shared_database(url: str) -> Database:
    """One pool a process, however many runs it executes."""
    from city_data.store.database import Database

    return Database(url, trusted_s=TRUSTED_S)


@cache
def shared_cache(url: str | None) -> Cache:
    from city_data.store.cache import Cache

    return Cache(url, timeout_s=CACHE_TIMEOUT_S)
