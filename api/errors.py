"""Error responses. Belongs here: the status, shape and headers of every error.

Does not: detecting errors. The body of an error is always JSON, `{"detail": ...}`, and never contains a secret.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.observability import REQUESTS_LOG
from city_data.errors import CityDataError
from city_data.store.database import DatabaseUnavailable

RETRY_AFTER_S = 2
_MAX_ECHO = 200
MALFORMED = "Malformed HTTP request."
_STORE_UNAVAILABLE = "The data store cannot be read at the moment; try again soon."

Loc = Literal["query", "body", "path"]


class ErrorResponse(BaseModel):
    """The error message."""

    detail: str


class Problem(BaseModel):
    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class ValidationErrorResponse(BaseModel):
    """FastAPI's error shape: one entry for each invalid part of the request."""

    detail: list[Problem]


def _documented(description: str, example: str, *headers: str) -> dict[str, Any]:
    return {
        "model": ErrorResponse,
        "description": description,
        "headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in headers},
        "content": {"application/json": {"example": {"detail": example}}},
    }


_HEADERS = {
    "Retry-After": "Seconds to wait",
    "WWW-Authenticate": "The reason why the token was rejected (RFC 6750)",
}
# Sent before any route is reached: by the server, or by the limits on requests.
ANY_REQUEST: dict[int | str, dict[str, Any]] = {
    400: _documented("Malformed HTTP request, or not exactly one Host", MALFORMED),
    408: _documented("The request did not arrive in time", "The request did not arrive in time."),
    413: _documented("The body is too large", "The body is larger than 65536 bytes."),
    431: _documented("The headers are too large", "The request line and headers are larger than this service takes."),
}
EVERYWHERE: dict[int | str, dict[str, Any]] = {
    **ANY_REQUEST,
    401: _documented("The bearer token is missing or invalid", "The token has expired.", "WWW-Authenticate"),
    429: _documented(
        "The caller's rate limit is exceeded",
        "Rate limit exceeded; try again in 1 s.",
        "Retry-After",
    ),
    503: _documented(
        "The data store or another service is unavailable, or this service is busy",
        _STORE_UNAVAILABLE,
        "Retry-After",
    ),
}


class ServiceUnavailable(CityDataError):
    """The request cannot be answered at the moment: 503, and the caller should try again."""

    def __init__(self, detail: str, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


def problem(loc: Loc, field: str, kind: str, message: str, value: object) -> dict[str, Any]:
    """One entry of FastAPI's error shape."""
    return {"type": kind, "loc": (loc, field), "msg": message, "input": value}


def invalid(loc: Loc, field: str, kind: str, message: str, value: object) -> RequestValidationError:
    return RequestValidationError([problem(loc, field, kind, message, value)])


def error_response(status: int, detail: object, headers: dict[str, str] | None = None) -> Response:
    """A response in the shape of all errors."""
    # ASCII only: input of callers may contain lone surrogates, which UTF-8 cannot encode.
    body = json.dumps({"detail": detail}, ensure_ascii=True, allow_nan=False).encode("ascii")
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def refusal(error: HTTPException | ServiceUnavailable) -> Response:
    """The response that reports `error`."""
    if isinstance(error, ServiceUnavailable):
        headers = {"Retry-After": str(error.retry_after_s), "Cache-Control": "no-store"}
        return error_response(503, str(error), headers)
    return error_response(error.status_code, error.detail, dict(error.headers or {}))


def _echo(value: object) -> object:
    """A caller's input as a short JSON value, so that an error response is neither large nor invalid."""
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 2**63 else "a very large integer"
        case float():
            return value if math.isfinite(value) else str(value)
        case str():
            return value if len(value) <= _MAX_ECHO else f"{value[:_MAX_ECHO]}..."
        case _:
            return f"a value of type {type(value).__name__}"


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
    return error_response(
        422,
        [
            {
                "type": entry["type"],
                "loc": [_echo(part) for part in entry["loc"]],
                "msg": entry["msg"].removeprefix("Value error, "),  # pydantic's, before a validator's own words
                # Of a missing field pydantic gives the whole query or body.
                "input": _echo(None if entry["type"] == "missing" else entry.get("input")),
            }
            for entry in error.errors()
        ],
    )


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    if error.status_code == 400:  # FastAPI's status for a body that cannot be parsed as JSON
        entry = {"type": "json_invalid", "loc": ["body"], "msg": str(error.detail), "input": None}
        return error_response(422, [entry])
    return refusal(error)


async def _on_unavailable(_: Request, error: Exception) -> Response:
    REQUESTS_LOG.warning("unavailable", error=type(error).__name__)
    return refusal(error if isinstance(error, ServiceUnavailable) else ServiceUnavailable(_STORE_UNAVAILABLE))


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # SQLAlchemyError also covers an exhausted pool, a statement timeout, and a schema that is not migrated yet.
    for kind in (DatabaseUnavailable, ServiceUnavailable, sqlalchemy.exc.SQLAlchemyError):
        app.add_exception_handler(kind, _on_unavailable)
