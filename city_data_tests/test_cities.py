"""The registry refuses invalid entries and names the place of the fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from city_data.cities import City, Registry, RegistryError, load_registry

TOWN: dict[str, Any] = {
    "city_id": "town",
    "name": "Town",
    "country": "ES",
    "latitude": 40.0,
    "longitude": -3.0,
    "radius_km": 20,
    "timezone": "Europe/Madrid",
    "enabled": True,
    "weather": {"provider": "open_meteo"},
}
FEASTS: dict[str, Any] = {"first_year": 2024, "source": "the council"}


def feast(last_year: int | None = None, **form: Any) -> dict[str, Any]:
    """The entry's key with one feast."""
    day = {"name": "Feast", "source": "the council", **form}
    return {"local_holidays": FEASTS | {"last_year": last_year, "days": [day]}}


def write(folder: Path, *entries: dict[str, Any]) -> Path:
    file = folder / "cities.yaml"
    file.write_text(yaml.safe_dump({"cities": list(entries)}))
    return file


def test_shipped_registry() -> None:
    registry = load_registry(environ={})
    assert {"madrid", "valencia", "barcelona", "lisbon"} <= {city.city_id for city in registry.all()}
    assert {"madrid", "valencia", "lisbon"} <= {city.city_id for city in registry.enabled()}
    madrid = registry.get("madrid")
    assert (madrid.latitude, madrid.longitude, madrid.radius_km) == (40.4168, -3.7038, 30)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, "colour.*known keys"),
        ({"timezone": "Europe/Atlantis"}, "timezone.*Europe/Atlantis"),
        ({"latitude": 91.0}, "latitude"),
        ({"longitude": float("nan")}, "longitude"),
        ({"radius_km": 0}, "radius_km"),
        (
            {"weather": {"provider": "open_meteo", "settingz": {}}},
            r"weather.settingz.*known keys: provider, settings, f",
        ),
        ({"region": "Madrid"}, "region: .*'Madrid' of ES; known: AN, .*MD"),
        ({"region": "MD", "country": "SA"}, "region: .*no region of SA is known"),
        ({"country": "Spain"}, "country: 'Spain' is not an ISO 3166-1 code of two capitals, such as PT$"),
        ({"country": False}, "country: YAML reads this as False, not as text: put it in quotes$"),
        ({"region": 13}, "region: YAML reads this as 13, not as text: put it in quotes$"),
        (
            {"weather": "open_meteo"},
            "weather: 'open_meteo' stands where keys are expected: provider, settings, fallback$",
        ),
        ({"weather": {"provider": "aemt"}}, "weather.provider: unknown provider 'aemt'; did you mean aemet\\? known: "),
        ({"local_holidays": []}, "local_holidays: "),
        ({"local_holidays": FEASTS | {"source": ""}}, "local_holidays.source: "),
        (
            {"local_holidays": FEASTS | {"years": 2}},
            r"local_holidays.years: .*known keys: first_year, last_year, source, d",
        ),
        (
            {"local_holidays": FEASTS | {"last_year": 2023}},
            "local_holidays: .*last_year 2023 is before first_year 2024",
        ),
        (feast(every_year="06-13", source=None), r"local_holidays.days.0.source: "),
        (
            feast(every_year="06-13", evry_year="06-13"),
            r"days.0.evry_year: .*known keys: name, source, every_year, days_a",
        ),
        (
            feast(every_year="02-29"),
            "days.0.every_year: .*'02-29' is not a day of every year; write month and day, such a",
        ),
        (feast(every_year="13-06"), "days.0.every_year: .*'13-06' is not a day of every year"),
        (feast(days_after_easter=400), "days.0.days_after_easter"),
        (feast(), "days.0: .*'Feast' needs exactly one of every_year, days_after_easter, dates"),
        (feast(every_year="06-13", days_after_easter=1), "days.0: .*'Feast' needs exactly one of every_year"),
        (feast(dates=["2025-02-30"]), "days.0.dates.0"),
        (feast(dates=["2025-06-13"]), "local_holidays: .*'Feast' has dates of single years, so last_year is needed"),
        (feast(2026, dates=["2027-06-13"]), "local_holidays: .*'Feast': 2027-06-13 is outside 2024-2026"),
    ],
)
def test_refusal_names_file_city_and_field(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    file = write(tmp_path, TOWN | change)
    with pytest.raises(RegistryError, match=f"cities.yaml: city town: .*{message}"):
        load_registry(file, environ={})


def test_duplicate_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="more than once: town"):
        load_registry(write(tmp_path, TOWN, TOWN), environ={})


def test_environment_selects_the_file_and_the_enabled_cities(tmp_path: Path) -> None:
    file = write(tmp_path, TOWN, TOWN | {"city_id": "other"})
    environ = {"CITY_DATA_CITIES": str(file), "ENABLED_CITIES": "other"}
    assert [city.city_id for city in load_registry(environ=environ).enabled()] == ["other"]
    with pytest.raises(RegistryError, match=r"nowhere.*known: town, other"):
        load_registry(environ=environ | {"ENABLED_CITIES": "nowhere"})


def test_nearest_city_within_its_radius() -> None:
    registry = load_registry(environ={"ENABLED_CITIES": "madrid,valencia"})
    inside = registry.covering(40.45, -3.69)
    assert inside is not None
    assert inside[0].city_id == "madrid"
    assert registry.covering(41.65, -0.88) is None
    nearest = registry.nearest(41.3851, 2.1734)
    assert nearest is not None
    assert nearest[0].city_id == "valencia"
    assert nearest[1] == pytest.approx(303, abs=3)


PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@given(st.lists(st.tuples(PLACES, st.floats(1, 500), st.booleans()), max_size=12), PLACES, st.integers(0, 11))
def test_covering_city_equals_a_full_scan(
    registry: list[tuple[tuple[float, float], float, bool]], point: tuple[float, float], near: int
) -> None:
    cities = [
        City.model_validate(
            {
                "city_id": f"c{n}",
                "name": "c",
                "country": "ES",
                "timezone": "UTC",
                "enabled": enabled,
                "latitude": coordinates[0],
                "longitude": coordinates[1],
                "radius_km": radius,
            }
        )
        for n, (coordinates, radius, enabled) in enumerate(registry)
    ]
    if cities:  # beside a city, where its edge is
        city = cities[near % len(cities)]
        point = (max(-90.0, city.latitude - city.radius_km / 111.2), city.longitude)
    reaching = [(city, city.distance_km(*point)) for city in cities if city.enabled]
    reaching = [(city, distance) for city, distance in reaching if distance <= city.radius_km]
    assert Registry(cities).covering(*point) == min(reaching, key=lambda pair: pair[1], default=None)
