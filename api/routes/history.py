"""The routes that serve history. Belongs here: their paths, and the step from parameters to a request.

Does not: the parameters' documentation (parameters.py), or answering a request (history_service.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.history_service import HistoryService
from api.query.historical_request import TENANT_PATH, HistoricalRequest
from api.routes.parameters import (
    RESPONSE_HEADERS,
    AsOf,
    CityId,
    ColumnsParameter,
    EndDate,
    FormatParameter,
    IncludeParameter,
    Latitude,
    Longitude,
    ResolutionParameter,
    SnapshotVersion,
    StartDate,
    add_read,
    documented,
)
from api.routes.schemas import RECORDS, SELECTIONS
from city_data.datasets import DATASETS, DatasetName


@dataclass(frozen=True)
class History:
    """The routes and their dependencies; one per application."""

    service: HistoryService

    def router(self) -> APIRouter:
        router = APIRouter()
        for name in DATASETS:
            self._add_history(router, name)
        return router

    def _add_history(self, router: APIRouter, name: DatasetName) -> None:
        current = f"{TENANT_PATH}/operations/historical-{name}-optimized"
        records = list[RECORDS[name]] | list[SELECTIONS[name]]  # type: ignore[valid-type]
        described = {"tags": [name], **documented(records, "Every record of the range, oldest first", RESPONSE_HEADERS)}
        by_query = self._by_query(name)
        for path in (current, f"{TENANT_PATH}/historical-{name}"):
            add_read(router, path, by_query, summary=f"Historical {name} of a location", **described)
        router.add_api_route(
            f"{TENANT_PATH}/operations/{name}/historical",
            self._by_body(name, current),
            methods=["POST"],
            deprecated=True,
            summary=f"Historical {name} of a location, by JSON body",
            **described,
        )

    def _by_query(self, name: DatasetName) -> Callable[..., Awaitable[Response]]:
        async def historical(
            request: Request,
            tenant_id: UUID,
            start_date: StartDate,
            end_date: EndDate,
            latitude: Latitude = None,
            longitude: Longitude = None,
            city_id: CityId = None,
            version: SnapshotVersion = None,
            as_of: AsOf = None,
            format: FormatParameter = None,  # noqa: A002  the parameter's name
            resolution: ResolutionParameter = None,
            columns: ColumnsParameter = None,
            include: IncludeParameter = None,
        ) -> Response:
            parameters = HistoricalRequest.model_construct(
                latitude=latitude,
                longitude=longitude,
                city_id=city_id,
                start_date=start_date,
                end_date=end_date,
                version=version,
                as_of=as_of,
                format=format,
                resolution=resolution,
                columns=columns,
                include=include,
            )
            return await self.service.answer(request, "query", name, tenant_id, parameters)

        return historical

    def _by_body(self, name: DatasetName, current: str) -> Callable[..., Awaitable[Response]]:
        async def historical(request: Request, tenant_id: UUID, parameters: HistoricalRequest) -> Response:
            response = await self.service.answer(request, "body", name, tenant_id, parameters)
            response.headers["Deprecation"] = "true"
            successor = current.replace("{tenant_id}", str(tenant_id))
            response.headers.append("Link", f'<{successor}>; rel="successor-version"')
            return response

        return historical
