"""Shared documentation of the routes. Belongs here: response headers, errors, and a month in a path.

Does not: paths (history.py, training.py), or the parameters of a query (query/read_requests.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from api.errors import ErrorResponse, ValidationErrorResponse, invalid
from api.query.formats import CONTENT, FORMATS
from city_data.window import Month

ERRORS: dict[int | str, dict[str, Any]] = {
    404: {
        "model": ErrorResponse,
        "description": "No supported city near the location (the nearest is named), or a tenant other than the token's",
    },
    406: {"model": ErrorResponse, "description": "No acceptable media type"},
    410: {"model": ErrorResponse, "description": "Versions required by `version` or `as_of` are no longer stored"},
    422: {"model": ValidationErrorResponse, "description": "Invalid parameters"},
}
RESPONSE_HEADERS = {
    "X-City-Id": "The city that serves the location",
    "X-City-Distance-Km": "Distance from the city's centre to the requested location",
    "X-Data-Version": "A digest over the version of every month served: equal means equal data. Part of X-Snapshot-Id",
    "X-Snapshot-Id": "Names the version of every month served. With `version` set to it, the same range has the same "
    "bytes; a column that a later release added is null",
    "X-Served-Start": "The first record's date; absent where there is none",
    "X-Served-End": "The last record's date",
    "X-Coverage": "Share (0..1) of the expected values that are there: the mean of the months requested, each weighted "
    "by its part of the range. A month counts as a whole, whichever of its days are requested",
    "X-Missing-Months": "Months of the range without data; absent where there are none",
    "Link": "The licence of every source in the answer, to be displayed with the data: rel=license",
    "X-Source": "The sources in the answer",
    "ETag": "For If-None-Match, which gives 304 while nothing has changed",
}


def city_paths(path: str, name_of_old: str | None = None) -> tuple[str, str]:
    """The two paths of a city's route: that of the first release, and the current one."""
    return f"/api/v1/external/operations/cities/{{city_id}}/{name_of_old or path}", f"/api/v1/cities/{{city_id}}/{path}"


# For the document only: the route itself refuses other texts.
MonthParameter = Annotated[
    str, Path(examples=["2026-10"], json_schema_extra={"pattern": r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])$"})
]


def month_of(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise invalid("path", "month", "month", str(error), text) from None


def documented(records: Any, description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The documentation of a route of history: its records, `headers` and errors."""
    return _described({"model": records, "content": CONTENT}, description, headers)


def documented_file(description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The documentation of a route that answers a Parquet file."""
    media_type = FORMATS["parquet"].media_type
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    described = _described({"content": content}, description, headers)
    del described["responses"][406]
    return described


def _described(content: dict[str, Any], description: str, headers: Mapping[str, str]) -> dict[str, Any]:
    ok = content | {
        "description": description,
        "headers": {header: {"description": text, "schema": {"type": "string"}} for header, text in headers.items()},
    }
    known = {"description": "Nothing has changed since If-None-Match"}
    part = {"description": "The Range of a Parquet file; the whole file, as 200, if If-Range is not its ETag"}
    beyond = {"model": ErrorResponse, "description": "The Range starts beyond the end of the Parquet file"}
    return {"response_class": Response, "responses": {200: ok, 206: part, 304: known, **ERRORS, 416: beyond}}


def add_read(router: APIRouter, path: str, endpoint: Callable[..., Awaitable[Response]], **described: Any) -> None:
    """A route for GET, and for HEAD, which the OpenAPI document omits."""
    router.add_api_route(path, endpoint, **described)
    router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
