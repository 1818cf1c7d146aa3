"""The formats of an answer. Belongs here: their names and media types, and the choice of one.

Does not: writing records in them (city_data/store/record_formats.py). A new format is an entry here and a writer there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import Headers

from api.query.negotiation import best, qualities
from city_data.store.record_formats import FormatName


@dataclass(frozen=True)
class Format:
    """A format; `suffix` is that of a file offered for saving, None where the body is meant for a program."""

    media_type: str
    aliases: tuple[str, ...] = ()
    suffix: str | None = None
    charset: str = ""

    @property
    def content_type(self) -> str:
        return self.media_type + self.charset


FORMATS: dict[FormatName, Format] = {
    "json": Format("application/json"),
    "ndjson": Format("application/x-ndjson", ("application/ndjson", "application/jsonl")),
    "csv": Format("text/csv", (), "csv", "; charset=utf-8; header=present"),
    "arrow": Format("application/vnd.apache.arrow.stream"),
    "parquet": Format("application/vnd.apache.parquet", ("application/x-parquet",), "parquet"),
}
_DESCRIPTIONS: dict[FormatName, str] = {
    "ndjson": "The same records, one JSON object per line",
    "csv": "The same records under a header line; null is an empty field, an empty text is two quotes (RFC 4180)",
    "arrow": "Arrow IPC stream, one batch per month; `date` is timestamp[us, UTC], units are in field metadata. "
    "Without a Content-Encoding the batches are compressed by Arrow's own zstd",
    "parquet": "Parquet with zstd pages, the same columns as Arrow",
}
CONTENT: dict[str, Any] = {
    FORMATS[name].media_type: {"schema": {"type": "string", "description": text}}
    for name, text in _DESCRIPTIONS.items()
}


def format_for(requested: FormatName | None, headers: Headers) -> FormatName:
    """The format of the query, else of Accept (RFC 9110, 12.5.1). Raises 406 for an Accept without a known type."""
    listed = headers.getlist("accept")
    if requested is not None or not listed:
        return requested or "json"
    accepted = qualities(listed)
    chosen = best({name: _quality(one, accepted) for name, one in FORMATS.items()})
    if chosen is None:
        types = ", ".join(one.media_type for one in FORMATS.values())
        raise HTTPException(
            406, f"No acceptable media type; available: {types}. The parameter `format` takes precedence over Accept."
        )
    return chosen


def _quality(one: Format, accepted: dict[str, float]) -> float:
    """The quality of the most specific media range that matches."""
    named = [accepted[kind] for kind in (one.media_type, *one.aliases) if kind in accepted]
    if named:
        return max(named)
    family = one.media_type.partition("/")[0] + "/*"
    return accepted.get(family, accepted.get("*/*", 0.0))
