"""Months of frames, joined from the stored versions that a plan names. Belongs here: reading the versions.

Does not: how a month is joined (frames/training.py), or its bodies and their caches (api/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from city_data.datasets import DATASETS, DatasetName
from city_data.frames import training
from city_data.store.database import Database
from city_data.store.plans import loaded_at
from city_data.store.training_plans import TrainingPlan
from city_data.store.versions import NoSuchVersion, decode_frame, read_frames
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa


Stored = Mapping[DatasetName, Mapping[Month, bytes]]


def read_stored(database: Database, plan: TrainingPlan, months: Sequence[Month]) -> Stored:
    """The stored frames that fill each dataset's columns. Raises NoSuchVersion, DatabaseUnavailable."""
    stored = {}
    for name, slices in plan.slices.items():
        loaded = loaded_at([slices[month] for month in months if month in slices])
        frames = read_frames(database, plan.plans[name].dataset, plan.city.city_id, list(loaded), loaded)
        stored[name] = {month: frame for (month, _), frame in frames.items()}
    return stored


def join_month(plan: TrainingPlan, month: Month, stored: Stored) -> pa.Table:
    """The month of the plan. Raises NoSuchVersion where one of its frames is another load's."""
    parts = {name: _part(plan, name, month, frames[month]) for name, frames in stored.items() if month in frames}
    return training.month_frame(plan.city, month, plan.grid, parts)


def _part(plan: TrainingPlan, name: DatasetName, month: Month, frame: bytes) -> training.Part:
    dataset, month_slice = DATASETS[plan.plans[name].dataset], plan.slices[name][month]
    table = decode_frame(frame, dataset)
    if table.num_rows != month_slice.entry.rows:
        raise NoSuchVersion(f"{month_slice.identity}: the month was dropped and reloaded")
    resolution = training.resolution_of(month_slice.entry.expected_rows, month)
    return training.Part(dataset, table, resolution, plan.lead if dataset.stands_in_for else None)
