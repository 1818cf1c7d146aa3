"""A generated registry.

Belongs here: cities on a grid, and their sources. Does not: any measurement.
"""

from __future__ import annotations

from pathlib import Path

import yaml

WEATHER, TRAFFIC = "open_meteo", ("madrid_opendata", "barcelona_opendata")


def write(file: Path, count: int) -> Path:
    """So many cities, each with weather of Open-Meteo and traffic of Madrid's or Barcelona's portal in turn."""
    file.write_text(yaml.safe_dump({"cities": [_city(number) for number in range(count)]}, sort_keys=False))
    return file


def traffic_of(number: int) -> str:
    """The source of the traffic of the city with this number."""
    return TRAFFIC[number % 2]


def _city(number: int) -> dict[str, object]:
    return {
        "city_id": f"city_{number:04d}",
        "name": f"City {number}",
        "country": "ES",
        "latitude": round(-55 + number // 50 * 1.7, 3),
        "longitude": round(-170 + number % 50 * 6.7, 3),
        "radius_km": 15,
        "timezone": "Europe/Madrid",
        "enabled": True,
        "weather": {"provider": WEATHER},
        "traffic": {"provider": traffic_of(number)},
    }
