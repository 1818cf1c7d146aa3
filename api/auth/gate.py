"""Who may ask what. Belongs here: the dependency of every route but health, its 401, 404 and 429, a caller's rate.

Does not: checking a token (tokens.py). A tenant is known by its token alone: the path of another tenant does not exist.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from api.auth.tokens import BETWEEN_READS_S, Caller, InvalidToken, KeysUnavailable, Tokens
from api.caching import LruCache
from api.errors import ServiceUnavailable
from api.observability import Metrics, note

_REALM = 'Bearer realm="city_data"'
_CALLERS = 10_000
# Optional to FastAPI: it would answer a missing token itself, in words of its own and uncounted.
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    bearerFormat="JWT",
    description="A JWT signed with RS256 by the configured issuer, with exp, aud, iss, sub and the caller's tenant_id",
)


@dataclass(frozen=True)
class Allowance:
    """What a caller may still ask: `remaining` at once; `reset_s` until all of `limit` is there again."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: int
    retry_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        told = {"limit": self.limit, "remaining": self.remaining, "reset": self.reset_s}
        return [(f"ratelimit-{name}".encode(), str(value).encode()) for name, value in told.items()]


class RateLimiter:
    """A token bucket a caller: `burst` at once, refilled by `per_s`. In this process alone; the least recent leave."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._levels: LruCache[str, tuple[float, float]] = LruCache(_CALLERS)

    def take(self, caller: str) -> Allowance:
        now = self._clock()
        level, since = self._levels.get(caller) or (float(self._burst), now)
        level = min(self._burst, level + (now - since) * self._per_s)
        allowed = level >= 1
        level -= allowed
        self._levels.put(caller, (level, now), 1)
        return Allowance(
            allowed,
            self._burst,
            int(level),
            math.ceil((self._burst - level) / self._per_s),
            max(1, math.ceil((1 - level) / self._per_s)),
        )


class Authorizer:
    """The dependency. `tokens` is None on a machine of its own, where everyone is everyone; so may `buckets` be."""

    def __init__(self, tokens: Tokens | None, buckets: RateLimiter | None, metrics: Metrics) -> None:
        self._tokens, self._buckets, self._metrics = tokens, buckets, metrics

    async def __call__(
        self, request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
    ) -> None:
        """As `admit`."""
        await self.admit(request.scope, given.credentials if given else None, request.path_params.get("tenant_id"))

    async def admit(self, scope: Scope, token: str | None, tenant_text: str | None) -> None:
        """Raises HTTPException 401, 404 or 429, ServiceUnavailable while the issuer's keys cannot be read."""
        if self._tokens is None:
            return
        caller = await self._caller(self._tokens, token)
        about = note(scope)
        about.tenant = str(caller.tenant) if caller.tenant else None
        if self._buckets is not None:
            self._take(self._buckets, scope, caller)
        asked = _uuid(tenant_text)
        # A path without a tenant is everyone's; one that is no UUID is refused by its route, with 422.
        if asked is not None and asked != caller.tenant:
            raise HTTPException(404, f"No tenant {asked} is known to this token.")

    def readmit(self, digest: bytes | None, tenant: UUID) -> list[tuple[bytes, bytes]] | None:
        """As `admit` of a token by its digest, and the headers it adds; None where `admit` has to be asked."""
        if self._tokens is None:
            return []
        caller = self._tokens.remembered(digest) if digest is not None else None
        if caller is None or caller.tenant != tenant:
            return None
        if self._buckets is None:
            return []
        allowance = self._buckets.take(caller.subject)
        return allowance.headers() if allowance.allowed else None

    async def _caller(self, tokens: Tokens, token: str | None) -> Caller:
        if token is None:
            self._metrics.refused_token("missing")
            raise HTTPException(401, "A bearer token is needed.", {"WWW-Authenticate": _REALM})
        try:
            return await tokens.caller(token)
        except InvalidToken as error:
            self._metrics.refused_token(error.reason)
            challenge = f'{_REALM}, error="invalid_token", error_description="{error}"'
            raise HTTPException(401, str(error), {"WWW-Authenticate": challenge}) from error
        except KeysUnavailable as error:
            raise ServiceUnavailable(str(error), retry_after_s=int(BETWEEN_READS_S)) from error

    def _take(self, buckets: RateLimiter, scope: Scope, caller: Caller) -> None:
        allowance = buckets.take(caller.subject)
        note(scope).headers.extend(allowance.headers())
        if not allowance.allowed:
            self._metrics.rate_limited.inc()
            detail = f"More requests than this caller may make; ask again in {allowance.retry_s} s."
            raise HTTPException(429, detail, {"Retry-After": str(allowance.retry_s)})


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
