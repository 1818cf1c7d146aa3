"""Metrics and request logs of the reader, one log line per request.

Belongs here: their names and labels, and the middleware that writes them. Does not: anything of the response. Neither
contains a token or a coordinate: the city and the distance are enough.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.log_output import LINES_LOST, LossyLoggerFactory
from city_data.cities import Registry
from city_data.datasets import DATASETS

REQUESTS_LOG = structlog.get_logger("api")
LAYERS = ("memory", "redis")
TOKEN_REASONS = ("missing", "malformed", "algorithm", "key", "signature", "expired", "audience", "issuer", "claims")
TENANT_OUTCOMES = ("memory", "found", "unknown", "away", "bad")
UNMATCHED = "unmatched"
_QUIET = ("/health/live", "/health/ready", "/metrics")
_REQUEST_LOG = "request_log"


@dataclass
class RequestLog:
    """Facts about a request, filled in while it is answered; `headers` are added to any response to it."""

    tenant: str | None = None
    city: str | None = None
    distance_km: float | None = None
    days: float | None = None
    records: int | None = None
    served_from: str | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def add_range(self, tenant: UUID, city_id: str, distance_km: float, days: float) -> None:
        """Record the tenant, the city and the number of days of a read."""
        self.tenant, self.city = str(tenant), city_id
        self.distance_km, self.days = round(distance_km, 2), round(days, 2)


class Metrics:
    """The metrics of one application, in a registry that no other application in the process shares."""

    def __init__(self, registry: Registry) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(LINES_LOST)
        cache_hits = Counter(
            "external_cache_hit", "Months found in a cache layer", ["layer", "dataset"], registry=self.registry
        )
        cache_misses = Counter(
            "external_cache_miss", "Months not found in a cache layer", ["layer", "dataset"], registry=self.registry
        )
        self._durations = Histogram(
            "external_api_request_duration_seconds",
            "Time from a request's arrival to the last byte sent, by route template and city",
            ["method", "route", "city", "status"],
            registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self._refused_tokens = Counter(
            "external_auth_failures", "Requests answered 401, by reason", ["reason"], registry=self.registry
        )
        self._tenants = Counter(
            "external_tenant_lookups", "Lookups of a tenant's location, by outcome", ["outcome"], registry=self.registry
        )
        self.rate_limited = Counter("external_rate_limited", "Requests answered 429", registry=self.registry)
        self.in_progress = Gauge("external_api_requests_in_progress", "Requests in progress", registry=self.registry)
        # Every label set starts at 0: a counter that first appears at 1 shows no increase.
        self._lookups: Mapping[tuple[str, str], tuple[Counter, Counter]] = {
            (layer, dataset): (cache_hits.labels(layer, dataset), cache_misses.labels(layer, dataset))
            for layer in LAYERS
            for dataset in DATASETS
        }
        for reason in TOKEN_REASONS:
            self._refused_tokens.labels(reason)
        for outcome in TENANT_OUTCOMES:
            self._tenants.labels(outcome)
        self._cities = {city.city_id for city in registry.all()}

    def count_lookups(self, layer: str, dataset: str, hits: int, misses: int) -> None:
        for counter, months in zip(self._lookups[layer, dataset], (hits, misses), strict=True):
            if months:
                counter.inc(months)

    def count_refused_token(self, reason: str) -> None:
        """`reason` is one of TOKEN_REASONS: a label chosen by callers would grow without bound."""
        self._refused_tokens.labels(reason).inc()

    def count_tenant_lookup(self, outcome: str) -> None:
        """`outcome` is one of TENANT_OUTCOMES."""
        self._tenants.labels(outcome).inc()

    def durations(self, method: str, route: str, city: str | None, status: int) -> Callable[[float], None]:
        """The function that records the duration of answers with these labels."""
        label = city if city in self._cities else ""
        observe: Callable[[float], None] = self._durations.labels(method, route, label, str(status)).observe
        return observe


def request_log(scope: Scope) -> RequestLog:
    """The request's log entry, which its route fills in."""
    log = scope.setdefault("state", {}).setdefault(_REQUEST_LOG, RequestLog())
    assert isinstance(log, RequestLog)  # noqa: S101 - only this function sets it
    return log


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
            log, seconds = request_log(scope), time.perf_counter() - began
            self._metrics.durations(method, route, log.city, status)(seconds)
            if route not in _QUIET or status >= 400:
                log_request(method, route, status, log, seconds)


def log_request(method: str, route: str, status: int, log: RequestLog, seconds: float) -> None:
    """Write the request's log line; `route` is the template of its path."""
    REQUESTS_LOG.info(
        "request",
        method=method,
        route=route,
        status=status,
        tenant=log.tenant,
        city=log.city,
        distance_km=log.distance_km,
        days=log.days,
        records=log.records,
        served_from=log.served_from,
        ms=round(seconds * 1000, 2),
    )


def _line(_logger: object, level: str, event: MutableMapping[str, Any]) -> bytes:
    """One processor instead of structlog's three, which took 2 us of every answer."""
    event["level"] = level
    event["timestamp"] = datetime.now(UTC)
    return orjson.dumps(event, option=orjson.OPT_UTC_Z, default=repr)


def configure_logging() -> None:
    """JSON lines on standard output; the libraries' warnings on standard error."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    structlog.configure(
        processors=[_line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=LossyLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
