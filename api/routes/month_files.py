"""The routes of month files: each month of a city as a Parquet file at a URL of its own, and their index.

Belongs here: paths and caching of files. Does not: ranges of days (history.py), or parts of a file (bodies/ranges.py).
The path names the month as `month=YYYY-MM`, which readers of Hive partitions take as a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.bodies.answering import ResolvedRequest, respond
from api.bodies.responses import answer_headers
from api.history_service import HistoryService
from api.query.city import enabled_city
from api.query.read_requests import SnapshotVersion
from api.query.snapshots import months_for
from api.routes.documentation import (
    ERRORS,
    RESPONSE_HEADERS,
    MonthParameter,
    add_read,
    documented_file,
    month_of,
)
from city_data.datasets import DATASETS, Dataset, DatasetName
from city_data.store.plans import Plan
from city_data.store.record_tables import Shape, known_names
from city_data.store.representations import Representation
from city_data.store.segments import record_names
from city_data.store.snapshot_ids import SnapshotId, StoredVersion
from city_data.window import Interval, Month

_FOLDER = "/api/v1/cities/{city_id}/{dataset}"
_PATH = _FOLDER + "/month={month}/data.parquet"
_IMMUTABLE = {"Cache-Control": "private, max-age=31536000, immutable"}


class MonthFile(BaseModel):
    """A month's file. `path` names the version of the month, so that its bytes never change."""

    month: str = Field(examples=["2026-10"])
    path: str = Field(description="On this service; the same without `version` is the current file")
    snapshot_id: str = Field(description="The month's version, for `version`")
    rows: int = Field(examples=[745])


@dataclass(frozen=True)
class MonthFiles:
    """The routes and their dependencies; one per application."""

    service: HistoryService

    def router(self) -> APIRouter:
        router = APIRouter(tags=["files"])
        router.add_api_route(
            f"{_FOLDER}/files", self.index, summary="The files of a city's months", responses={404: ERRORS[404]}
        )
        described = documented_file("The month as Parquet", RESPONSE_HEADERS)
        add_read(router, _PATH, self.file, summary="A month as a Parquet file", **described)
        return router

    async def index(self, request: Request, city_id: str, dataset: DatasetName) -> list[MonthFile]:
        """Every month that has data, oldest first."""
        enabled_city(self.service.registry, city_id, request)
        months = await self.service.versions.months(city_id, dataset)
        return [_file_of(entry) for entry in months.values() if entry.has_data]

    async def file(
        self,
        request: Request,
        city_id: str,
        dataset: DatasetName,
        month: MonthParameter,
        version: Annotated[SnapshotVersion, Query()] = None,
    ) -> Response:
        """All columns of the month. With `version` the file may be cached for ever; without it is the current one."""
        service = self.service
        city, at = enabled_city(service.registry, city_id, request), month_of(month)
        interval = Interval(*at.bounds(city.timezone))

        async def make_plan(fresh: bool) -> Plan:
            months = await months_for(service.versions, "query", city, dataset, version=version, fresh=fresh)
            plan = service.plans.plan(city, dataset, interval, months)
            if not plan.slices:
                raise HTTPException(404, _no_month(at, dataset, months))
            return plan

        caching, whole = {} if version is None else _IMMUTABLE, _with_all_columns(DATASETS[dataset])
        resolved = ResolvedRequest(
            tenant=None,
            city=city,
            distance_km=0.0,
            days=interval.days,
            representation=whole,
            bodies=service.reader,
            make_plan=make_plan,
            headers_of=lambda plan: answer_headers(plan, 0.0, whole) | caching,
        )
        return await respond(request, resolved, service.charge)


def _with_all_columns(dataset: Dataset) -> Representation:
    names = tuple(known_names(dataset, daily=False))
    shape = Shape() if names == tuple(record_names(dataset)) else Shape(columns=names)
    return Representation("parquet", shape, "identity")


def _file_of(entry: StoredVersion) -> MonthFile:
    snapshot = str(SnapshotId.of(entry.city_id, {entry.dataset: [entry]}))
    path = _PATH.format(city_id=entry.city_id, dataset=entry.dataset, month=entry.month)
    return MonthFile(month=str(entry.month), path=f"{path}?version={snapshot}", snapshot_id=snapshot, rows=entry.rows)


def _no_month(month: Month, dataset: DatasetName, months: Mapping[Month, StoredVersion]) -> str:
    stored = sorted(one for one, entry in months.items() if entry.has_data)
    extent = f"there are months from {stored[0]} to {stored[-1]}" if stored else "there is no month yet"
    return f"No {dataset} of {month}: {extent}."
