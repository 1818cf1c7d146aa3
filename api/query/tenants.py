"""The location of a tenant, for requests without coordinates. Belongs here: calling the tenant service, and its cache.

Does not: the city of a location (city.py). The complete contract of the service:

    GET {TENANT_SERVICE_URL}/api/v1/tenants/{tenant_id}     Authorization: Bearer {TENANT_SERVICE_TOKEN}, if one is set
    200 {"latitude": 40.4168, "longitude": -3.7038, ...}    degrees; both null without a location; others are ignored
    404                                                     unknown tenant
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
from api.caching import SingleFlight
from api.errors import ServiceUnavailable
from api.observability import REQUESTS_LOG, Metrics
from city_data.lru_cache import LruCache

TIMEOUT_S = 3.0
KNOWN_S, UNKNOWN_S, UNAVAILABLE_S = 600.0, 60.0, 5.0
_REMEMBERED = 10_000
_MAX_ANSWER_BYTES = 256 * 1024


class Location(BaseModel):
    """The fields of the service's response that are read. Strict: an almost correct location gives a wrong city."""

    latitude: float | None = Field(ge=-90, le=90, allow_inf_nan=False)
    longitude: float | None = Field(ge=-180, le=180, allow_inf_nan=False)


@dataclass(frozen=True)
class _Known:
    """A cached response; `location` is None for a tenant that the service does not know."""

    location: Location | None
    until: float


class TenantLocations:
    """One per application. Equal concurrent lookups share one call; a failed call pauses calls for UNAVAILABLE_S."""

    def __init__(
        self, url: str, token: str | None, metrics: Metrics, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._metrics, self._clock = url.rstrip("/"), metrics, clock
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, headers=headers, trust_env=False)
        self._known: LruCache[UUID, _Known] = LruCache(_REMEMBERED)
        self._flights: SingleFlight[UUID, Location | None] = SingleFlight()
        self._unavailable_until = float("-inf")

    async def locate(self, tenant: UUID) -> Location:
        """Raises HTTPException 404 for an unknown tenant, ServiceUnavailable where the service cannot be reached."""
        known = self._known.get(tenant)
        if known is not None and known.until > self._clock():
            self._metrics.count_tenant_lookup("memory")
            location = known.location
        elif self._clock() < self._unavailable_until:
            self._metrics.count_tenant_lookup("away")
            raise _unavailable()
        else:
            location = await self._flights.do(tenant, lambda: self._fetch(tenant))
        if location is None:
            raise HTTPException(404, f"The tenant service does not know tenant {tenant}.")
        return location

    async def close(self) -> None:
        await self._client.aclose()

    async def _fetch(self, tenant: UUID) -> Location | None:
        try:
            location = await self._read(tenant)
        except httpx.HTTPError as error:
            self._unavailable_until = self._clock() + UNAVAILABLE_S
            self._metrics.count_tenant_lookup("away")
            REQUESTS_LOG.warning("tenant_service_away", error=type(error).__name__)
            raise _unavailable() from error
        except ValueError as error:
            # The response is not logged: it may contain the tenant's location.
            self._metrics.count_tenant_lookup("bad")
            REQUESTS_LOG.warning("tenant_service_wrong", tenant=str(tenant), error=type(error).__name__)
            detail = "The tenant service sent an invalid response; give latitude and longitude, or try again."
            raise ServiceUnavailable(detail, retry_after_s=int(UNAVAILABLE_S)) from error
        self._metrics.count_tenant_lookup("unknown" if location is None else "found")
        self._known.put(tenant, _Known(location, self._clock() + (UNKNOWN_S if location is None else KNOWN_S)), 1)
        return location

    async def _read(self, tenant: UUID) -> Location | None:
        """Raises httpx.HTTPError, and ValueError for a response outside the contract."""
        async with self._client.stream("GET", f"{self._url}/api/v1/tenants/{tenant}") as response:
            if response.status_code == 404:
                return None
            if response.status_code == 429 or response.status_code >= 500:
                raise httpx.HTTPStatusError("unavailable", request=response.request, response=response)
            body = await read_capped(response, _MAX_ANSWER_BYTES)
        location = Location.model_validate_json(body, strict=True)
        if (location.latitude is None) != (location.longitude is None):
            raise ValueError("only one of latitude and longitude")
        return location


def _unavailable() -> ServiceUnavailable:
    detail = "The tenant service is unavailable; give latitude and longitude, or try again."
    return ServiceUnavailable(detail, retry_after_s=int(UNAVAILABLE_S))
