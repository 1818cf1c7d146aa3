"""Dagster's webserver on one machine, which answers its own pages only.

Belongs here: the guard before the webserver. Does not: the webserver, or who starts it (platform.py).
It has no login. A page of another site, open in the operator's browser, could otherwise launch a run: by a form, by a
link to a GraphQL mutation, or by a host name that it points to this machine.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster_webserver.cli
from dagster_webserver.app import create_app_from_workspace_process_context
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

OWN_HOSTS = {"127.0.0.1", "localhost", "::1"}
# `none`: an address that the operator typed, or a bookmark.
OWN_SITES = {"same-origin", "none"}


class SameOriginGuard:
    """ASGI middleware: 403 for a request of another site or to another host name, 405 for a mutation by GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        refusal = _refusal(scope)
        if refusal is None:
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return await WebSocketClose(1008, refusal[1])(scope, receive, send)
        return await PlainTextResponse(refusal[1] + "\n", refusal[0])(scope, receive, send)


def _refusal(scope: Scope) -> tuple[int, str] | None:
    headers = Headers(scope=scope)
    host, origin, site = headers.get("host", ""), headers.get("origin"), headers.get("sec-fetch-site", "none")
    if _name(f"//{host}") not in OWN_HOSTS:
        return 403, "This page is served as 127.0.0.1 and localhost only."
    if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
        return 403, "The request comes from another site."
    if site not in OWN_SITES:
        return 403, "The request comes from another site."
    if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and _is_mutation(scope["query_string"]):
        return 405, "A mutation needs POST."
    return None


def _name(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_mutation(query_string: bytes) -> bool:
    """Whether any operation of the query changes something; Dagster itself refuses a text that is not GraphQL."""
    for text in parse_qs(query_string.decode("latin-1")).get("query", []):
        try:
            nodes = parse(text).definitions
        except GraphQLError:
            continue
        if any(isinstance(n, OperationDefinitionNode) and n.operation == OperationType.MUTATION for n in nodes):
            return True
    return False


def main() -> None:
    """`dagster-webserver` with the guard around its app."""

    def guarded(*arguments: Any, **options: Any) -> Starlette:
        app = create_app_from_workspace_process_context(*arguments, **options)
        app.add_middleware(SameOriginGuard)
        return app

    vars(dagster_webserver.cli)["create_app_from_workspace_process_context"] = guarded
    dagster_webserver.cli.main()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
