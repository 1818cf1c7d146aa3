"""The route of the training frame. Belongs here: its path, parameters, documentation and headers.

Does not: joining months (bodies/training_reader.py), or defining columns (city_data/frames/training.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, create_model
from pydantic_core import to_jsonable_python
from starlette.responses import Response
from starlette.types import Scope

from api.attribution import attribution_headers
from api.bodies.answering import respond
from api.bodies.reader import Answer
from api.bodies.responses import common_headers, etag, saved_as
from api.bodies.training_reader import Joiner
from api.history_service import HistoryService
from api.observability import request_log
from api.query.city import city_for
from api.query.formats import format_for
from api.query.historical_request import TENANT_PATH
from api.query.interval import parse_interval
from api.query.representation import Representation, with_encoding
from api.query.snapshots import months_for
from api.routes.parameters import (
    RESPONSE_HEADERS,
    AsOf,
    CityId,
    EndDate,
    FormatParameter,
    Latitude,
    Longitude,
    SnapshotVersion,
    StartDate,
    add_read,
    documented,
)
from api.routes.schemas import JSON_TYPES
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName
from city_data.frames.grids import DAYPARTS_TEXT, Grid
from city_data.frames.training_columns import TrainingColumn, columns_of_every_grid, framed
from city_data.store.plans import plan
from city_data.store.record_tables import Shape
from city_data.store.training_plans import TrainingPlan, join_plans
from city_data.window import Interval

# An hourly frame of ten years would be hundreds of megabytes of JSON; no retention window is that long.
MOST_HOURLY_DAYS = 1_100
ResolutionParameter = Annotated[
    Grid,
    Query(
        description="A row for every local day of the range, for every part of a day on the city's clocks "
        f"({DAYPARTS_TEXT}), or for every hour"
    ),
]

_NAMES = [dataset.name for dataset in framed()]


def _header(name: DatasetName, fact: str) -> str:
    return f"X-{name.capitalize()}-{fact}"


def _headers_of(name: DatasetName) -> dict[str, str]:
    return {
        _header(name, "Coverage"): f"Share (0..1) of the requested range that has {name}",
        _header(name, "Resolution"): f"Stored resolution of {name} in the range: `daily` on a finer grid "
        "repeats the day's values in each row, with the day's totals, and `hourly` on a coarser one is aggregated by "
        f"the day rule; absent without {name}",
    }


_MISSING = ",".join(f"{name}/2026-11" for name in _NAMES)
_RESPONSE_HEADERS = {
    **RESPONSE_HEADERS,
    "X-Coverage": f"The smallest of {', '.join(_header(name, 'Coverage') for name in _NAMES)}",
    "X-Missing-Months": f"Months of the range without data, such as {_MISSING}; absent where there are none",
    **{header: text for name in _NAMES for header, text in _headers_of(name).items()},
    "X-Calendar": "Sources of what is known of days ahead, such as holidays. A month's provenance has the rest",
}

_TYPES: dict[str, Any] = {**JSON_TYPES, "moment": datetime, "day": date}


def _field(column: TrainingColumn, grid: Grid | None) -> tuple[Any, Any]:
    text = f"{column.description}{f', {column.unit}' if column.unit else ''}"
    example, kind = to_jsonable_python(column.example), _TYPES[column.kind]
    if grid is not None:
        return kind, Field(default=None, description=f"{text}; only with resolution={grid}", examples=[example])
    return (kind | None if column.nullable else kind), Field(description=text, examples=[example])


def training_record() -> type[BaseModel]:
    """A row of the frame, for the OpenAPI document."""
    columns: Mapping[str, Any] = {column.name: _field(column, grid) for column, grid in columns_of_every_grid()}
    return create_model("TrainingRecord", **columns)


@dataclass(frozen=True)
class Training:
    """The route and its dependencies; one per application."""

    service: HistoryService
    joiner: Joiner

    def router(self) -> APIRouter:
        router = APIRouter()
        description = "A record for every day, part of a day or hour of the range, oldest first, also without data"
        add_read(
            router,
            f"{TENANT_PATH}/operations/training-frame",
            self.frame,
            summary=f"{', '.join(_NAMES).capitalize()} of a location on one grid",
            tags=["training"],
            **documented(list[training_record()], description, _RESPONSE_HEADERS),  # type: ignore[misc]
        )
        return router

    async def frame(
        self,
        request: Request,
        tenant_id: UUID,
        start_date: StartDate,
        end_date: EndDate,
        latitude: Latitude = None,
        longitude: Longitude = None,
        city_id: CityId = None,
        resolution: ResolutionParameter = "daily",
        version: SnapshotVersion = None,
        as_of: AsOf = None,
        format: FormatParameter = None,  # noqa: A002  the parameter's name
    ) -> Response:
        """The columns of every dataset, one row for every local day, part of a day or hour.

        Missing values are null and marked in `<column>_missing` columns; nothing is filled in. Days ahead have the
        columns that are known ahead. A day is aggregated from at least 20 hours with a value, a part of a day from
        three quarters of its hours, and null otherwise, by the mean (amounts and durations: the sum; lowest, highest
        and strongest values: those of the period; speed: weighted by volume; congestion: the worst hour).
        """
        city, distance = await city_for(
            self.service.registry, self.service.tenants, "query", tenant_id, latitude, longitude, city_id
        )
        interval = parse_interval("query", start_date, end_date, city.timezone, self._most(resolution))
        request_log(request.scope).add_range(tenant_id, city.city_id, distance, interval.days)
        representation = with_encoding(format_for(format, request.headers), Shape(), request.headers)
        return await respond(
            request,
            representation,
            make_plan=lambda fresh: self._plan(city, interval, resolution, version, as_of, fresh),
            headers_of=lambda frame_plan: (
                _headers(frame_plan, distance, representation) | attribution_headers(*frame_plan.plans.values())
            ),
            read=lambda frame_plan: self._read(request.scope, frame_plan, representation),
        )

    async def _read(self, scope: Scope, plan: TrainingPlan, representation: Representation) -> Answer:
        self.service.charge(scope, len(plan.months))
        return await self.joiner.answer(plan, representation)

    def _most(self, grid: Grid) -> int:
        most = self.service.max_days
        return min(most, MOST_HOURLY_DAYS) if grid == "hourly" else most

    async def _plan(
        self,
        city: City,
        interval: Interval,
        grid: Grid,
        version: str | None,
        moment: str | None,
        fresh: bool,
    ) -> TrainingPlan:
        months = {
            name: await months_for(
                self.service.versions,
                "query",
                city,
                name,
                version=version,
                moment=moment,
                fresh=fresh,
                # Ids of earlier releases do not name these: their columns are missing in that answer.
                optional=DATASETS[name].months_ahead > 0,
            )
            for name in _NAMES
        }
        return join_plans({name: plan(city, name, interval, months[name]) for name in _NAMES}, grid)


def _headers(frame_plan: TrainingPlan, distance_km: float, representation: Representation) -> dict[str, str]:
    """The headers that depend on the plan alone, and so are equal for 200 and 304."""
    coverages = {name: frame_plan.plans[name].coverage_text for name in _NAMES}
    missing = [f"{name}/{month}" for name in _NAMES for month in frame_plan.plans[name].missing]
    headers = {
        "ETag": etag(frame_plan.tag, representation),
        **common_headers(frame_plan.snapshot, distance_km, min(coverages.values()), missing),
        **saved_as(representation, lambda: _file_stem(frame_plan)),
        "X-Calendar": ", ".join(frame_plan.sources_ahead),
    }
    for name, text in coverages.items():
        headers[_header(name, "Coverage")] = text
        if resolutions := frame_plan.resolutions(name):
            headers[_header(name, "Resolution")] = ", ".join(resolutions)
    return headers


def _file_stem(frame_plan: TrainingPlan) -> str:
    """City, grid, first and last local day."""
    zone = ZoneInfo(frame_plan.city.timezone)
    days = [moment.astimezone(zone).date() for moment in frame_plan.stamps[:1] + frame_plan.stamps[-1:]]
    return "_".join([frame_plan.city.city_id, "training", frame_plan.grid, *map(str, days)])
