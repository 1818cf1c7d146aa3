"""Parts of frames' months, from the stored versions that a plan names. Belongs here: reading and decoding them.

Does not: how a month is joined (frames/training.py), or its bodies and their caches (api/).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from city_data.datasets import DATASETS, DatasetName
from city_data.frames import training
from city_data.store.database import Database
from city_data.store.plans import loaded_at
from city_data.store.training_plans import TrainingPlan
from city_data.store.versions import NoSuchVersion, decode_frame, read_frames
from city_data.window import Month

Parts = Mapping[DatasetName, training.Part]
_THREADS = 2  # decoding takes as long as all of the database's work, and needs no interpreter


def read_parts(database: Database, plan: TrainingPlan, months: Sequence[Month]) -> dict[Month, Parts]:
    """The parts that each month is joined of. Raises NoSuchVersion, DatabaseUnavailable."""
    parts: dict[Month, dict[DatasetName, Future[training.Part]]] = {month: {} for month in months}
    with ThreadPoolExecutor(_THREADS) as decoding:
        for name, slices in plan.slices.items():
            loaded = loaded_at([slices[month] for month in months if month in slices])
            frames = read_frames(database, plan.plans[name].dataset, plan.city.city_id, list(loaded), loaded)
            for (month, _), frame in frames.items():
                parts[month][name] = decoding.submit(_part, plan, name, month, frame)
    return {month: {name: part.result() for name, part in of_month.items()} for month, of_month in parts.items()}


def _part(plan: TrainingPlan, name: DatasetName, month: Month, frame: bytes) -> training.Part:
    dataset, month_slice = DATASETS[plan.plans[name].dataset], plan.slices[name][month]
    table = decode_frame(frame, dataset)
    if table.num_rows != month_slice.entry.rows:
        raise NoSuchVersion(f"{month_slice.identity}: the month was dropped and reloaded")
    resolution = training.resolution_of(month_slice.entry.expected_rows, month)
    return training.Part(dataset, table, resolution, plan.lead if dataset.stands_in_for else None)
