"""Remembered plans. Belongs here: their cache, and the months that they share.

Does not: making a plan (city_data/store/plans.py, training_plans.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from city_data.cities import City
from city_data.datasets import DatasetName
from city_data.frames.grids import Grid
from city_data.frames.leads import Lead
from city_data.lru_cache import LruCache
from city_data.store.plans import MonthSlice, Plan, plan, whole_month
from city_data.store.snapshot_ids import StoredVersion
from city_data.store.training_plans import TrainingPlan, join_plans
from city_data.window import Interval, Month

_REMEMBERED = 2_000
_CACHED_SLICES = 50_000


class Plans:
    """A cache of plans, each valid while its city's months are the same object (versions.py).

    Plans share the slices of whole months, so that many plans over the same years stay small."""

    def __init__(self) -> None:
        self._plans: LruCache[tuple[str, DatasetName, Interval], tuple[Mapping[Month, StoredVersion], Plan]]
        self._plans = LruCache(_REMEMBERED)
        self._frames: LruCache[tuple[str, Interval, Grid, Lead | None], TrainingPlan] = LruCache(_REMEMBERED)
        self._whole: LruCache[str, MonthSlice] = LruCache(_CACHED_SLICES)

    def plan(
        self, city: City, dataset: DatasetName, interval: Interval, entries: Mapping[Month, StoredVersion]
    ) -> Plan:
        key = (city.city_id, dataset, interval)
        cached = self._plans.get(key)
        if cached is not None and cached[0] is entries:
            return cached[1]
        latest = plan(city, dataset, interval, entries, self._whole_slice)
        self._plans.put(key, (entries, latest), 1)
        return latest

    def frame(
        self,
        city: City,
        interval: Interval,
        grid: Grid,
        lead: Lead | None,
        entries: Mapping[DatasetName, tuple[DatasetName, Mapping[Month, StoredVersion]]],
    ) -> TrainingPlan:
        """`entries` names for the columns of each dataset the one that fills them, with its months."""
        plans = {name: self.plan(city, of, interval, months) for name, (of, months) in entries.items()}
        key = (city.city_id, interval, grid, lead)
        cached = self._frames.get(key)
        if cached is not None and all(cached.plans[name] is one for name, one in plans.items()):
            return cached
        latest = join_plans(plans, grid, lead)
        self._frames.put(key, latest, 1)
        return latest

    def _whole_slice(self, entry: StoredVersion) -> MonthSlice:
        cached = self._whole.get(entry.identity)
        if cached is None or cached.entry is not entry:
            cached = whole_month(entry)
            self._whole.put(entry.identity, cached, 1)
        return cached
