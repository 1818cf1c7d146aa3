"""Months of frames, from the stored versions that a plan names. Belongs here: reading, decoding and joining them.

Does not: how they are joined (frames/training.py), or their bodies and caches (api/).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from city_data.datasets import DATASETS, DatasetName
from city_data.frames import training
from city_data.frames.grids import grid_stamps
from city_data.store.database import Database
from city_data.store.plans import loaded_at
from city_data.store.training_plans import TrainingPlan
from city_data.store.versions import NoSuchVersion, decode_frame, read_frames
from city_data.window import Month

if TYPE_CHECKING:
    import pyarrow as pa

_Parts = Mapping[DatasetName, training.Part]
_THREADS = 2  # decoding takes as long as all of the database's work, and needs no interpreter
_MONTHS_TOGETHER = 6  # of a single month most of the time is Arrow's calls


def read_months(database: Database, plan: TrainingPlan, months: Sequence[Month]) -> Iterator[pa.Table]:
    """The joined months, in order. Raises NoSuchVersion, DatabaseUnavailable."""
    parts = _read_parts(database, plan, months)
    for some in _stretches(months, parts):
        yield from _each_copied(
            training.training_frame(plan.city, some, plan.grid, _of_stretch([parts.pop(month) for month in some])),
            [len(grid_stamps(month, plan.city.timezone, plan.grid)) for month in some],
        )


def _each_copied(table: pa.Table, rows: Sequence[int]) -> Iterator[pa.Table]:
    """The months by themselves, of so many rows each. A slice keeps the memory of all months that were joined with it;
    and Arrow writes the bits between its last row and the end of a byte as they are, so that equal months had different
    bytes.
    """
    import pyarrow as pa

    for first, end in pairwise([0, *accumulate(rows)]):
        month = table.slice(first, end - first)
        yield pa.concat_tables([month, month.slice(0, 0)]).combine_chunks()


def _read_parts(database: Database, plan: TrainingPlan, months: Sequence[Month]) -> dict[Month, _Parts]:
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


def _stretches(months: Sequence[Month], parts: Mapping[Month, _Parts]) -> Iterator[list[Month]]:
    """Months in order, at most _MONTHS_TOGETHER, in which no dataset has two resolutions."""
    some, known = list[Month](), dict[DatasetName, str]()
    for month in months:
        resolutions = {name: part.resolution for name, part in parts[month].items()}
        differs = any(known.get(name, one) != one for name, one in resolutions.items())
        if some and (differs or len(some) == _MONTHS_TOGETHER):
            yield some
            some, known = [], {}
        some.append(month)
        known |= resolutions
    if some:
        yield some


def _of_stretch(parts: Sequence[_Parts]) -> _Parts:
    """One part for each dataset, of the rows of all months that have any."""
    import pyarrow as pa

    by_name: dict[DatasetName, list[training.Part]] = {}
    for of_month in parts:
        for name, part in of_month.items():
            by_name.setdefault(name, []).append(part)
    return {
        name: replace(some[0], table=pa.concat_tables([part.table for part in some])) for name, some in by_name.items()
    }
