"""How an answer travels. Belongs here: encodings, ETag and If-None-Match, the headers that say what was served.

Does not: making the body (reading.py).
"""

from __future__ import annotations

from datetime import datetime

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.planning import Plan
from api.reading import Answer, Encoding


def encoding_for(headers: Headers) -> Encoding:
    """gzip where the client takes it (RFC 9110, 12.5.3), else as it is."""
    chosen: dict[str, float] = {}
    for item in ",".join(headers.getlist("accept-encoding")).split(","):
        name, _, parameters = item.partition(";")
        chosen[name.strip().lower()] = _quality(parameters)
    return "gzip" if chosen.get("gzip", chosen.get("x-gzip", chosen.get("*", 0.0))) > 0 else "identity"


def _quality(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def etag(plan: Plan, encoding: Encoding) -> str:
    """Strong: equal tags mean equal bytes, so each encoding has its own."""
    return f'"{plan.tag}-gzip"' if encoding == "gzip" else f'"{plan.tag}"'


def is_known(headers: Headers, tag: str) -> bool:
    """If-None-Match compares weakly: W/ is no difference (RFC 9110, 13.1.2)."""
    listed = [item.strip() for item in ",".join(headers.getlist("if-none-match")).split(",")]
    return "*" in listed or tag in (item.removeprefix("W/") for item in listed)


def plan_headers(plan: Plan, distance_km: float, tag: str) -> dict[str, str]:
    """What can be said before the body is made; a 304 says the same."""
    headers = {
        "ETag": tag,
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Vary": "Accept-Encoding",
        "X-City-Id": plan.city.city_id,
        "X-City-Distance-Km": f"{distance_km:.2f}",
        "X-Data-Version": plan.snapshot.digest,
        "X-Snapshot-Id": str(plan.snapshot),
        "X-Coverage": plan.coverage_text,
    }
    if plan.missing:
        headers["X-Missing-Months"] = ",".join(map(str, plan.missing))
    return headers


class AnswerResponse(Response):
    """Sends the chunks one after the other: a body of megabytes is never joined."""

    media_type = "application/json"

    def __init__(self, answer: Answer, encoding: Encoding, headers: dict[str, str]) -> None:
        said = headers | {"Content-Length": str(answer.length)}
        if encoding == "gzip":
            said["Content-Encoding"] = "gzip"
        if answer.first is not None and answer.last is not None:
            said |= {"X-Served-Start": _utc_text(answer.first), "X-Served-End": _utc_text(answer.last)}
        self._chunks = answer.chunks
        super().__init__(status_code=200, headers=said)
        del self.headers["content-length"]
        self.headers["content-length"] = str(answer.length)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        last = len(self._chunks) - 1
        for n, chunk in enumerate(self._chunks):
            await send({"type": "http.response.body", "body": chunk, "more_body": n < last})


def _utc_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
