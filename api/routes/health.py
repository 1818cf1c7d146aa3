"""The health routes. Belongs here: liveness and readiness.

Does not: metrics (observability.py).
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from api.errors import ErrorResponse
from api.query.versions import Versions
from api.routes.schemas import HealthResponse


def router(versions: Versions, enabled: set[str]) -> APIRouter:
    """The routes without authentication."""
    routes, ready = APIRouter(), False

    async def live() -> HealthResponse:
        """The process is running."""
        return HealthResponse(status="alive", detail="the process is running")

    async def is_ready() -> Response:
        """200 once any enabled city has data, and from then on: a short outage must not remove all replicas."""
        nonlocal ready
        ready = ready or await versions.any_data(enabled)
        status, detail = ("ready", "data is available") if ready else ("waiting", "no enabled city has data yet")
        body = HealthResponse(status=status, detail=detail)
        return JSONResponse(body.model_dump(), 200 if ready else 503, None if ready else {"Retry-After": "5"})

    description = "No enabled city has data yet, or the data store is unavailable"
    waiting: dict[int | str, dict[str, Any]] = {
        503: {"model": HealthResponse | ErrorResponse, "description": description}
    }
    routes.add_api_route("/health/live", live, tags=["health"])
    routes.add_api_route("/health/ready", is_ready, tags=["health"], response_model=HealthResponse, responses=waiting)
    return routes
