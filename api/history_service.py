"""From a question of history to its response. Belongs here: what its words mean, and the order of the steps.

Does not: paths and documentation (routes/history.py), which months answer (query/planning.py), their bytes
(bodies/reader.py), or how they travel (bodies/responses.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from api.attribution import Providers
from api.bodies.reader import Reader
from api.bodies.responses import answer_headers, respond
from api.errors import Place
from api.observability import note
from api.query.city import city_of_tenant
from api.query.interval import Interval, parse_interval
from api.query.planning import Plan, Plans
from api.query.representation import form_for
from api.query.shapes import Representation
from api.query.snapshot_ids import Held
from api.query.snapshots import Snapshots
from api.query.tenants import TenantLocations
from api.query.versions import Versions
from api.routes.schemas import HistoricalRequest
from city_data.cities import City, Registry
from city_data.datasets import DatasetName
from city_data.window import Month


@dataclass(frozen=True)
class Question:
    """A request of history: its words, and where they stand in it."""

    scope: Scope
    headers: Headers
    place: Place
    dataset: DatasetName
    tenant: UUID
    asked: HistoricalRequest


@dataclass(frozen=True)
class ResolvedRequest:
    """What a question's words and headers mean: which city, how far away, and what of it in which form."""

    tenant: UUID
    city: City
    distance_km: float
    dataset: DatasetName
    interval: Interval
    form: Representation


@dataclass(frozen=True)
class Answering:
    """One an app."""

    registry: Registry
    max_days: int
    versions: Versions
    reader: Reader
    providers: Providers
    tenants: TenantLocations | None
    plans: Plans = field(default_factory=Plans)

    async def answer(self, question: Question) -> Response:
        """Raises what errors.py answers with 4xx and 503."""
        return await self.respond(question, await self.understand(question))

    async def understand(self, question: Question) -> ResolvedRequest:
        """Raises what errors.py answers with 4xx and 503."""
        place, dataset, asked = question.place, question.dataset, question.asked
        city, distance = await city_of_tenant(
            self.registry, self.tenants, place, question.tenant, asked.latitude, asked.longitude
        )
        interval = parse_interval(place, asked.start_date, asked.end_date, city.timezone, self.max_days)
        note(question.scope).add_range(question.tenant, city.city_id, distance, interval.days)
        form = await form_for(place, city, dataset, asked, question.headers, self.providers.all)
        return ResolvedRequest(question.tenant, city, distance, dataset, interval, form)

    async def respond(self, question: Question, meant: ResolvedRequest) -> Response:
        """Raises what errors.py answers with 4xx and 503."""
        asked = question.asked

        async def planned(fresh: bool) -> Plan:
            held = await Snapshots(self.versions).months(
                question.place, meant.city, meant.dataset, version=asked.version, moment=asked.as_of, fresh=fresh
            )
            return self._planned(meant, held)

        return await respond(
            question.headers,
            meant.form,
            note(question.scope),
            plan=planned,
            say=lambda made: answer_headers(made, meant.distance_km, meant.form),
            read=lambda made: self.reader.answer(made, meant.form),
        )

    def plan_at_hand(self, meant: ResolvedRequest) -> Plan | None:
        """The plan of the current versions, where no question of the ledger is due."""
        held = self.versions.remembered(meant.city.city_id, meant.dataset)
        return self._planned(meant, held) if held is not None else None

    async def plan(self, meant: ResolvedRequest) -> Plan:
        """The plan of the current versions. Raises DatabaseUnavailable."""
        return self._planned(meant, await self.versions.months(meant.city.city_id, meant.dataset))

    def _planned(self, meant: ResolvedRequest, held: Mapping[Month, Held]) -> Plan:
        return self.plans.plan(meant.city, meant.dataset, meant.interval, held)
