"""Where a tenant is, for requests that leave the coordinates out. Belongs here: asking the tenant service, remembering.

Does not: the city for a place (city.py). The service's contract, the whole of it:

    GET {TENANT_SERVICE_URL}/api/v1/tenants/{tenant_id}     Authorization: Bearer {TENANT_SERVICE_TOKEN}, if one is set
    200 {"latitude": 40.4168, "longitude": -3.7038, ...}    degrees; both null where it has no place; more is ignored
    404                                                     no such tenant
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import httpx
from fastapi import HTTPException
from pydantic import BaseModel, Field

from api.auth.upstream import read_capped
from api.caching import LruCache, SingleFlight
from api.errors import ServiceUnavailable
from api.observability import REQUESTS_LOG, Metrics

TIMEOUT_S = 3.0
KNOWN_S, UNKNOWN_S, AWAY_S = 600.0, 60.0, 5.0
_REMEMBERED = 10_000
_MAX_ANSWER_BYTES = 256 * 1024


class Location(BaseModel):
    """The part of the service's answer that is read. Strict: a place that is nearly right serves the wrong city."""

    latitude: float | None = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(ge=-180, le=180, allow_inf_nan=False)


@dataclass(frozen=True)
class _Known:
    """`location` is None for a tenant that the service does not know."""

    location: Location | None
    until: float


class TenantLocations:
    """One an app. Equal questions under way share one call, and one failed call spares the others for AWAY_S."""

    def __init__(
        self, url: str, token: str | None, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._metrics, self._clock = url.rstrip("/"), metrics, clock
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, headers=headers, trust_env=False)
        self._known: LruCache[UUID, _Known] = LruCache(_REMEMBERED)
        self._flights: SingleFlight[UUID, Location | None] = SingleFlight()
        self._away_until = float("-inf")

    async def locate(self, tenant: UUID) -> Location:
        """Raises HTTPException 404 for a tenant that is not known, ServiceUnavailable where the service cannot tell."""
        known = self._known.get(tenant)
        if known is not None and known.until > self._clock():
            self._metrics.looked_up_tenant("memory")
            found = known.location
        elif self._clock() < self._away_until:
            self._metrics.looked_up_tenant("away")
            raise _away()
        else:
            found = await self._flights.do(tenant, lambda: self._ask(tenant))
        if found is None:
            raise HTTPException(404, f"The tenant service knows no tenant {tenant}.")
        return found

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, tenant: UUID) -> Location | None:
        try:
            location = await self._read(tenant)
        except httpx.HTTPError as error:
            self._away_until = self._clock() + AWAY_S
            self._metrics.looked_up_tenant("away")
            REQUESTS_LOG.warning("tenant_service_away", error=type(error).__name__)
            raise _away() from error
        except ValueError as error:
            # The answer itself is not logged: it may say where the tenant is.
            self._metrics.looked_up_tenant("bad")
            REQUESTS_LOG.warning("tenant_service_wrong", tenant=str(tenant), error=type(error).__name__)
            detail = "The tenant service answered what is not understood; give latitude and longitude, or ask again."
            raise ServiceUnavailable(detail, retry_after_s=int(AWAY_S)) from error
        self._metrics.looked_up_tenant("unknown" if location is None else "found")
        self._known.put(tenant, _Known(location, self._clock() + (UNKNOWN_S if location is None else KNOWN_S)), 1)
        return location

    async def _read(self, tenant: UUID) -> Location | None:
        """Raises httpx.HTTPError, and ValueError for an answer outside the contract."""
        async with self._client.stream("GET", f"{self._url}/api/v1/tenants/{tenant}") as response:
            if response.status_code == 404:
                return None
            if response.status_code == 429 or response.status_code >= 500:
                raise httpx.HTTPStatusError("away", request=response.request, response=response)
            body = await read_capped(response, _MAX_ANSWER_BYTES)
        location = Location.model_validate_json(body, strict=True)
        if (location.latitude is None) != (location.longitude is None):
            raise ValueError("half a place")
        return location


def _away() -> ServiceUnavailable:
    detail = "The tenant service, which knows the tenant's place, is away; give latitude and longitude, or ask again."
    return ServiceUnavailable(detail, retry_after_s=int(AWAY_S))
