"""How an answer travels. Belongs here: ETag and If-None-Match, the headers that say what was served.

Does not: making the body (reader.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.attribution import attribution_headers
from api.bodies.month_bodies import SegmentGone
from api.bodies.reader import Answer
from api.errors import ServiceUnavailable
from api.observability import RequestLog
from api.query.planning import Plan
from api.query.shapes import Representation
from api.query.snapshot_ids import SnapshotId

_MOST_SAID = 8
P = TypeVar("P")


def etag(tag: str, form: Representation) -> str:
    """Of a plan's tag. Strong: equal tags mean equal bytes, so each form has its own."""
    return f'"{tag}{form.tag}"'


def is_known(headers: Headers, tag: str) -> bool:
    """If-None-Match compares weakly: W/ is no difference (RFC 9110, 13.1.2)."""
    listed = [item.strip() for item in ",".join(headers.getlist("if-none-match")).split(",")]
    return "*" in listed or tag in (item.removeprefix("W/") for item in listed)


def answer_headers(plan: Plan, distance_km: float, form: Representation) -> dict[str, str]:
    """What can be said before the body is made; a 304 says the same."""
    # Only what all forms share is remembered: headers by form took 20 MB of a busy worker.
    distance = distance_text(distance_km)
    said = plan.said.get(distance)
    if said is None:
        if len(plan.said) >= _MOST_SAID:
            plan.said.clear()
        said = plan.said[distance] = common_headers(
            plan.snapshot, distance, plan.coverage_text, plan.missing
        ) | attribution_headers(plan)
    return {"ETag": etag(plan.tag, form), **said, **saved_as(form, lambda: _file_stem(plan, form))}


def common_headers(snapshot: SnapshotId, distance: str, coverage: str, missing: Sequence[object]) -> dict[str, str]:
    """What every answer of history says, whatever its datasets and form. `distance` is in km."""
    headers = {
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Vary": "Accept, Accept-Encoding",
        "X-City-Id": snapshot.city_id,
        "X-City-Distance-Km": distance,
        "X-Data-Version": snapshot.digest,
        "X-Snapshot-Id": str(snapshot),
        "X-Coverage": coverage,
    }
    if missing:
        headers["X-Missing-Months"] = ",".join(map(str, missing))
    return headers


def distance_text(distance_km: float) -> str:
    return f"{distance_km:.2f}"


def saved_as(form: Representation, stem: Callable[[], str]) -> dict[str, str]:
    """The file name that a form meant for saving is offered under."""
    if form.format.suffix is None:
        return {}
    return {"Content-Disposition": f'attachment; filename="{stem()}.{form.format.suffix}"'}


async def respond(
    headers: Headers,
    form: Representation,
    about: RequestLog,
    plan: Callable[[bool], Awaitable[P]],
    say: Callable[[P], dict[str, str]],
    read: Callable[[P], Awaitable[Answer]],
) -> Response:
    """What `read` has of the plan, or 304. `plan` is asked again, for fresh versions, where a segment is gone: a month
    was replaced or expired between two looks. Raises ServiceUnavailable where that does not help.
    """
    for fresh in (False, True):
        made = await plan(fresh)
        said = say(made)
        if is_known(headers, said["ETag"]):
            return Response(status_code=304, headers=said)
        try:
            answer = await read(made)
        except SegmentGone:
            continue
        about.records, about.served_from = answer.records, answer.served_from
        return AnswerResponse(answer, form, said)
    raise ServiceUnavailable("A month is being replaced at this moment; ask again soon.")


class AnswerResponse(Response):
    """Sends the chunks one after the other: a body of megabytes is never joined."""

    def __init__(self, answer: Answer, form: Representation, headers: dict[str, str]) -> None:
        # Not by Response's own way, which would make an empty body and its headers first.
        said = headers | {"Content-Length": str(answer.length), "Content-Type": form.format.content_type}
        if form.encoding != "identity":
            said["Content-Encoding"] = form.encoding
        if answer.first is not None and answer.last is not None:
            said |= {"X-Served-Start": _utc_text(answer.first), "X-Served-End": _utc_text(answer.last)}
        self._chunks = answer.chunks
        self.status_code, self.background = 200, None
        self.raw_headers = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in said.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        chunks = self._chunks if scope["method"] != "HEAD" else (b"",)
        last = len(chunks) - 1
        for n, chunk in enumerate(chunks):
            await send({"type": "http.response.body", "body": chunk, "more_body": n < last})


def _file_stem(plan: Plan, form: Representation) -> str:
    """City, dataset, first and last local day."""
    zone = ZoneInfo(plan.city.timezone)
    first, last = plan.interval.start.astimezone(zone), (plan.interval.end - timedelta(microseconds=1)).astimezone(zone)
    name = f"{plan.city.city_id}_{plan.dataset}_{first:%Y-%m-%d}_{last:%Y-%m-%d}"
    return f"{name}{'_daily' if form.shape.daily else ''}"


def _utc_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
