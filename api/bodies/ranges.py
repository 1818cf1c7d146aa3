"""Parts of a Parquet file (RFC 9110, 14), so that readers fetch the footer and the columns that they want.

Belongs here: Range and If-Range, 206 and 416. Does not: the whole answer (responses.py). Forms other than Parquet are
read from first to last, and compressed on the way.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response

from api.bodies.reader import Answer
from api.bodies.responses import AnswerResponse
from api.errors import error_response
from api.query.shapes import Representation

_ONE_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*")


def part_or_all(headers: Headers, answer: Answer, representation: Representation, said: dict[str, str]) -> Response:
    """The part that the request asks for, or all: where it asks for several parts, or holds a part of another file."""
    if representation.format.name != "parquet":
        return AnswerResponse(answer, representation, said)
    said = said | {"Accept-Ranges": "bytes"}
    asked, held = headers.get("range"), headers.get("if-range", said["ETag"])
    found = _ONE_RANGE.fullmatch(asked) if asked is not None and held == said["ETag"] else None
    if found is None:
        return AnswerResponse(answer, representation, said)
    first, end = _bounds(found, answer.length)
    if first >= end:
        unsatisfied = {"Content-Range": f"bytes */{answer.length}", "Accept-Ranges": "bytes"}
        return error_response(416, f"The file has {answer.length} bytes, and none of the range.", unsatisfied)
    body = b"".join(answer.chunks)[first:end]
    content_range = {"Content-Range": f"bytes {first}-{end - 1}/{answer.length}"}
    part = Answer((body,), answer.records, answer.first, answer.last, answer.served_from)
    response = AnswerResponse(part, representation, said | content_range)
    response.status_code = 206
    return response


def _bounds(found: re.Match[str], length: int) -> tuple[int, int]:
    """First byte and the one after the last; the first of them not before the second where there is no such byte."""
    if found[3] is not None:
        return max(0, length - int(found[3])), length if int(found[3]) else 0
    end = min(length, int(found[2]) + 1) if found[2] else length
    return int(found[1]), end
