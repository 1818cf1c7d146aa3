"""The service behind the routes of history. Belongs here: resolving a request's parameters, and the order of the steps.

Does not: paths and documentation (routes/history.py), choosing months (city_data/store/plans.py), their bytes
(bodies/reader.py), or responses (bodies/responses.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.bodies.answering import ResolvedRequest, respond
from api.bodies.reader import Reader
from api.bodies.responses import answer_headers
from api.errors import Loc
from api.query.city import city_for
from api.query.interval import parse_interval
from api.query.planning import Plans
from api.query.read_requests import HistoricalRequest, ReadRequest
from api.query.representation import representation_for
from api.query.snapshots import months_for
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from city_data.cities import Registry
from city_data.datasets import DatasetName
from city_data.store.plans import Plan


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
        representation = await representation_for(loc, city, dataset, parameters, request.headers, self.versions)

        async def make_plan(fresh: bool) -> Plan:
            months = await months_for(
                self.versions, loc, city, dataset, version=parameters.version, moment=parameters.as_of, fresh=fresh
            )
            return self.plans.plan(city, dataset, interval, months)

        def cached_plan() -> Plan | None:
            months = self.versions.cached_months(city.city_id, dataset)
            return self.plans.plan(city, dataset, interval, months) if months is not None else None

        resolved = ResolvedRequest(
            tenant=tenant,
            city=city,
            distance_km=distance,
            days=interval.days,
            representation=representation,
            bodies=self.reader,
            make_plan=make_plan,
            headers_of=lambda plan: answer_headers(plan, distance, representation),
            # The resolution of a source may change.
            cached_plan=cached_plan if is_lasting(parameters) and parameters.resolution is None else None,
        )
        return await respond(request, resolved, self.charge)


def is_lasting(parameters: ReadRequest) -> bool:
    """Whether it resolves without a tenant's location or a moment, which may change."""
    has_place = parameters.latitude is not None or parameters.city_id is not None
    return has_place and parameters.version is None and parameters.as_of is None
