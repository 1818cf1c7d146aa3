"""The documentation of frames: parameters, headers and the record. Belongs here: what follows from the datasets.

Does not: paths and answers (training.py), or defining columns (city_data/frames/training_columns.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, create_model
from pydantic_core import to_jsonable_python

from api.query.read_requests import RangeRequest, ReadRequest
from api.routes.documentation import RESPONSE_HEADERS
from api.routes.schemas import JSON_TYPES
from city_data.datasets import DATASETS, Dataset, DatasetName
from city_data.frames.grids import DAYPARTS_TEXT, Grid
from city_data.frames.training_columns import TrainingColumn, columns_of_every_grid, framed

OBSERVED = "observed"
NAMES = tuple(dataset.name for dataset in framed())


def only_stand_in() -> Dataset:
    """The dataset of forecasts. Raises NotImplementedError for another number of them, or of their key columns: a frame
    has one parameter for their choice, and one for the lead."""
    listed = [dataset for dataset in DATASETS.values() if dataset.stands_in_for]
    if [len(dataset.key_columns) for dataset in listed] != [1]:
        names = ", ".join(dataset.name for dataset in listed) or "none"
        raise NotImplementedError(
            f"frames offer one dataset that stands in for another, by one key column; datasets.py has {names}: "
            "give api/routes/frame_parameters.py a parameter for each"
        )
    return listed[0]


STAND_IN = only_stand_in()
(_LEADS,) = STAND_IN.key_columns
_LEAST, MOST_LEAD_DAYS = int(_LEADS.low or 0), int(_LEADS.high or 0)
_CHOICES = (OBSERVED, STAND_IN.name)


def _known_choice(value: str) -> str:
    if value not in _CHOICES:
        raise ValueError(f"should be {' or '.join(_CHOICES)}")
    return value


_RESOLUTION = (
    f"A row for every local day of the range, for every part of a day on the city's clocks ({DAYPARTS_TEXT}), or for "
    "every hour"
)


class FrameRequest(RangeRequest):
    """The parameters of a frame of days that passed."""

    resolution: Grid = Field("daily", description=_RESOLUTION)
    choice: Annotated[str, AfterValidator(_known_choice)] = Field(
        OBSERVED,
        alias=STAND_IN.stands_in_for,
        description=f"{OBSERVED}, the default, is what was measured; {STAND_IN.name}, with `lead_days`, what was known "
        "that many days before each day",
        json_schema_extra={"enum": list(_CHOICES)},
    )
    lead_days: int | None = Field(
        None,
        ge=_LEAST,
        le=MOST_LEAD_DAYS,
        description=f"With {STAND_IN.stands_in_for}={STAND_IN.name}: how many days before each day it was known",
        examples=[3],
    )


class AheadRequest(ReadRequest):
    """The parameters of a frame of the days ahead."""

    days: int = Field(
        MOST_LEAD_DAYS,
        ge=_LEAST,
        le=MOST_LEAD_DAYS,
        description="How many days ahead, from tomorrow on",
        examples=[7],
    )
    resolution: Grid = Field("daily", description=_RESOLUTION)
    as_of: str | None = Field(
        None,
        max_length=64,
        description="The moment whose following days are meant, with the data of that time; now without it",
        examples=["2026-11-01T06:00:00Z"],
    )


def header_of(name: DatasetName, fact: str) -> str:
    return f"X-{name.capitalize()}-{fact}"


def _headers_of(name: DatasetName) -> dict[str, str]:
    return {
        header_of(name, "Coverage"): f"Share (0..1) of the expected {name} that is there, by whole months "
        "as in history; of single rows, days ahead among them, `<column>_missing` tells",
        header_of(name, "Resolution"): f"Stored resolution of {name} in the range: `daily` on a finer grid "
        "repeats the day's values in each row, with the day's totals, and `hourly` on a coarser one is aggregated by "
        f"the day rule; absent without {name}",
    }


FRAME_HEADERS = {
    **RESPONSE_HEADERS,
    "X-Coverage": f"The smallest of {', '.join(header_of(name, 'Coverage') for name in NAMES)}",
    "X-Missing-Months": "Months of the range without data, such as "
    f"{','.join(f'{name}/2026-11' for name in NAMES)}; absent where there are none",
    **{header: text for name in NAMES for header, text in _headers_of(name).items()},
    "X-Calendar": "Sources of what is known of days ahead, such as holidays. A month's provenance has the rest",
}
_TYPES: dict[str, Any] = {**JSON_TYPES, "moment": datetime, "day": date}


def frame_record() -> type[BaseModel]:
    """A row of a frame, for the OpenAPI document."""
    columns: Mapping[str, Any] = {column.name: _field(column, grid) for column, grid in columns_of_every_grid()}
    return create_model("TrainingRecord", **columns)


def _field(column: TrainingColumn, grid: Grid | None) -> tuple[Any, Any]:
    text = f"{column.description}{f', {column.unit}' if column.unit else ''}"
    example, kind = to_jsonable_python(column.example), _TYPES[column.kind]
    if grid is not None:
        return kind, Field(default=None, description=f"{text}; only with resolution={grid}", examples=[example])
    return (kind | None if column.nullable else kind), Field(description=text, examples=[example])
