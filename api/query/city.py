"""From a tenant's request to the city that serves it. Belongs here: the choice of the city, and its refusals.

Does not: distances themselves (city_data/cities.py).
"""

from __future__ import annotations

from uuid import UUID

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from api.errors import Place, problem
from api.query.tenants import TenantLocations
from city_data.cities import City, Registry


async def city_of_tenant(
    registry: Registry,
    tenants: TenantLocations | None,
    place: Place,
    tenant: UUID,
    latitude: float | None,
    longitude: float | None,
) -> tuple[City, float]:
    """As `city_for`; where both coordinates are left out, for where the tenant service says that the tenant is.

    Raises besides 404 for a tenant that is not known, ServiceUnavailable.
    """
    if latitude is None and longitude is None and tenants is not None:
        location = await tenants.locate(tenant)
        latitude, longitude = location.latitude, location.longitude
    return city_for(registry, place, latitude, longitude)


def city_for(registry: Registry, place: Place, latitude: float | None, longitude: float | None) -> tuple[City, float]:
    """The city that covers the coordinate, and its distance in km. Raises 422 without coordinates, 404 without city."""
    if latitude is None or longitude is None:
        message = "needed: this service does not know the tenant's location"
        raise RequestValidationError(
            [
                problem(place, field, "missing", f"{field} is {message}", None)
                for field, value in (("latitude", latitude), ("longitude", longitude))
                if value is None
            ]
        )
    covering = registry.covering(latitude, longitude)
    if covering is not None:
        return covering
    nearest = registry.nearest(latitude, longitude)
    if nearest is None:
        raise HTTPException(404, "No city is enabled in this service.")
    city, distance = nearest
    raise HTTPException(
        404,
        f"No supported city near this location: the nearest is {city.name} ({city.city_id}), {distance:.1f} km away, "
        f"and it reaches {city.radius_km:g} km.",
    )


def enabled_city(registry: Registry, city_id: str) -> City:
    """Raises 404, naming the enabled cities."""
    cities = {city.city_id: city for city in registry.enabled()}
    if city_id not in cities:
        raise HTTPException(404, f"No city {city_id[:80]!r} is enabled here; enabled: {', '.join(cities) or 'none'}.")
    return cities[city_id]
