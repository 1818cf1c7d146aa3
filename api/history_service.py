"""The service behind the routes of history. Belongs here: resolving a request's parameters, and the order of the steps.

Does not: paths and documentation (routes/history.py), choosing months (city_data/store/plans.py), their bytes
(bodies/reader.py), or responses (bodies/responses.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.bodies.answering import respond
from api.bodies.reader import Answer, Reader
from api.bodies.responses import answer_headers
from api.errors import Loc
from api.observability import request_log
from api.query.city import city_for
from api.query.historical_request import HistoricalRequest
from api.query.interval import parse_interval
from api.query.planning import Plans
from api.query.representation import Representation, representation_for
from api.query.snapshots import months_for
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from city_data.cities import City, Registry
from city_data.datasets import DatasetName
from city_data.store.plans import Plan
from city_data.store.snapshot_ids import StoredVersion
from city_data.window import Interval, Month

_RESOLVED = "resolved_request"


@dataclass(frozen=True)
class ResolvedRequest:
    """A request after resolving its parameters: city and distance, dataset, interval, representation."""

    tenant: UUID
    city: City
    distance_km: float
    dataset: DatasetName
    interval: Interval
    representation: Representation


@dataclass(frozen=True)
class HistoryService:
    """One per application."""

    registry: Registry
    max_days: int
    versions: Versions
    reader: Reader
    tenants: TenantLocations | None
    charge: Callable[[Scope, int], None]
    plans: Plans = field(default_factory=Plans)

    async def answer(
        self, request: Request, loc: Loc, dataset: DatasetName, tenant: UUID, parameters: HistoricalRequest
    ) -> Response:
        """`loc` is for error messages. Raises exceptions that errors.py turns into 4xx and 503."""
        city, distance = await city_for(self.registry, self.tenants, loc, tenant, parameters)
        interval = parse_interval(loc, parameters.start_date, parameters.end_date, city.timezone, self.max_days)
        request_log(request.scope).add_range(tenant, city.city_id, distance, interval.days)
        representation = await representation_for(loc, city, dataset, parameters, request.headers, self.versions)
        resolved = ResolvedRequest(tenant, city, distance, dataset, interval, representation)

        async def make_plan(fresh: bool) -> Plan:
            months = await months_for(
                self.versions, loc, city, dataset, version=parameters.version, moment=parameters.as_of, fresh=fresh
            )
            return self._plan(resolved, months)

        response = await respond(
            request,
            representation,
            make_plan=make_plan,
            headers_of=lambda plan: answer_headers(plan, distance, representation),
            read=lambda plan: self.read(request.scope, plan, representation),
        )
        if _is_lasting(parameters):
            request.scope.setdefault("state", {})[_RESOLVED] = resolved
        return response

    async def read(self, scope: Scope, plan: Plan, representation: Representation) -> Answer:
        """The plan's body, charged to the caller. Raises SegmentGone, HTTPException 429, DatabaseUnavailable."""
        self.charge(scope, self.reader.cost(plan, representation))
        return await self.reader.answer(plan, representation)

    def cached_plan(self, resolved: ResolvedRequest) -> Plan | None:
        """The plan of the current versions, if the cached ledger is recent enough."""
        months = self.versions.cached_months(resolved.city.city_id, resolved.dataset)
        return self._plan(resolved, months) if months is not None else None

    async def plan(self, resolved: ResolvedRequest) -> Plan:
        """The plan of the current versions. Raises DatabaseUnavailable."""
        return self._plan(resolved, await self.versions.months(resolved.city.city_id, resolved.dataset))

    def _plan(self, resolved: ResolvedRequest, months: Mapping[Month, StoredVersion]) -> Plan:
        return self.plans.plan(resolved.city, resolved.dataset, resolved.interval, months)


def resolved_of(scope: Scope) -> ResolvedRequest | None:
    """The resolved request of an answered scope, if an equal request always resolves to the same."""
    resolved: ResolvedRequest | None = scope.get("state", {}).get(_RESOLVED)
    return resolved


def _is_lasting(parameters: HistoricalRequest) -> bool:
    """Whether it resolves without a tenant's location, a moment or a source's resolution, which may change."""
    changing = (parameters.version, parameters.as_of, parameters.resolution)
    has_place = parameters.latitude is not None or parameters.city_id is not None
    return has_place and changing == (None, None, None)
