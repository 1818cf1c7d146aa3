"""Madrid's 24 months of every dataset of a frame, as finely as any source has them, and a COPY of their rows.

Belongs here: filling, and the COPY. Does not: the reader, or the months' names (world.py).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psycopg
import yaml

from city_data.cities import DEFAULT_FILE, load_registry
from city_data.datasets import DATASETS, Dataset, DatasetName, expected_stamps
from city_data.frames import canonical
from city_data.pipeline.feeds import record_providers
from city_data.providers import discover
from city_data.store.database import Database
from city_data.store.migrate import upgrade
from city_data.store.months import MonthLoad, replace_month
from city_data.window import Month
from city_data_tests.api.conftest import month_load
from city_data_tests.bench.serving.world import FIRST, LAST, MONTHS, ZONE
from city_data_tests.calendar_months import calendar_frame

# With as many digits as Open-Meteo's hours and Madrid's means have.
_VALUES: Mapping[str, Callable[[random.Random], object]] = {
    "temperature": lambda chance: round(chance.gauss(15, 8), 1),
    "precipitation": lambda chance: round(max(0.0, chance.gauss(-2, 2)), 1),
    "humidity": lambda chance: chance.randint(20, 100),
    "wind_speed": lambda chance: round(chance.random() * 40 / 3.6, 2),
    "pressure": lambda chance: round(chance.gauss(1015, 8), 1),
    "description": lambda chance: chance.choice(["clear sky", "clear sky", "overcast", "light rain"]),
    "cloud_cover": lambda chance: chance.randint(0, 100),
    "wind_gust": lambda chance: round(chance.random() * 90 / 3.6, 2),
    "sunshine_duration": lambda chance: round(chance.random() * 60, 2),
    "snowfall": lambda _: 0.0,
    "traffic_volume": lambda chance: round(chance.gauss(420, 160) % 2000, 2),
    "average_speed": lambda chance: round(chance.gauss(61, 9), 2),
    "congestion_level": lambda chance: chance.choice(["low", "low", "medium", "high"]),
}


def fill(url: str) -> None:
    """The months of every dataset, all hourly but for the calendar."""
    database, chance = Database(url), random.Random(7)
    upgrade(database)
    record_providers(database, discover().values())
    for dataset in DATASETS.values():
        for month in MONTHS:
            replace_month(database, _load(dataset, month, chance))
    database.dispose()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"VACUUM ANALYZE")


def registry(folder: Path) -> Path:
    """Madrid with weather of a source that has hours."""
    (madrid,) = [one for one in yaml.safe_load(DEFAULT_FILE.read_text())["cities"] if one["city_id"] == "madrid"]
    path = folder / "cities.yaml"
    path.write_text(yaml.safe_dump({"cities": [madrid | {"weather": {"provider": "open_meteo"}}]}))
    return path


def _load(dataset: Dataset, month: Month, chance: random.Random) -> MonthLoad:
    load = month_load("calendar" if dataset.name == "calendar" else "traffic", str(month))
    if dataset.name == "calendar":
        return replace(load, frame=calendar_frame(load_registry().get("madrid"), month))
    keys = [(stamp, *others) for stamp in expected_stamps(month, ZONE, "hourly") for others in dataset.key_values]
    columns: dict[str, object] = {name: [key[n] for key in keys] for n, name in enumerate(dataset.key)}
    for name in dataset.column_names:
        if (value := _VALUES.get(name)) is not None:
            columns[name] = [value(chance) for _ in keys]
    columns |= {"date": pd.DatetimeIndex([key[0] for key in keys]), "source": dataset.example_source}
    frame = canonical.canonical_frame(pd.DataFrame(columns), dataset)
    return replace(load, dataset=dataset.name, frame=frame, source=dataset.example_source, expected_rows=len(keys))


def copy_ms(connection: psycopg.Connection[tuple[object, ...]], datasets: list[DatasetName], lead: int | None) -> float:
    """The time of one COPY of the range's rows of each dataset's table, in order; of forecasts those of the lead."""
    started = time.perf_counter()
    for name in datasets:
        dataset = DATASETS[name]
        ours = f" AND {dataset.key_columns[0].name} = {lead}" if dataset.key_columns else ""
        rows = (
            f"SELECT {', '.join([*dataset.key, *dataset.column_names, 'source'])} FROM {dataset.table}"
            f" WHERE city_id = 'madrid' AND date >= '{FIRST.bounds(ZONE)[0]}' AND date < '{LAST.bounds(ZONE)[1]}'{ours}"
            " ORDER BY date"
        )
        with connection.cursor() as cursor, cursor.copy(f"COPY ({rows}) TO STDOUT".encode()) as copy:
            if not sum(len(block) for block in copy):
                raise RuntimeError(f"no rows of {name}")
    return (time.perf_counter() - started) * 1000
