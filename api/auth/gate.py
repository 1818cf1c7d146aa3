"""Authorisation of a request. Belongs here: the dependency of every route but health, with its 401, 404 and 429.

Does not: verifying a token (tokens.py), or counting a caller's requests (rate_limit.py). A token gives access to its
own tenant only: the path of another tenant is 404.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from api.auth.rate_limit import RateLimiter
from api.auth.tokens import BETWEEN_READS_S, Caller, InvalidToken, KeysUnavailable, Tokens
from api.errors import ServiceUnavailable
from api.observability import Metrics, request_log

_CALLER = "caller"
_REALM = 'Bearer realm="city_data"'
# auto_error is off: FastAPI would answer a missing token itself, with another body and without counting it.
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    bearerFormat="JWT",
    description="A JWT signed with RS256 by the configured issuer, with exp, aud, iss, sub and the caller's tenant_id",
)


class Authorizer:
    """The dependency. `tokens` is None without authentication; `rate_limiter` is None without a rate limit."""

    def __init__(self, tokens: Tokens | None, rate_limiter: RateLimiter | None, metrics: Metrics) -> None:
        self._tokens, self._rate_limiter, self._metrics = tokens, rate_limiter, metrics

    async def __call__(
        self,
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],  # only for the OpenAPI document
    ) -> None:
        """As `authenticate`; 404 for another tenant's path."""
        caller = await self.authenticate(request.scope)
        if caller is None:
            return
        tenant = _uuid(request.path_params.get("tenant_id"))
        # A path without a tenant is open to every caller; the route answers an invalid UUID with 422.
        if tenant is not None and tenant != caller.tenant:
            raise HTTPException(404, f"Tenant {tenant} does not exist for this token.")

    async def authenticate(self, scope: Scope) -> Caller | None:
        """The request's caller, counted once however often this is called; None without authentication.

        Raises HTTPException 401 or 429, ServiceUnavailable while the issuer's keys cannot be read.
        """
        if self._tokens is None:
            return None
        state = scope.setdefault("state", {})
        if _CALLER not in state:
            caller = await self._caller(self._tokens, bearer_token(scope))
            request_log(scope).tenant = str(caller.tenant) if caller.tenant else None
            if self._rate_limiter is not None:
                self._take(self._rate_limiter, scope, caller)
            state[_CALLER] = caller
        known: Caller = state[_CALLER]
        return known

    def readmit(self, digest: bytes | None, tenant: UUID | None) -> list[tuple[bytes, bytes]] | None:
        """As the dependency, for a verified token's digest: headers to add; None where the routes have to answer."""
        if self._tokens is None:
            return []
        caller = self._tokens.remembered(digest) if digest is not None else None
        if caller is None or caller.tenant != tenant:
            return None
        if self._rate_limiter is None:
            return []
        allowance = self._rate_limiter.take(caller.subject)
        return allowance.headers() if allowance.allowed else None

    async def _caller(self, tokens: Tokens, token: str | None) -> Caller:
        if token is None:
            self._metrics.count_refused_token("missing")
            raise HTTPException(401, "A bearer token is required.", {"WWW-Authenticate": _REALM})
        try:
            return await tokens.caller(token)
        except InvalidToken as error:
            self._metrics.count_refused_token(error.reason)
            challenge = f'{_REALM}, error="invalid_token", error_description="{error}"'
            raise HTTPException(401, str(error), {"WWW-Authenticate": challenge}) from error
        except KeysUnavailable as error:
            raise ServiceUnavailable(str(error), retry_after_s=int(BETWEEN_READS_S)) from error

    def charge(self, scope: Scope, cost: int) -> None:
        """Count an expensive answer as `cost` more requests. Raises HTTPException 429."""
        caller = scope.get("state", {}).get(_CALLER)
        if caller is not None and self._rate_limiter is not None and cost > 0:
            self._take(self._rate_limiter, scope, caller, cost)

    def _take(self, rate_limiter: RateLimiter, scope: Scope, caller: Caller, cost: int = 1) -> None:
        allowance, headers = rate_limiter.take(caller.subject, cost), request_log(scope).headers
        headers[:] = [header for header in headers if not header[0].startswith(b"ratelimit-")] + allowance.headers()
        if not allowance.allowed:
            self._metrics.rate_limited.inc()
            reason = "" if cost == 1 else f" for an answer that costs {cost} requests"
            detail = f"Rate limit exceeded{reason}; try again in {allowance.retry_s} s."
            raise HTTPException(429, detail, {"Retry-After": str(allowance.retry_s)})


def bearer_token(scope: Scope) -> str | None:
    """The first Authorization header's token, however many spaces stand before it (RFC 9110, 11.6.2)."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            return rest.strip(" ") or None if scheme.lower() == "bearer" else None
    return None


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
