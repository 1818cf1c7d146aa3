"""Byte ranges of a Parquet file (RFC 9110, 14): readers fetch the footer and the columns that they need.

Belongs here: Range and If-Range, 206 and 416. Does not: the whole answer (responses.py). Other formats are read
from start to end, and may be compressed in transit.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response

from api.bodies.reader import Answer
from api.bodies.responses import AnswerResponse
from api.errors import error_response
from city_data.store.representations import Representation

_ONE_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*")


def part_or_all(
    headers: Headers, answer: Answer, representation: Representation, response_headers: dict[str, str]
) -> Response:
    """The requested range, or the whole file if several ranges are requested or If-Range names another file."""
    if representation.format != "parquet":
        return AnswerResponse(answer, representation, response_headers)
    requested, tag = headers.get("range"), response_headers["ETag"]
    is_current = headers.get("if-range", tag) == tag
    matched = _ONE_RANGE.fullmatch(requested) if requested is not None and is_current else None
    if matched is None:
        return AnswerResponse(answer, representation, response_headers)
    first, end = _bounds(matched, answer.length)
    if first >= end:
        unsatisfied = {"Content-Range": f"bytes */{answer.length}", "Accept-Ranges": "bytes"}
        return error_response(
            416, f"The range starts beyond the end of the file, which has {answer.length} bytes.", unsatisfied
        )
    body = b"".join(answer.chunks)[first:end]
    content_range = {"Content-Range": f"bytes {first}-{end - 1}/{answer.length}"}
    part = Answer((body,), answer.records, answer.first, answer.last, answer.served_from)
    response = AnswerResponse(part, representation, response_headers | content_range)
    response.status_code = 206
    return response


def _bounds(matched: re.Match[str], length: int) -> tuple[int, int]:
    """The range's start and end (exclusive); start >= end if the range is empty."""
    if matched[3] is not None:
        return max(0, length - int(matched[3])), length if int(matched[3]) else 0
    end = min(length, int(matched[2]) + 1) if matched[2] else length
    return int(matched[1]), end
