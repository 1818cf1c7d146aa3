"""The response to a resolved request: 304 if the client has the answer, else its body.

Belongs here: the order of these steps, for every route whose answer has a plan. Does not: plans
(city_data/store/plans.py, training_plans.py), headers (responses.py), parts of files (ranges.py), or repeats
(transport/request_cache.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from api.bodies.ranges import part_or_all
from api.bodies.reader import Answer
from api.bodies.responses import is_known
from api.errors import ServiceUnavailable
from api.observability import RequestLog, request_log
from city_data.cities import City
from city_data.store.month_bodies import SegmentGone
from city_data.store.representations import Representation

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)
_RESOLVED = "resolved_request"


class Bodies(Protocol[Q]):
    """Bodies of plans: of histories (reader.py), or of frames (training_reader.py)."""

    def cached_answer(self, plan: Q, representation: Representation) -> Answer | None:
        """The answer if memory has it, counted as read from there."""

    def cost(self, plan: Q, representation: Representation) -> int:
        """The number of months to build at the caller's expense."""

    async def answer(self, plan: Q, representation: Representation) -> Answer:
        """Raises SegmentGone, DatabaseUnavailable."""


@dataclass(frozen=True)
class ResolvedRequest(Generic[P]):
    """A request after resolving its parameters: the place, and the steps to its answer.

    `make_plan` reads the ledger afresh if its argument is true. `cached_plan` gives the plan of the current versions
    where the cached ledger is recent enough; None instead of it marks a request that may resolve to another one later.
    """

    tenant: UUID | None
    city: City
    distance_km: float
    days: float
    representation: Representation
    bodies: Bodies[P]
    make_plan: Callable[[bool], Awaitable[P]]
    headers_of: Callable[[P], dict[str, str]]
    cached_plan: Callable[[], P | None] | None = None

    def describe(self, log: RequestLog) -> None:
        """Record place and range for the request's log line."""
        if self.tenant is None:
            log.days = round(self.days, 2)
        else:
            log.add_range(self.tenant, self.city.city_id, self.distance_km, self.days)


async def respond(request: Request, resolved: ResolvedRequest[P], charge: Callable[[Scope, int], None]) -> Response:
    """The answer, charged to the caller, or 304. Where a segment is gone, because its month was replaced or expired
    meanwhile, the plan is made again from fresh versions, once. Raises ServiceUnavailable where that does not help.
    """
    representation, log = resolved.representation, request_log(request.scope)
    resolved.describe(log)
    for fresh in (False, True):
        current = await resolved.make_plan(fresh)
        response_headers = resolved.headers_of(current)
        response: Response | None = None
        if is_known(request.headers, response_headers["ETag"]):
            response = Response(status_code=304, headers=response_headers)
        else:
            charge(request.scope, resolved.bodies.cost(current, representation))
            try:
                answer = await resolved.bodies.answer(current, representation)
            except SegmentGone:
                continue
            log.records, log.served_from = answer.records, answer.served_from
            response = part_or_all(request.headers, answer, representation, response_headers)
        if resolved.cached_plan is not None:
            request.scope.setdefault("state", {})[_RESOLVED] = resolved
        return response
    raise ServiceUnavailable("A month is being replaced at the moment; try again soon.")


def lasting_request(scope: Scope) -> ResolvedRequest[Any] | None:
    """The resolved request of an answered scope, if an equal request always resolves to the same."""
    resolved: ResolvedRequest[Any] | None = scope.get("state", {}).get(_RESOLVED)
    return resolved
