"""What a caller is told when there is no answer. Belongs here: every error's status, shape and headers.

Does not: finding out that something is wrong. An error is always JSON, `{"detail": ...}`, and never repeats a secret.
"""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import sqlalchemy.exc
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.observability import REQUESTS_LOG
from api.routes.schemas import ErrorResponse
from city_data.errors import CityDataError
from city_data.store.database import DatabaseUnavailable

RETRY_AFTER_S = 2
_MAX_ECHO = 200
_STORE_AWAY = "The store cannot be read at the moment; ask again soon."

Place = Literal["query", "body", "path"]


def _documented(description: str, example: str, *headers: str) -> dict[str, Any]:
    return {
        "model": ErrorResponse,
        "description": description,
        "headers": {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in headers},
        "content": {"application/json": {"example": {"detail": example}}},
    }


_HEADERS = {
    "Retry-After": "Seconds to wait",
    "WWW-Authenticate": "What is wrong with the token (RFC 6750)",
}
# Answered before any route: by the server itself, or by the guard.
ANY_REQUEST: dict[int | str, dict[str, Any]] = {
    400: _documented("Not HTTP", "This is no HTTP request."),
    408: _documented("The request did not arrive in time", "The request did not arrive in time."),
    413: _documented("The body is too large", "The body is larger than 65536 bytes."),
    431: _documented("The headers are too large", "The request line and headers are larger than this service takes."),
}
EVERYWHERE: dict[int | str, dict[str, Any]] = {
    **ANY_REQUEST,
    401: _documented("No token, or one that is not believed", "The token has expired.", "WWW-Authenticate"),
    429: _documented(
        "More requests than this caller may make",
        "More requests than this caller may make; ask again in 1 s.",
        "Retry-After",
    ),
    503: _documented(
        "The store or another service is away, or this one is busy",
        _STORE_AWAY,
        "Retry-After",
    ),
}


class ServiceUnavailable(CityDataError):
    """The answer exists, but cannot be had now: 503, and the caller should ask again."""

    def __init__(self, detail: str, retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


def problem(place: Place, field: str, kind: str, message: str, value: object) -> dict[str, Any]:
    """One entry of FastAPI's own error shape."""
    return {"type": kind, "loc": (place, field), "msg": message, "input": value}


def invalid(place: Place, field: str, kind: str, message: str, value: object) -> RequestValidationError:
    return RequestValidationError([problem(place, field, kind, message, value)])


def error_response(status: int, detail: object, headers: dict[str, str] | None = None) -> Response:
    """Every error's shape."""
    # ASCII only: what callers send may hold lone surrogates, which UTF-8 cannot carry.
    body = json.dumps({"detail": detail}, ensure_ascii=True, allow_nan=False).encode("ascii")
    return Response(body, status_code=status, headers=headers, media_type="application/json")


def _echo(value: object) -> object:
    """A caller's own input as JSON can say it, cut short: an error must not become a large or a broken answer."""
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
                "msg": entry["msg"],
                "input": _echo(entry.get("input")),
            }
            for entry in error.errors()
        ],
    )


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    if error.status_code == 400:  # FastAPI's word for a body that is no JSON text at all
        entry = {"type": "json_invalid", "loc": ["body"], "msg": str(error.detail), "input": None}
        return error_response(422, [entry])
    return error_response(error.status_code, error.detail, dict(error.headers or {}))


async def _on_away(_: Request, error: Exception) -> Response:
    REQUESTS_LOG.warning("unavailable", error=type(error).__name__)
    away = error if isinstance(error, ServiceUnavailable) else ServiceUnavailable(_STORE_AWAY)
    headers = {"Retry-After": str(away.retry_after_s), "Cache-Control": "no-store"}
    return error_response(503, str(away), headers)


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # SQLAlchemyError besides: a full pool, a statement's time limit, or a schema that is not there yet.
    for kind in (DatabaseUnavailable, ServiceUnavailable, sqlalchemy.exc.SQLAlchemyError):
        app.add_exception_handler(kind, _on_away)
