"""The route of the training frame. Belongs here: its path, parameters, documentation and headers.

Does not: joining months (bodies/training_reader.py), or what the columns are (city_data/training.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, create_model
from pydantic_core import to_jsonable_python
from starlette.responses import Response

from api.attribution import attribution_headers
from api.bodies.responses import common_headers, distance_text, etag, respond, saved_as
from api.bodies.training_reader import Joiner, TrainingPlan, join_plans
from api.observability import note
from api.query.city import city_of_tenant
from api.query.formats import format_for
from api.query.interval import Interval, parse_interval
from api.query.planning import plan
from api.query.representation import encoded
from api.query.shapes import Representation, Shape
from api.query.snapshots import Snapshots
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from api.routes.history import (
    SAID,
    TENANT_PATH,
    AsOf,
    EndDate,
    FormatAsked,
    Latitude,
    Longitude,
    SnapshotVersion,
    StartDate,
    add_read,
    documented,
)
from api.settings import Settings
from city_data import calendar_days
from city_data.cities import City, Registry
from city_data.datasets import DATASETS, Resolution
from city_data.frames.training import TrainingColumn, training_columns

# An hourly frame of ten years would be hundreds of megabytes of JSON; no window is that long.
MOST_HOURLY_DAYS = 1_100
ResolutionAsked = Annotated[Resolution, Query(description="A row for every local day, or for every hour, of the range")]
_SAID = {
    **SAID,
    "X-Coverage": "The smaller of X-Weather-Coverage and X-Traffic-Coverage",
    "X-Weather-Coverage": "Share (0..1) of the range asked that has weather",
    "X-Traffic-Coverage": "Share (0..1) of the range asked that has traffic",
    "X-Missing-Months": "Months of the range that hold nothing, such as weather/2026-11,traffic/2026-11; absent where "
    "there are none",
    "X-Weather-Resolution": "How weather is held in the range: `daily` on an hourly grid gives each hour its day's "
    "values, precipitation being the whole day's; absent where none is held",
    "X-Traffic-Resolution": "How traffic is held in the range: `hourly` on a daily grid is made days by the day rule; "
    "absent where none is held",
    "X-Calendar": "What the holidays come from: library, version, country and region",
}

_TYPES: dict[str, Any] = {"moment": datetime, "day": date, "number": float, "text": str, "integer": int, "flag": bool}


def _field(column: TrainingColumn) -> tuple[Any, Any]:
    text = f"{column.description}{f', {column.unit}' if column.unit else ''}"
    example, kind = to_jsonable_python(column.example), _TYPES[column.kind]
    if column.name == "hour":
        return int, Field(default=None, description=f"{text}; only in an hourly frame", examples=[example])
    return (kind | None if column.nullable else kind), Field(description=text, examples=[example])


def training_record() -> type[BaseModel]:
    """A row of the frame, for the OpenAPI document."""
    columns: Mapping[str, Any] = {column.name: _field(column) for column in training_columns("hourly")}
    return create_model("TrainingRecord", **columns)


@dataclass(frozen=True)
class Training:
    """What the route needs; one an app."""

    registry: Registry
    settings: Settings
    versions: Versions
    joiner: Joiner
    tenants: TenantLocations | None

    def router(self) -> APIRouter:
        router = APIRouter()
        what = "A record for every local day or hour of the range, oldest first, whatever is held"
        add_read(
            router,
            f"{TENANT_PATH}/operations/training-frame",
            self.frame,
            summary="Weather, traffic and calendar of a location on one grid",
            tags=["training"],
            **documented(list[training_record()], what, _SAID),  # type: ignore[misc]
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
        resolution: ResolutionAsked = "daily",
        version: SnapshotVersion = None,
        as_of: AsOf = None,
        format: FormatAsked = None,  # noqa: A002  the parameter's name
    ) -> Response:
        """Weather joined with traffic and calendar columns, one row for every local day (or hour) of the range.

        What is missing is null and marked in a `<column>_missing` of its own: nothing is filled in. Days that lie
        ahead have their calendar alone. Hours become days by a stated rule: 20 hours with a value, or the day is null;
        the mean (precipitation: the sum; speed: weighted by volume; congestion: the day's worst hour).
        """
        city, distance = await city_of_tenant(self.registry, self.tenants, "query", tenant_id, latitude, longitude)
        interval = parse_interval("query", start_date, end_date, city.timezone, self._most(resolution))
        about = note(request.scope)
        about.add_range(tenant_id, city.city_id, distance, interval.days)
        form = encoded(format_for(format, request.headers), Shape(), request.headers)
        return await respond(
            request.headers,
            form,
            about,
            plan=lambda fresh: self._plan(city, interval, resolution, version, as_of, fresh),
            say=lambda made: _headers(made, distance, form) | attribution_headers(*made.plans.values()),
            read=lambda made: self.joiner.answer(made, form),
        )

    def _most(self, resolution: Resolution) -> int:
        most = self.settings.api_max_range_days
        return most if resolution == "daily" else min(most, MOST_HOURLY_DAYS)

    async def _plan(
        self,
        city: City,
        interval: Interval,
        resolution: Resolution,
        version: str | None,
        moment: str | None,
        fresh: bool,
    ) -> TrainingPlan:
        snapshots = Snapshots(self.versions)
        plans = {
            name: plan(
                city,
                name,
                interval,
                await snapshots.months("query", city, name, version=version, moment=moment, fresh=fresh),
            )
            for name in DATASETS
        }
        return join_plans(plans, resolution)


def _headers(made: TrainingPlan, distance_km: float, form: Representation) -> dict[str, str]:
    """What can be said before the body is made; a 304 says the same."""
    coverages = {name: made.plans[name].coverage_text for name in DATASETS}
    where = quote("-".join(part for part in (made.city.country, made.city.region) if part), safe=" ")
    missing = [f"{name}/{month}" for name in DATASETS for month in made.plans[name].missing]
    headers = {
        "ETag": etag(made.tag, form),
        **common_headers(made.snapshot, distance_text(distance_km), min(coverages.values()), missing),
        **saved_as(form, lambda: _file_stem(made)),
        "X-Calendar": f"{calendar_days.method()}; {where}",
    }
    for name, text in coverages.items():
        headers[f"X-{name.capitalize()}-Coverage"] = text
        if held := made.resolutions(name):
            headers[f"X-{name.capitalize()}-Resolution"] = ", ".join(held)
    return headers


def _file_stem(made: TrainingPlan) -> str:
    """City, resolution, first and last local day."""
    zone = ZoneInfo(made.city.timezone)
    days = [moment.astimezone(zone).date() for moment in made.stamps[:1] + made.stamps[-1:]]
    return "_".join([made.city.city_id, "training", made.resolution, *map(str, days)])
