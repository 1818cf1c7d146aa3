"""Plans of training frames. Belongs here: the joint plan of all datasets over one range.

Does not: a dataset's plan (plans.py), or joining a month (city_data/frames/training.py).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName, Resolution, stand_ins
from city_data.frames import training
from city_data.frames.grids import Grid, day_of, grid_stamps
from city_data.frames.leads import Lead
from city_data.frames.training_columns import framed
from city_data.store.plans import MonthSlice, Plan
from city_data.store.snapshot_ids import SnapshotId, StoredVersion, digest
from city_data.window import Interval, Month

# Part of the tag: raise it when the columns or their computation change, since that changes the answer.
METHOD = 8


@dataclass(frozen=True)
class TrainingPlan:
    """A plan for the columns of each dataset, over the same range: of its own months, or of its forecasts' months.

    `snapshot` and `tag` name all; `months` are those of the range; `lead` names the forecasts.
    """

    city: City
    grid: Grid
    interval: Interval
    plans: Mapping[DatasetName, Plan]
    months: tuple[Month, ...]
    snapshot: SnapshotId
    tag: str
    lead: Lead | None = None

    @cached_property
    def stamps(self) -> list[datetime]:
        """The `date` of every row."""
        stamps = [stamp for month in self.months for stamp in grid_stamps(month, self.city.timezone, self.grid)]
        return stamps[bisect_left(stamps, self.interval.start) : bisect_left(stamps, self.interval.end)]

    @property
    def sources_ahead(self) -> list[str]:
        """The sources of the datasets that reach days ahead."""
        ahead = [plan for name, plan in self.plans.items() if DATASETS[name].months_ahead]
        return sorted({one.entry.source for plan in ahead for one in plan.slices if one.entry.source is not None})

    @property
    def coverage_text(self) -> str:
        """The least of the datasets' coverages."""
        return min(plan.coverage_text for plan in self.plans.values())

    @property
    def missing(self) -> list[str]:
        """Every dataset's months without data, such as weather/2026-11."""
        return [f"{plan.dataset}/{month}" for plan in self.plans.values() for month in plan.missing]

    @property
    def entries(self) -> list[StoredVersion]:
        return [entry for plan in self.plans.values() for entry in plan.entries]

    @property
    def stem(self) -> str:
        """The name of the frame's file: city, kind of frame, grid, first and last local day."""
        kind, lead = "training", self.lead
        if lead is not None:
            (forecasts,) = {plan.dataset for name, plan in self.plans.items() if plan.dataset != name}
            kind = forecasts if lead.on is not None else f"training_lead_{lead.days}"
        days = map(day_of(self.city.timezone), self.stamps[:1] + self.stamps[-1:])
        return "_".join([self.city.city_id, kind, self.grid, *map(str, days)])

    @cached_property
    def slices(self) -> dict[DatasetName, dict[Month, MonthSlice]]:
        """The stored months of each dataset's columns."""
        return {name: {one.entry.month: one for one in plan.slices} for name, plan in self.plans.items()}

    def is_whole(self, month: Month) -> bool:
        """Whether the range has all of the month's days."""
        start, end = month.bounds(self.city.timezone)
        return self.interval.start <= start and end <= self.interval.end

    def month_key(self, month: Month) -> str:
        """Names what a joined month is made of: equal keys mean equal rows."""
        identities = [slices[month].identity if month in slices else "" for slices in self.slices.values()]
        return "\n".join([self.grid, str(self.lead), self.city.city_id, str(month), *identities])

    def resolutions(self, dataset: DatasetName) -> list[Resolution]:
        """The stored resolutions of the dataset in the range: usually one, none without data."""
        resolutions = [training.resolution_of(p.entry.expected_rows, p.entry.month) for p in self.plans[dataset].slices]
        return list(dict.fromkeys(resolutions))


def frame_datasets(forecasts: str | None = None) -> dict[DatasetName, DatasetName]:
    """The dataset of each dataset's columns: itself, or the stand-in that `forecasts` names."""
    return {
        dataset.name: next((one.name for one in stand_ins(dataset) if one.name == forecasts), dataset.name)
        for dataset in framed()
    }


def join_plans(plans: Mapping[DatasetName, Plan], grid: Grid, lead: Lead | None = None) -> TrainingPlan:
    """The joint plan; `plans` is as `frame_datasets` gives the datasets, for one city and interval."""
    first = next(iter(plans.values()))
    city, interval = first.city, first.interval
    ordered = sorted(plans.values(), key=lambda plan: list(DATASETS).index(plan.dataset))
    months = {plan.dataset: plan.snapshot.months[plan.dataset] for plan in ordered}
    identities = [month_slice.identity for plan in ordered for month_slice in plan.slices]
    place = [city.timezone, str(city.latitude), str(city.longitude)]  # of daylight, too
    named = [*(plan.tag for plan in ordered), grid, str(lead), *place, str(METHOD)]
    last = Month.at(interval.end, city.timezone)
    touched = Month.at(interval.start, city.timezone).until(last + 1)
    return TrainingPlan(
        city=city,
        grid=grid,
        interval=interval,
        plans=plans,
        months=tuple(month for month in touched if month.bounds(city.timezone)[0] < interval.end),
        snapshot=SnapshotId(city.city_id, months, digest(identities)),
        tag=hashlib.sha256("\n".join(named).encode()).hexdigest()[:32],
        lead=lead,
    )
