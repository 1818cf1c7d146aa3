"""What `city-data doctor` says without a store or a source."""

from __future__ import annotations

from city_data.cities import City
from city_data.local_holidays import LocalHolidays
from city_data.operations.doctor import unentered


def town(city_id: str, last_year: int | None, is_entered: bool = True) -> City:
    feasts = LocalHolidays(first_year=2024, last_year=last_year, source="council") if is_entered else None
    place = {"latitude": 0.0, "longitude": 0.0, "radius_km": 1.0, "timezone": "UTC", "country": "ES"}
    entry = {"city_id": city_id, "name": city_id, "enabled": True, "local_holidays": feasts, **place}
    return City.model_validate(entry)


def test_cities_without_this_or_next_years_holidays_are_named() -> None:
    cities = [town("always", None), town("this_year", 2026), town("never", None, False), town("before", 2025)]
    assert unentered(cities, 2026).startswith(
        "not known for 2026: never, before; not known for 2027: this_year, never, before; add them to"
    )
    assert unentered(cities[:2], 2025) == "entered to 2026"
