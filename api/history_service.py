"""The service behind the routes of history. Belongs here: resolving a request's parameters, and the order of the steps.

Does not: paths and documentation (routes/history.py), choosing months (query/planning.py), their bytes
(bodies/reader.py), or responses (bodies/responses.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from api.bodies.answering import respond
from api.bodies.reader import Answer, Reader
from api.bodies.responses import answer_headers
from api.errors import Loc
from api.observability import request_log
from api.query.city import city_of_tenant
from api.query.historical_request import HistoricalRequest
from api.query.interval import Interval, parse_interval
from api.query.planning import Plan, Plans
from api.query.representation import Representation, representation_for
from api.query.snapshots import Snapshots
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from city_data.cities import City, Registry
from city_data.datasets import DatasetName
from city_data.store.snapshot_ids import StoredVersion
from city_data.window import Month

_RESOLVED = "resolved_request"


@dataclass(frozen=True)
class IncomingRequest:
    """A request for history: its parameters, and their `loc` (query or body) for error messages."""

    scope: Scope
    headers: Headers
    loc: Loc
    dataset: DatasetName
    tenant: UUID
    parameters: HistoricalRequest


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

    async def answer(self, incoming: IncomingRequest) -> Response:
        """Raises exceptions that errors.py turns into 4xx and 503."""
        resolved = await self.resolve(incoming)
        response = await self.respond(incoming, resolved)
        if _is_lasting(incoming.parameters):
            incoming.scope.setdefault("state", {})[_RESOLVED] = resolved
        return response

    async def resolve(self, incoming: IncomingRequest) -> ResolvedRequest:
        """Raises exceptions that errors.py turns into 4xx and 503."""
        loc, dataset, parameters = incoming.loc, incoming.dataset, incoming.parameters
        city, distance = await city_of_tenant(self.registry, self.tenants, loc, incoming.tenant, parameters.place)
        interval = parse_interval(loc, parameters.start_date, parameters.end_date, city.timezone, self.max_days)
        request_log(incoming.scope).add_range(incoming.tenant, city.city_id, distance, interval.days)
        representation = await representation_for(loc, city, dataset, parameters, incoming.headers, self.versions)
        return ResolvedRequest(incoming.tenant, city, distance, dataset, interval, representation)

    async def respond(self, incoming: IncomingRequest, resolved: ResolvedRequest) -> Response:
        """Raises exceptions that errors.py turns into 4xx and 503."""
        parameters = incoming.parameters

        async def make_plan(fresh: bool) -> Plan:
            months = await Snapshots(self.versions).months(
                incoming.loc,
                resolved.city,
                resolved.dataset,
                version=parameters.version,
                moment=parameters.as_of,
                fresh=fresh,
            )
            return self._plan(resolved, months)

        return await respond(
            incoming.headers,
            resolved.representation,
            request_log(incoming.scope),
            make_plan=make_plan,
            headers_of=lambda plan: answer_headers(plan, resolved.distance_km, resolved.representation),
            read=lambda plan: self.read(incoming.scope, plan, resolved.representation),
        )

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
