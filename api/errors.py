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

from api.observe import REQUESTS_LOG
from city_data.store.database import DatabaseUnavailable

RETRY_AFTER_S = 2
_MAX_ECHO = 200

Place = Literal["query", "body", "path"]


class SomethingAway(Exception):
    """The answer exists, but cannot be had now: 503, and the caller should ask again."""


def problem(place: Place, field: str, kind: str, message: str, value: object) -> dict[str, Any]:
    """One entry of FastAPI's own error shape."""
    return {"type": kind, "loc": (place, field), "msg": message, "input": value}


def invalid(place: Place, field: str, kind: str, message: str, value: object) -> RequestValidationError:
    return RequestValidationError([problem(place, field, kind, message, value)])


def _json(status: int, detail: object, headers: dict[str, str] | None = None) -> Response:
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
    return _json(
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
        return _json(422, [entry])
    return _json(error.status_code, error.detail, dict(error.headers or {}))


async def _on_away(_: Request, error: Exception) -> Response:
    REQUESTS_LOG.warning("store_unavailable", error=type(error).__name__)
    return _json(
        503,
        str(error) if isinstance(error, SomethingAway) else "The store cannot be read at the moment; ask again soon.",
        {"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"},
    )


def install(app: FastAPI) -> None:
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    # SQLAlchemyError besides: a full pool, a statement's time limit, or a schema that is not there yet.
    for kind in (DatabaseUnavailable, SomethingAway, sqlalchemy.exc.SQLAlchemyError):
        app.add_exception_handler(kind, _on_away)
