"""What an operator sees of the reader: metrics, and one line of log a request.

Belongs here: their names and labels, and the middleware that writes them. Does not: what a request is answered with.
Never a token, and never a coordinate: the city and the distance say enough.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from city_data.cities import Registry
from city_data.datasets import DATASETS

REQUESTS_LOG = structlog.get_logger("api")
LAYERS = ("memory", "redis")
TOKEN_REASONS = ("missing", "malformed", "algorithm", "key", "signature", "expired", "audience", "issuer", "claims")
TENANT_OUTCOMES = ("memory", "found", "unknown", "away", "bad")
UNMATCHED = "unmatched"
_QUIET = ("/health/live", "/health/ready", "/metrics")
_NOTE = "note"


@dataclass
class RequestLog:
    """What is told about a request by those who answer it; `headers` are added to the answer, whatever it is."""

    tenant: str | None = None
    city: str | None = None
    distance_km: float | None = None
    days: float | None = None
    records: int | None = None
    served_from: str | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add_range(self, tenant: UUID, city_id: str, distance_km: float, days: float) -> None:
        """For whom, where and over how many days history is read."""
        self.tenant, self.city, self.distance_km, self.days = str(tenant), city_id, distance_km, days


class Metrics:
    """One set an app, so that two apps in one process do not meet."""

    def __init__(self, registry: Registry) -> None:
        self.registry = CollectorRegistry()
        self._hits = Counter(
            "external_cache_hit", "Months found in a cache layer", ["layer", "dataset"], registry=self.registry
        )
        self._misses = Counter(
            "external_cache_miss", "Months not found in a cache layer", ["layer", "dataset"], registry=self.registry
        )
        self._durations = Histogram(
            "external_api_request_duration_seconds",
            "Time from a request's arrival to the last byte handed over, by route template and city",
            ["method", "route", "city", "status"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._refused_tokens = Counter(
            "external_auth_failures", "Requests answered 401, by what was wrong", ["reason"], registry=self.registry
        )
        self._tenants = Counter(
            "external_tenant_lookups", "Questions where a tenant is, by outcome", ["outcome"], registry=self.registry
        )
        self.rate_limited = Counter("external_rate_limited", "Requests answered 429", registry=self.registry)
        self.in_progress = Gauge("external_api_requests_in_progress", "Requests under way", registry=self.registry)
        # A counter that is born at 1 shows no increase: every one starts at 0.
        for counter in (self._hits, self._misses):
            for layer in LAYERS:
                for dataset in DATASETS:
                    counter.labels(layer, dataset)
        for reason in TOKEN_REASONS:
            self._refused_tokens.labels(reason)
        for outcome in TENANT_OUTCOMES:
            self._tenants.labels(outcome)
        self._cities = {city.city_id for city in registry.all()}

    def looked_up(self, layer: str, dataset: str, hits: int, misses: int) -> None:
        if hits:
            self._hits.labels(layer, dataset).inc(hits)
        if misses:
            self._misses.labels(layer, dataset).inc(misses)

    def refused_token(self, reason: str) -> None:
        """`reason` is one of TOKEN_REASONS: a label that a caller could choose would fill the memory."""
        self._refused_tokens.labels(reason).inc()

    def looked_up_tenant(self, outcome: str) -> None:
        """`outcome` is one of TENANT_OUTCOMES."""
        self._tenants.labels(outcome).inc()

    def answered(self, method: str, route: str, city: str | None, status: int, seconds: float) -> None:
        label = city if city in self._cities else ""
        self._durations.labels(method, route, label, str(status)).observe(seconds)


def note(scope: Scope) -> RequestLog:
    """The request's note, to be filled in by its route."""
    found = scope.setdefault("state", {}).setdefault(_NOTE, RequestLog())
    assert isinstance(found, RequestLog)  # noqa: S101 - ours alone
    return found


class Observer:
    """ASGI middleware: times each request, counts it and logs it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            route = getattr(scope.get("route"), "path", UNMATCHED)
            method = scope["method"] if scope["method"] in ("GET", "POST") else "other"
            tell(self._metrics, method, route, status, note(scope), time.perf_counter() - began)


def tell(metrics: Metrics, method: str, route: str, status: int, about: RequestLog, seconds: float) -> None:
    """Count an answered request and write its line; `route` is the template of its path."""
    metrics.answered(method, route, about.city, status, seconds)
    if route in _QUIET and status < 400:
        return
    REQUESTS_LOG.info(
        "request",
        method=method,
        route=route,
        status=status,
        tenant=about.tenant,
        city=about.city,
        distance_km=None if about.distance_km is None else round(about.distance_km, 2),
        days=None if about.days is None else round(about.days, 2),
        records=about.records,
        served_from=about.served_from,
        ms=round(seconds * 1000, 2),
    )


def configure_logging() -> None:
    """JSON lines on standard output; the libraries' warnings on standard error."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
