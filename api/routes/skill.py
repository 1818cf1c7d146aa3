"""The route of the forecasts' skill. Belongs here: its path, its documentation, and the answer's fields.

Does not: pairs and errors (city_data/store/skill.py), or forecasts themselves (training.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.types import Scope

from api.errors import ErrorResponse
from api.query.city import enabled_city
from api.routes.frame_parameters import STAND_IN
from city_data.cities import Registry
from city_data.store.database import Database
from city_data.store.skill import read_skill

# As many requests as the months of two years, each of which the query reads.
COST = 24


class SkillInfo(BaseModel):
    """The errors of one column's forecasts of one lead in one month of the year: forecast less observed."""

    column: str = Field(examples=["temperature"])
    unit: str | None = Field(description="Of bias and mae", examples=["°C"])
    lead_days: int = Field(description="Days before the day that the forecast is from", examples=[3])
    month: int = Field(description="Month of the year, of all stored years: 1 is January", examples=[10])
    bias: float = Field(description="Mean error", examples=[0.08])
    mae: float = Field(description="Mean absolute error", examples=[1.02])
    count: int = Field(
        description="Number of pairs: of hours, or of days where the city's source has days", examples=[62]
    )


class LeftOutInfo(BaseModel):
    """Observed values without a pair, since nobody knows which hours their day has."""

    column: str = Field(examples=["precipitation"])
    day: str = Field(description="What the source says of its day", examples=["from dew to dew"])
    count: int = Field(examples=[31])


class SkillResponse(BaseModel):
    """The skill of a city's stored forecasts."""

    city_id: str = Field(examples=["madrid"])
    skill: list[SkillInfo]
    left_out: list[LeftOutInfo]


def router(
    registry: Registry, database: Database, limiter: CapacityLimiter, charge: Callable[[Scope, int], None]
) -> APIRouter:
    routes = APIRouter(tags=["cities"])

    @routes.get(
        f"/api/v1/cities/{{city_id}}/{STAND_IN.name}/skill",
        summary=f"Errors of the {STAND_IN.name}s, by column, lead and month of the year",
        responses={404: {"model": ErrorResponse, "description": "The city is not enabled"}},
    )
    async def skill(request: Request, city_id: str) -> SkillResponse:
        """Every stored forecast beside what was observed: hours by hours, and days by days of the same hours. A
        source whose day is not the local one, as that of AEMET's rain from 07 to 07 UTC, is paired with those
        hours. Values whose hours are not known are in `left_out`."""
        city = enabled_city(registry, city_id, request)
        charge(request.scope, COST)
        errors, left_out = await anyio.to_thread.run_sync(lambda: read_skill(database, city, STAND_IN), limiter=limiter)
        units = {column.name: column.unit for column in STAND_IN.columns}
        return SkillResponse(
            city_id=city.city_id,
            skill=[SkillInfo(**asdict(one), unit=units[one.column]) for one in errors],
            left_out=[LeftOutInfo(**asdict(one)) for one in left_out],
        )

    return routes
