"""Plans of training frames. Belongs here: the joint plan of all datasets over one range.

Does not: a dataset's plan (plans.py), or joining a month (city_data/frames/training.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution
from city_data.frames import training
from city_data.frames.grids import Grid, grid_stamps
from city_data.frames.training_columns import framed
from city_data.store.plans import MonthSlice, Plan
from city_data.store.snapshot_ids import SnapshotId, digest
from city_data.window import Interval, Month

# Part of the tag: raise it when the columns or their computation change, since that changes the answer.
METHOD = 5


@dataclass(frozen=True)
class TrainingPlan:
    """A plan for each dataset, over the same range. `snapshot` and `tag` name all; `months` are those of the range."""

    city: City
    grid: Grid
    interval: Interval
    plans: Mapping[DatasetName, Plan]
    months: tuple[Month, ...]
    snapshot: SnapshotId
    tag: str

    @property
    def stamps(self) -> list[datetime]:
        """The `date` of every row."""
        whole = (stamp for month in self.months for stamp in grid_stamps(month, self.city.timezone, self.grid))
        return [stamp for stamp in whole if self.interval.start <= stamp < self.interval.end]

    @property
    def sources_ahead(self) -> list[str]:
        """The sources of the datasets that reach days ahead."""
        ahead = [plan for name, plan in self.plans.items() if DATASETS[name].months_ahead]
        return sorted({one.entry.source for plan in ahead for one in plan.slices if one.entry.source is not None})

    def slices(self, dataset: DatasetName) -> dict[Month, MonthSlice]:
        return {month_slice.entry.month: month_slice for month_slice in self.plans[dataset].slices}

    def resolutions(self, dataset: DatasetName) -> list[Resolution]:
        """The stored resolutions of the dataset in the range: usually one, none without data."""
        resolutions = [training.resolution_of(p.entry.expected_rows, p.entry.month) for p in self.plans[dataset].slices]
        return list(dict.fromkeys(resolutions))


def join_plans(plans: Mapping[DatasetName, Plan], grid: Grid) -> TrainingPlan:
    """The joint plan; `plans` has every dataset, for one city and interval."""
    ordered = {dataset.name: plans[dataset.name] for dataset in framed()}
    first = next(iter(ordered.values()))
    city, interval = first.city, first.interval
    months = {name: plan.snapshot.months[name] for name, plan in ordered.items()}
    identities = [month_slice.identity for plan in ordered.values() for month_slice in plan.slices]
    named = [*(plan.tag for plan in ordered.values()), grid, city.timezone, str(METHOD)]
    last = Month.at(interval.end, city.timezone)
    touched = Month.at(interval.start, city.timezone).until(last + 1)
    return TrainingPlan(
        city=city,
        grid=grid,
        interval=interval,
        plans=ordered,
        months=tuple(month for month in touched if month.bounds(city.timezone)[0] < interval.end),
        snapshot=SnapshotId(city.city_id, months, digest(identities)),
        tag=hashlib.sha256("\n".join(named).encode()).hexdigest()[:32],
    )
