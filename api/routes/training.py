"""The routes of frames: of days that passed, and of days ahead. Belongs here: their paths, and their answers' headers.

Does not: joining months (bodies/training_reader.py), or what their documentation says (frame_parameters.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.bodies.answering import ResolvedRequest, respond
from api.bodies.responses import answer_headers
from api.bodies.training_reader import Joiner
from api.errors import invalid
from api.history_service import HistoryService, is_lasting
from api.query.city import city_for
from api.query.formats import format_for
from api.query.interval import parse_interval, parse_moment
from api.query.read_requests import TENANT_PATH, ReadRequest
from api.query.representation import with_encoding
from api.query.snapshots import months_for
from api.query.versions import Months
from api.routes.documentation import add_read, documented
from api.routes.frame_parameters import (
    FRAME_HEADERS,
    MOST_LEAD_DAYS,
    NAMES,
    OBSERVED,
    STAND_IN,
    AheadRequest,
    FrameRequest,
    frame_record,
    header_of,
)
from city_data import window
from city_data.cities import City
from city_data.datasets import DATASETS, DatasetName
from city_data.frames.grids import Grid, day_of
from city_data.frames.leads import Lead
from city_data.store.record_tables import Shape
from city_data.store.representations import Representation
from city_data.store.training_plans import TrainingPlan, frame_datasets
from city_data.window import Interval, day_bounds

# An hourly frame of ten years would be hundreds of megabytes of JSON; no retention window is that long.
MOST_HOURLY_DAYS = 1_100


@dataclass(frozen=True)
class _Frame:
    """The parameters of a frame, and what they resolve to. `days` are those of now, `moment` is that of the versions,
    as text."""

    requested: FrameRequest | AheadRequest
    city: City
    distance_km: float
    days: Callable[[], tuple[Interval, Lead | None]]
    moment: str | None


@dataclass(frozen=True)
class Training:
    """The routes and their dependencies; one per application."""

    service: HistoryService
    joiner: Joiner

    def router(self) -> APIRouter:
        router = APIRouter()
        description = "A record for every day, part of a day or hour of the range, oldest first, also without data"
        described = documented(list[frame_record()], description, FRAME_HEADERS)  # type: ignore[misc]
        for path, endpoint, summary in (
            ("operations/training-frame", self.frame, f"{', '.join(NAMES).capitalize()} of a location on one grid"),
            ("forecast-frame", self.forecast_frame, "The days ahead of a location, in the training frame's columns"),
        ):
            add_read(router, f"{TENANT_PATH}/{path}", endpoint, summary=summary, tags=["training"], **described)
        return router

    async def frame(self, request: Request, tenant_id: UUID, requested: Annotated[FrameRequest, Query()]) -> Response:
        """The columns of every dataset, one row for every local day, part of a day or hour.

        Missing values are null and marked in `<column>_missing` columns; nothing is filled in. Days ahead have the
        columns that are known ahead. A day is aggregated from at least 20 hours with a value, a part of a day from
        three quarters of its hours, and null otherwise, by the mean (amounts and durations: the sum; lowest, highest
        and strongest values: those of the period; speed: weighted by volume; congestion: the worst hour).
        """
        city, distance = await self._city(tenant_id, requested)
        most = self._most(requested.resolution)
        interval = parse_interval("query", requested.start_date, requested.end_date, city.timezone, most)
        days = interval, _lead(requested.choice, requested.lead_days)
        wanted = _Frame(requested, city, distance, lambda: days, requested.as_of)
        return await self._answer(request, tenant_id, wanted)

    async def forecast_frame(
        self, request: Request, tenant_id: UUID, requested: Annotated[AheadRequest, Query()]
    ) -> Response:
        """The days after today, on the city's clocks, with exactly the columns of the training frame and in their
        order.

        Each day has today's forecast of it. What nobody knows ahead is null and marked. Once a day has passed, the
        training frame with as many `lead_days` as it was ahead has the same row.
        """
        city, distance = await self._city(tenant_id, requested)
        text, zone = requested.as_of, city.timezone
        at = None if text is None else parse_moment("query", text, zone)

        def days_ahead() -> tuple[Interval, Lead]:
            today = day_of(zone)(at or window.as_of())
            first, last = (day_bounds(today + timedelta(days=n), zone) for n in (1, requested.days))
            return Interval(first[0], last[1]), Lead(on=today)

        # A snapshot's versions are those of its id, whatever moment they are asked for.
        moment = text if requested.version is None else None
        return await self._answer(request, tenant_id, _Frame(requested, city, distance, days_ahead, moment))

    async def _city(self, tenant: UUID, requested: ReadRequest) -> tuple[City, float]:
        return await city_for(self.service.registry, self.service.tenants, "query", tenant, requested)

    async def _answer(self, request: Request, tenant: UUID, wanted: _Frame) -> Response:
        chosen = format_for(wanted.requested.format, request.headers)
        representation = with_encoding(chosen, Shape(), request.headers)
        resolved = ResolvedRequest(
            tenant=tenant,
            city=wanted.city,
            distance_km=wanted.distance_km,
            days=wanted.days()[0].days,
            representation=representation,
            bodies=self.joiner,
            make_plan=lambda fresh: self._plan(wanted, fresh),
            headers_of=lambda frame_plan: _headers(frame_plan, wanted.distance_km, representation),
            cached_plan=(lambda: self._cached_plan(wanted)) if is_lasting(wanted.requested) else None,
        )
        return await respond(request, resolved, self.service.charge)

    def _most(self, grid: Grid) -> int:
        most = self.service.max_days
        return min(most, MOST_HOURLY_DAYS) if grid == "hourly" else most

    async def _plan(self, wanted: _Frame, fresh: bool) -> TrainingPlan:
        interval, lead = wanted.days()
        entries = {
            columns_of: (
                name,
                await months_for(
                    self.service.versions,
                    "query",
                    wanted.city,
                    name,
                    version=wanted.requested.version,
                    moment=wanted.moment,
                    fresh=fresh,
                    # Ids of earlier releases do not name these: their columns are missing in that answer.
                    optional=DATASETS[columns_of].months_ahead > 0,
                ),
            )
            for columns_of, name in _datasets(lead).items()
        }
        return self.service.plans.frame(wanted.city, interval, wanted.requested.resolution, lead, entries)

    def _cached_plan(self, wanted: _Frame) -> TrainingPlan | None:
        interval, lead = wanted.days()
        entries: dict[DatasetName, tuple[DatasetName, Months]] = {}
        for columns_of, name in _datasets(lead).items():
            months = self.service.versions.cached_months(wanted.city.city_id, name)
            if months is None:
                return None
            entries[columns_of] = name, months
        return self.service.plans.frame(wanted.city, interval, wanted.requested.resolution, lead, entries)


def _datasets(lead: Lead | None) -> dict[DatasetName, DatasetName]:
    return frame_datasets(STAND_IN.name if lead is not None else None)


def _lead(choice: str, lead_days: int | None) -> Lead | None:
    """Raises 422 where one of both parameters is of no use, or missing, without the other."""
    if choice == OBSERVED and lead_days is not None:
        message = f"is for forecasts alone: add {STAND_IN.stands_in_for}={STAND_IN.name}, or leave it out"
        raise invalid("query", "lead_days", "not_of_observations", message, str(lead_days))
    if choice == OBSERVED:
        return None
    if lead_days is None:
        message = (
            f"{STAND_IN.stands_in_for}={choice} needs lead_days, 1 to {MOST_LEAD_DAYS}: the days from forecast to day"
        )
        raise invalid("query", "lead_days", "missing", message, None)
    return Lead(days=lead_days)


def _headers(frame_plan: TrainingPlan, distance_km: float, representation: Representation) -> dict[str, str]:
    """As `answer_headers`, with what is known of each dataset."""
    headers = answer_headers(frame_plan, distance_km, representation)
    headers["X-Calendar"] = ", ".join(frame_plan.sources_ahead)
    for name, of_dataset in frame_plan.plans.items():
        headers[header_of(name, "Coverage")] = of_dataset.coverage_text
        if resolutions := frame_plan.resolutions(name):
            headers[header_of(name, "Resolution")] = ", ".join(resolutions)
    return headers
