"""The reader as an ASGI application. Belongs here: assembling it, health, metrics. Does not: history (history.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import prometheus_client
from anyio import CapacityLimiter
from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

from api import errors, static
from api.attribution import Providers
from api.history import History
from api.models import HealthResponse
from api.observe import Metrics, Observer
from api.provenance import Provenance
from api.reading import Reader
from api.settings import Settings
from api.versions import Versions
from city_data.cities import Registry, load_registry
from city_data.store.cache import Cache
from city_data.store.database import Database

STATEMENT_TIMEOUT_S = 10


def create_app(settings: Settings | None = None, registry: Registry | None = None) -> FastAPI:
    """Raises pydantic.ValidationError for settings, RegistryError for the registry. Connects when first asked."""
    settings, registry = settings or Settings(), registry or load_registry()
    connections = settings.api_database_connections
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=connections,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        application_name="city_data_api",
    )
    cache = Cache(settings.redis_url.get_secret_value() if settings.redis_url else None)
    # No more threads than connections: whoever runs has one, and nobody waits for the pool.
    limiter, metrics = CapacityLimiter(connections), Metrics(registry)
    providers = Providers(database, limiter, settings.api_ledger_ttl_s)
    versions = Versions(database, limiter, settings.api_ledger_ttl_s)
    reader = Reader(
        database,
        cache,
        limiter,
        metrics,
        segment_bytes=settings.api_segment_bytes,
        answer_bytes=settings.api_answer_bytes,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.dispose()

    app = FastAPI(
        title="city_data",
        version=version("city-data"),
        description="Weather and traffic history of cities, month by month, for demand forecasts.",
        lifespan=lifespan,
    )
    errors.install(app)
    app.add_middleware(Observer, metrics=metrics)
    router = History(registry, settings, versions, reader, providers).router()
    router.include_router(Provenance(registry, versions, database, limiter).router())
    app.include_router(router)
    if settings.api_page:
        app.include_router(static.router("tenant_id"))
    _add_health(app, versions, {city.city_id for city in registry.enabled()}, metrics)
    return app


def _add_health(app: FastAPI, versions: Versions, enabled: set[str], metrics: Metrics) -> None:
    ready = False

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

    async def exposed() -> Response:
        """Prometheus metrics."""
        return Response(
            prometheus_client.generate_latest(metrics.registry), media_type=prometheus_client.CONTENT_TYPE_LATEST
        )

    waiting = {503: {"model": HealthResponse, "description": "No enabled city has data yet, or the store is away"}}
    app.add_api_route("/health/live", live, tags=["health"])
    app.add_api_route("/health/ready", is_ready, tags=["health"], response_model=HealthResponse, responses=waiting)  # type: ignore[arg-type]
    app.add_api_route("/metrics", exposed, tags=["health"], response_class=Response)
