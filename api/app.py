"""The reader's ASGI application. Belongs here: assembling its parts. Does not: routes (routes/) or middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

import anyio.to_thread
import prometheus_client
from anyio import CapacityLimiter
from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import errors
from api.auth import tokens
from api.auth.gate import Authorizer
from api.auth.rate_limit import RateLimiter
from api.bodies.reader import Answers, Reader
from api.bodies.training_reader import Joiner
from api.history_service import HistoryService
from api.observability import Metrics, Observer
from api.query.known_parameters import require_known_parameters
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from api.routes import health, history, page, skill
from api.routes.cities import Cities
from api.routes.month_files import MonthFiles
from api.routes.provenance import Provenance
from api.routes.training import Training
from api.settings import Settings
from api.transport.limits import ConcurrencyLimiter, Guard
from api.transport.request_cache import RequestCache
from city_data.cities import Registry, load_registry
from city_data.datasets import DATASETS
from city_data.store.cache_seal import read_seal
from city_data.store.database import Database
from city_data.store.month_bodies import Months
from city_data.store.shared_cache import SharedCache

STATEMENT_TIMEOUT_S = 10


class ReaderApp(FastAPI):
    """FastAPI behind the request cache, which answers repeats before FastAPI runs."""

    def answer_by(self, cache: RequestCache) -> None:
        """Let `cache` answer first."""
        self.state.request_cache = self._first = cache
        cache.stand_before(super().__call__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._first(scope, receive, send)


def create_app(settings: Settings | None = None, registry: Registry | None = None) -> FastAPI:
    """Raises pydantic.ValidationError for settings, RegistryError for the registry. Connects at the first request."""
    settings, registry = settings or Settings(), registry or load_registry()
    connections = settings.api_database_connections
    database = _database(settings)
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    # As many threads as connections, so that no thread waits for the connection pool. A third of them is for expensive
    # answers alone, so that these cannot fill the worker.
    expensive = max(1, connections // 3)
    limiter, metrics = CapacityLimiter(max(1, connections - expensive)), Metrics(registry)
    expensive_limiter = CapacityLimiter(expensive)
    versions = Versions(database, limiter, settings.api_ledger_ttl_s)
    shared = SharedCache(redis_url, lambda: anyio.to_thread.run_sync(read_seal, database, limiter=limiter))
    months = Months(database, shared, metrics.count_lookups, settings.api_segment_bytes)
    answers = Answers(settings.api_answer_bytes)
    reader = Reader(months, limiter, expensive_limiter, metrics, answers)

    tenants = _tenants(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        database.dispose()
        await shared.close()
        if tenants is not None:
            await tenants.close()

    app = _application(settings, lifespan)
    app.state.metrics = metrics
    errors.install(app)
    under_way = ConcurrencyLimiter(settings.api_concurrency, metrics)
    authorizer = _authorizer(settings, metrics)
    _add_middleware(app, settings, metrics, under_way, authorizer)
    history_service = HistoryService(
        registry, settings.api_max_range_days, versions, reader, tenants, authorizer.charge
    )
    joiner = Joiner(database, expensive_limiter, answers, capacity=settings.api_frame_bytes)
    # On each router, so that a route added later requires authentication by default.
    required = [Depends(authorizer), Depends(require_known_parameters)]
    for router in (
        Cities(registry, versions).router(),
        history.router(history_service),
        MonthFiles(history_service).router(),
        Training(history_service, joiner).router(),
        skill.router(registry, database, expensive_limiter, authorizer.charge),
        Provenance(registry, versions, database, limiter).router(),
    ):
        app.include_router(router, dependencies=required, responses=errors.EVERYWHERE)
    enabled = {city.city_id for city in registry.enabled()}
    app.include_router(health.router(versions, enabled), responses=errors.ANY_REQUEST)
    cache = RequestCache(authorizer, metrics, under_way, varies_by_origin=bool(settings.api_cors_origins))
    app.answer_by(cache)
    if settings.is_local:
        app.add_route("/metrics", _exposition(metrics), include_in_schema=False)
    if settings.api_page:
        app.include_router(page.router(settings.auth_tenant_claim, settings.is_local))
    return app


def _database(settings: Settings) -> Database:
    return Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.api_database_connections,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
        application_name="city_data_api",
        read_only=True,
    )


def _application(settings: Settings, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> ReaderApp:
    return ReaderApp(
        title="city_data",
        version=version("city-data"),
        description=f"History of cities, month by month, for demand forecasts: {', '.join(DATASETS)}.",
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would repeat the Host that the client sent
        **({} if settings.is_local else {"docs_url": None, "redoc_url": None, "openapi_url": None}),  # type: ignore[arg-type]
    )


def _authorizer(settings: Settings, metrics: Metrics) -> Authorizer:
    if settings.auth_mode == "none":
        return Authorizer(None, None, metrics)
    keys = (
        tokens.keys_from_file(settings.auth_jwks_file)
        if settings.auth_jwks_file
        else tokens.keys_from_url(settings.auth_jwks_url or "")
    )
    checked = tokens.Tokens(
        keys, settings.auth_jwt_issuer or "", settings.auth_jwt_audience or "", settings.auth_tenant_claim
    )
    rate = settings.api_rate_per_s
    return Authorizer(checked, RateLimiter(rate, settings.api_rate_burst) if rate else None, metrics)


def _tenants(settings: Settings, metrics: Metrics) -> TenantLocations | None:
    if settings.tenant_service_url is None:
        return None
    token = settings.tenant_service_token
    return TenantLocations(settings.tenant_service_url, token.get_secret_value() if token else None, metrics)


def _add_middleware(
    app: FastAPI, settings: Settings, metrics: Metrics, under_way: ConcurrencyLimiter, authorizer: Authorizer
) -> None:
    """The last middleware added is the outermost: the observer also sees requests that the others refuse."""
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "If-None-Match"],
            expose_headers=["*"],
            max_age=600,
        )
    app.add_middleware(Guard, under_way=under_way, authorizer=authorizer, max_body_bytes=settings.api_max_body_bytes)
    app.add_middleware(Observer, metrics=metrics)


def _exposition(metrics: Metrics) -> Callable[[Request], Awaitable[Response]]:
    async def exposed(_: Request) -> Response:
        """Prometheus metrics, on the main port in local mode; a deployment serves them on a separate port."""
        text = prometheus_client.generate_latest(metrics.registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return exposed
