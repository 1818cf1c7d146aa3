"""The routes of health. Belongs here: whether the process answers, and whether it has data to serve.

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
    """The routes that ask for no token: health."""
    routes, ready = APIRouter(), False

    async def live() -> HealthResponse:
        """The process answers."""
        return HealthResponse(status="alive", detail="the process answers")

    async def is_ready() -> Response:
        """200 once any enabled city has data, and ever after: a database's blink must not send all replicas away."""
        nonlocal ready
        ready = ready or await versions.any_data(enabled)
        status, detail = ("ready", "data is served") if ready else ("waiting", "no enabled city has data yet")
        body = HealthResponse(status=status, detail=detail)
        return JSONResponse(body.model_dump(), 200 if ready else 503, None if ready else {"Retry-After": "5"})

    description = "No enabled city has data yet, or the store is away"
    waiting: dict[int | str, dict[str, Any]] = {
        503: {"model": HealthResponse | ErrorResponse, "description": description}
    }
    routes.add_api_route("/health/live", live, tags=["health"])
    routes.add_api_route("/health/ready", is_ready, tags=["health"], response_model=HealthResponse, responses=waiting)
    return routes
