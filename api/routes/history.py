"""The routes that serve history. Belongs here: their paths, by query and by body.

Does not: the parameters (query/read_requests.py), or answering a request (history_service.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api.history_service import HistoryService
from api.query.read_requests import TENANT_PATH, HistoricalRequest
from api.routes.documentation import RESPONSE_HEADERS, add_read, documented
from api.routes.schemas import RECORDS, SELECTIONS
from city_data.datasets import DATASETS, DatasetName


def router(service: HistoryService) -> APIRouter:
    routes = APIRouter()
    for name in DATASETS:
        _add_history(routes, service, name)
    return routes


def _add_history(router: APIRouter, service: HistoryService, name: DatasetName) -> None:
    current = f"{TENANT_PATH}/operations/historical-{name}-optimized"
    records = list[RECORDS[name]] | list[SELECTIONS[name]]  # type: ignore[valid-type]
    described = {"tags": [name], **documented(records, "Every record of the range, oldest first", RESPONSE_HEADERS)}
    by_query = _by_query(service, name)
    for path in (current, f"{TENANT_PATH}/historical-{name}"):
        add_read(router, path, by_query, summary=f"Historical {name} of a location", **described)
    router.add_api_route(
        f"{TENANT_PATH}/operations/{name}/historical",
        _by_body(service, name, current),
        methods=["POST"],
        deprecated=True,
        summary=f"Historical {name} of a location, by JSON body",
        **described,
    )


def _by_query(service: HistoryService, name: DatasetName) -> Callable[..., Awaitable[Response]]:
    async def historical(
        request: Request, tenant_id: UUID, parameters: Annotated[HistoricalRequest, Query()]
    ) -> Response:
        return await service.answer(request, "query", name, tenant_id, parameters)

    return historical


def _by_body(service: HistoryService, name: DatasetName, current: str) -> Callable[..., Awaitable[Response]]:
    async def historical(request: Request, tenant_id: UUID, parameters: HistoricalRequest) -> Response:
        response = await service.answer(request, "body", name, tenant_id, parameters)
        response.headers["Deprecation"] = "true"
        successor = current.replace("{tenant_id}", str(tenant_id))
        response.headers.append("Link", f'<{successor}>; rel="successor-version"')
        return response

    return historical
