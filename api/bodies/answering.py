"""The response to a plan: 304 if the client has the answer, else its body; read again if a month was replaced.

Belongs here: the order of these steps, for every route whose answer has a plan. Does not: plans
(city_data/store/plans.py), headers (responses.py), or parts of files (ranges.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from api.bodies.month_bodies import SegmentGone
from api.bodies.ranges import part_or_all
from api.bodies.reader import Answer
from api.bodies.responses import is_known
from api.errors import ServiceUnavailable
from api.observability import request_log
from api.query.representation import Representation

P = TypeVar("P")


async def respond(
    request: Request,
    representation: Representation,
    make_plan: Callable[[bool], Awaitable[P]],
    headers_of: Callable[[P], dict[str, str]],
    read: Callable[[P], Awaitable[Answer]],
) -> Response:
    """The answer to the plan, or 304. Where a segment is gone, because its month was replaced or expired meanwhile, the
    plan is made again from fresh versions, once. Raises ServiceUnavailable where that does not help.
    """
    for fresh in (False, True):
        current = await make_plan(fresh)
        response_headers = headers_of(current)
        if is_known(request.headers, response_headers["ETag"]):
            return Response(status_code=304, headers=response_headers)
        try:
            answer = await read(current)
        except SegmentGone:
            continue
        log = request_log(request.scope)
        log.records, log.served_from = answer.records, answer.served_from
        return part_or_all(request.headers, answer, representation, response_headers)
    raise ServiceUnavailable("A month is being replaced at the moment; try again soon.")
