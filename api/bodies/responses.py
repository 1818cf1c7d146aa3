"""HTTP responses of history and frames. Belongs here: ETag and If-None-Match, and the headers that describe the answer
and credit its sources.

Does not: building the body (reader.py), or the sources' licences, which every version of a month has in its provenance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.bodies.reader import Answer
from api.query.formats import FORMATS
from city_data.store.plans import Plan
from city_data.store.representations import Representation
from city_data.store.snapshot_ids import StoredVersion
from city_data.store.training_plans import TrainingPlan

_URL_MARKS = ":/?#[]@!$&'()*+,;=%"


def etag(tag: str, representation: Representation) -> str:
    """The strong ETag of a plan in a representation: equal tags mean equal bytes."""
    return f'"{tag}{representation.tag}"'


def is_known(headers: Headers, tag: str) -> bool:
    """Whether If-None-Match has the tag. The comparison is weak: W/ is ignored (RFC 9110, 13.1.2)."""
    listed = [item.strip() for item in ",".join(headers.getlist("if-none-match")).split(",")]
    return "*" in listed or tag in (item.removeprefix("W/") for item in listed)


def answer_headers(plan: Plan | TrainingPlan, distance_km: float, representation: Representation) -> dict[str, str]:
    """The headers that depend on the plan alone, and so are equal for 200 and 304."""
    headers = {
        "ETag": etag(plan.tag, representation),
        "Cache-Control": "private, max-age=0, must-revalidate",
        "Vary": "Accept, Accept-Encoding",
        "X-City-Id": plan.city.city_id,
        "X-City-Distance-Km": f"{distance_km:.2f}",
        "X-Data-Version": plan.snapshot.digest,
        "X-Snapshot-Id": str(plan.snapshot),
        "X-Coverage": plan.coverage_text,
        "X-Missing-Months": ",".join(map(str, plan.missing)),
        **_attribution(plan.entries),
    }
    if (suffix := FORMATS[representation.format].suffix) is not None:
        name = f"{plan.stem}{'_daily' if representation.shape.daily else ''}.{suffix}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return {name: text for name, text in headers.items() if text}


def _attribution(entries: Sequence[StoredVersion]) -> dict[str, str]:
    """`Link` to the licence of every source in the answer (RFC 8288), fallbacks included, and `X-Source` with names."""
    licences = {
        str(entry.provenance["licence_url"]): str(entry.provenance.get("licence", ""))
        for entry in entries
        if entry.provenance.get("licence_url")
    }
    names = dict.fromkeys(entry.source for entry in entries if entry.source)
    return {"Link": ", ".join(_link(url, title) for url, title in licences.items()), "X-Source": ", ".join(names)}


def _link(url: str, title: str) -> str:
    """A title with characters that a header does not allow is encoded by RFC 8187."""
    plain = title.isascii() and title.isprintable() and not set(title) & set('"\\')
    text = f'title="{title}"' if plain else f"title*=UTF-8''{quote(title, safe='')}"
    return f'<{quote(url, safe=_URL_MARKS)}>; rel="license"; {text}'


class AnswerResponse(Response):
    """Sends the chunks one after the other, without joining a body of megabytes."""

    def __init__(self, answer: Answer, representation: Representation, headers: dict[str, str]) -> None:
        # Without Response.__init__, which would build an empty body and its headers first.
        content_type = FORMATS[representation.format].content_type
        lines = headers | {"Content-Length": str(answer.length), "Content-Type": content_type}
        if representation.format == "parquet":  # see ranges.py
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


def _utc_text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
