"""Valencia's answers about its traffic loops: pages of its map server, and archived snapshots of joined pages.

Belongs here: ArcGIS's pages, the loops and stamps in them; one parser for polls and archive. Does not: calls and the
canonical frame (`__init__`), or city-hours (hours.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from city_data.providers.errors import NoSnapshot, PermanentError
from city_data.providers.shared.numbers import JSON_NUMBERS, NotANumber, NumberFormat
from city_data.providers.transport.documents import with_distinct_keys
from city_data.texts import printable

POINT, FLOW, STAMP = FIELDS = ("idpm", "ih", "fecha_actualizacion")
# Clocks of roadside controllers run a little ahead; a stamp further ahead is not a time of measurement.
AHEAD = timedelta(minutes=10)
_COUNTS = NumberFormat(missing=JSON_NUMBERS.missing, counts=True)
_NAME = "%Y%m%dT%H%M%SZ.json"

Rows = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Page:
    """One answer: its rows, and whether the layer has more rows."""

    rows: Rows
    more: bool


def read_page(body: bytes) -> Page:
    """The page of an answer to a query
    (https://developers.arcgis.com/rest/services-reference/enterprise/query-map-service-layer/).

    Raises NoSnapshot for an answer without data: feeds of this city have sent a header alone, one byte, and HTML, all
    with status 200. Raises PermanentError where the layer has other fields.
    """
    text = body.strip(b"\xef\xbb\xbf \t\r\n")
    if len(text) <= 1:
        raise NoSnapshot("empty", f"the answer is {len(body)} bytes long")
    if text.startswith(b"<"):
        raise NoSnapshot("html", f"the answer is an HTML page: {text[:100].decode('latin-1')!r}")
    try:
        documents = list(_documents(text))
        if len(documents) != 1:
            raise ValueError(f"{len(documents)} documents follow each other")
        return _page(documents[0])
    except (ValueError, RecursionError) as error:
        raise NoSnapshot("not_json", f"the answer is not JSON in UTF-8: {error}") from error


def pages(body: bytes) -> Iterator[Page]:
    """The joined pages of an archived snapshot. Raises PermanentError if they are unreadable, or there are none."""
    try:
        documents = list(_documents(body))
        if not documents:
            raise NoSnapshot("empty", "it is empty")
        yield from map(_page, documents)
    except (ValueError, RecursionError, NoSnapshot) as error:
        raise PermanentError(f"the archived snapshot cannot be read: {error}") from error


def _documents(body: bytes) -> Iterator[Any]:
    """Consecutive JSON documents in UTF-8, each with or without a byte order mark."""
    decoder, text, position = json.JSONDecoder(object_pairs_hook=with_distinct_keys), body.decode("utf-8"), 0
    while position < len(text):
        if text[position].isspace() or text[position] == "\ufeff":
            position += 1
            continue
        document, position = decoder.raw_decode(text, position)
        yield document


def _page(document: object) -> Page:
    if not isinstance(document, dict):
        raise NoSnapshot("not_features", f"the answer is a {type(document).__name__}, not a set of features")
    if "error" in document:
        raise NoSnapshot("service_error", f"the service answers with an error: {str(document['error'])[:200]}")
    features = document.get("features")
    if not isinstance(features, list):
        raise NoSnapshot("not_features", f"the answer has no features but {', '.join(document) or 'nothing'}")
    rows: Rows = [row for feature in features if isinstance(row := _attributes(feature), dict)]
    if len(rows) < len(features):
        raise PermanentError("the features are not ArcGIS's: one of them has no attributes by name")
    lacking = {name for row in rows for name in FIELDS if name not in row}
    if lacking:
        raise PermanentError(f"the layer lacks {', '.join(sorted(lacking))}; its fields are {', '.join(rows[0])}")
    if (flow := next((row[FLOW] for row in rows if _is_ambiguous(row[FLOW])), None)) is not None:
        raise PermanentError(f"the flow {str(flow)[:40]!r} is ambiguous: thousands, or a fraction?")
    return Page(rows, document.get("exceededTransferLimit") is True)


def _attributes(feature: object) -> object:
    return feature.get("attributes") if isinstance(feature, dict) else None


def _is_ambiguous(flow: object) -> bool:
    """Whether a text is a number that may be another one: `1.110`."""
    try:
        _COUNTS.parse(flow)
    except NotANumber:
        return number_of(flow) is not None
    return False


def measured(rows: Rows) -> list[tuple[str, int]]:
    """Each loop and its stamp (epoch ms), of rows that have both, sorted."""
    pairs = ((point_of(row), number_of(row[STAMP])) for row in rows)
    return sorted({(point, int(stamp)) for point, stamp in pairs if point is not None and stamp is not None})


def point_of(row: Mapping[str, Any]) -> str | None:
    """The loop's name, of a row that has one: a word or a whole number."""
    value = row[POINT]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return printable(value.strip()) or None if isinstance(value, str) else None


def number_of(value: Any) -> float | None:
    """The number, also as text; None for anything else, NaN, infinity, and a number too large for a count or time."""
    try:
        number = JSON_NUMBERS.parse(value)
    except NotANumber:
        return None
    return number if number is not None and abs(number) < 1e15 else None


def mark(moments: Sequence[tuple[str, int]]) -> str:
    return hashlib.sha256(repr(list(moments)).encode()).hexdigest()


def newest(moments: Sequence[tuple[str, int]], taken: datetime) -> datetime:
    """The latest plausible stamp. Raises NoSnapshot if there is none."""
    latest = (taken + AHEAD).timestamp() * 1000
    stamps = [stamp for _, stamp in moments if 0 < stamp <= latest]
    if not stamps:
        ahead = f"; {len(moments)} lie ahead of the poll, as by another clock" if moments else ""
        raise NoSnapshot("no_stamps", f"no loop has a time of measurement{ahead}")
    return datetime.fromtimestamp(max(stamps) / 1000, UTC)


def name(taken: datetime) -> str:
    """A snapshot's file name, with the time of the poll."""
    return taken.astimezone(UTC).strftime(_NAME)


def taken_at(name: str) -> datetime:
    """The time of the poll in a snapshot's file name. Raises PermanentError for another name."""
    try:
        return datetime.strptime(name, _NAME).replace(tzinfo=UTC)
    except ValueError as error:
        raise PermanentError(f"{name!r} does not name the moment of a snapshot") from error
