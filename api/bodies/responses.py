"""HTTP responses of history. Belongs here: ETag and If-None-Match, and the headers that describe the answer.

Does not: building the body (reader.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.attribution import attribution_headers
from api.bodies.reader import Answer
from api.query.representation import Representation
from city_data.store.plans import Plan
from city_data.store.snapshot_ids import SnapshotId


def etag(tag: str, representation: Representation) -> str:
    """The strong ETag of a plan in a representation: equal tags mean equal bytes."""
    return f'"{tag}{representation.tag}"'


def is_known(headers: Headers, tag: str) -> bool:
    """Whether If-None-Match has the tag. The comparison is weak: W/ is ignored (RFC 9110, 13.1.2)."""
    listed = [item.strip() for item in ",".join(headers.getlist("if-none-match")).split(",")]
    return "*" in listed or tag in (item.removeprefix("W/") for item in listed)


def answer_headers(plan: Plan, distance_km: float, representation: Representation) -> dict[str, str]:
    """The headers that depend on the plan alone, and so are equal for 200 and 304."""
    return {
        "ETag": etag(plan.tag, representation),
        **common_headers(plan.snapshot, distance_km, plan.coverage_text, plan.missing),
        **attribution_headers(plan),
        **saved_as(representation, lambda: _file_stem(plan, representation)),
    }


def common_headers(
    snapshot: SnapshotId, distance_km: float, coverage: str, missing: Sequence[object]
) -> dict[str, str]:
    """The headers of every answer of history, whatever its dataset and representation."""
    headers = {
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Vary": "Accept, Accept-Encoding",
        "X-City-Id": snapshot.city_id,
        "X-City-Distance-Km": f"{distance_km:.2f}",
        "X-Data-Version": snapshot.digest,
        "X-Snapshot-Id": str(snapshot),
        "X-Coverage": coverage,
    }
    if missing:
        headers["X-Missing-Months"] = ",".join(map(str, missing))
    return headers


def saved_as(representation: Representation, stem: Callable[[], str]) -> dict[str, str]:
    """The file name offered for formats that are meant for saving."""
    if representation.format.suffix is None:
        return {}
    return {"Content-Disposition": f'attachment; filename="{stem()}.{representation.format.suffix}"'}


class AnswerResponse(Response):
    """Sends the chunks one after the other, without joining a body of megabytes."""

    def __init__(self, answer: Answer, representation: Representation, headers: dict[str, str]) -> None:
        # Without Response.__init__, which would build an empty body and its headers first.
        lines = headers | {"Content-Length": str(answer.length), "Content-Type": representation.format.content_type}
        if representation.format.name == "parquet":  # see ranges.py
            lines["Accept-Ranges"] = "bytes"
        if representation.encoding != "identity":
            lines["Content-Encoding"] = representation.encoding
        if answer.first is not None and answer.last is not None:
            lines |= {"X-Served-Start": _utc_text(answer.first), "X-Served-End": _utc_text(answer.last)}
        self._chunks = answer.chunks
        self.status_code, self.background = 200, None
        self.raw_headers = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in lines.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send_body(send, self._chunks if scope["method"] != "HEAD" else (b"",))


async def send_body(send: Send, chunks: Sequence[bytes]) -> None:
    """The ASGI messages of a body."""
    last = len(chunks) - 1
    for n, chunk in enumerate(chunks):
        await send({"type": "http.response.body", "body": chunk, "more_body": n < last})


def _file_stem(plan: Plan, representation: Representation) -> str:
    """City, dataset, first and last local day."""
    zone = ZoneInfo(plan.city.timezone)
    first, last = plan.interval.start.astimezone(zone), (plan.interval.end - timedelta(microseconds=1)).astimezone(zone)
    name = f"{plan.city.city_id}_{plan.dataset}_{first:%Y-%m-%d}_{last:%Y-%m-%d}"
    return f"{name}{'_daily' if representation.shape.daily else ''}"


def _utc_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
