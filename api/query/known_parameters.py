"""Names of query parameters: an unknown one is refused. Belongs here: the dependency of every route, and its 422.

Does not: values (routes/). `resoluton=daily` would otherwise be answered with hourly rows and 200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, get_type_hints

from fastapi import Request, params
from fastapi.exceptions import RequestValidationError

from api.errors import problem
from city_data.errors import nearest

_SHOWN = 80


async def require_known_parameters(request: Request) -> None:
    """Raises RequestValidationError for parameters that the route does not have, naming the nearest known one."""
    if not request.scope["query_string"]:
        return
    known = known_parameters(request.scope["endpoint"])
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        raise RequestValidationError(
            [
                problem("query", name[:_SHOWN], "unknown_parameter", _refusal(name, known), request.query_params[name])
                for name in unknown[:10]
            ]
        )


@cache
def known_parameters(endpoint: Callable[..., Any]) -> tuple[str, ...]:
    """The names that the endpoint declares as `Annotated[..., Query(...)]`, one by one or as the fields of a model."""
    names = set[str]()
    for name, kind in get_type_hints(endpoint, include_extras=True).items():
        if any(isinstance(mark, params.Query) for mark in getattr(kind, "__metadata__", ())):
            fields = getattr(kind.__origin__, "model_fields", {name: None})
            names |= {field.alias or one if field is not None else one for one, field in fields.items()}
    return tuple(sorted(names))


def _refusal(name: str, known: Sequence[str]) -> str:
    if not known:
        return "this route has no query parameters"
    near = nearest(name, known)
    return f"unknown; did you mean {near}?" if near is not None else f"unknown; there are {', '.join(known)}"
