"""docs/adding-a-city.md, executed: a city is one entry in one file."""

from __future__ import annotations

from datetime import datetime

import yaml

from city_data.cities import DEFAULT_FILE, load_registry
from city_data.definitions import defs
from city_data.window import Month
from city_data_tests.docs.pages import page
from city_data_tests.world import World


def city_entry() -> str:
    """The entry as it goes to the end of cities.yaml."""
    (entry,) = [fence.text for fence in page("adding-a-city.md").fences if (fence.kind, fence.mark) == ("yaml", "city")]
    return entry


def test_a_city_is_one_entry_in_one_file(world: World) -> None:
    world.folder.joinpath("tree").mkdir()
    file = world.folder / "tree" / "cities.yaml"
    file.write_text(DEFAULT_FILE.read_text(encoding="utf-8") + "\n" + city_entry(), encoding="utf-8")
    (entry,) = yaml.safe_load(city_entry())
    city_id, zone = entry["city_id"], entry["timezone"]
    assert city_id not in {city.city_id for city in load_registry(environ={}).all()}
    world.monkeypatch.setenv("CITY_DATA_CITIES", str(file))
    world.enable(city_id)
    keys = {key.to_user_string() for key in defs().resolve_asset_graph().get_all_asset_keys()}
    datasets, steps = ("weather", "calendar", "forecast"), ("raw", "monthly", "cache")
    assert {f"{city_id}/{dataset}_{step}" for dataset in datasets for step in steps} <= keys
    (done,) = world.load("weather", "2026-10", city_id=city_id)
    stored = world.entry("weather", "2026-10", city_id)
    assert (done.error, done.rows) == (None, 745)
    assert stored is not None
    assert stored.first_date == Month(2026, 10).bounds(zone)[0]
    assert isinstance(stored.loaded_at, datetime)
    (done,) = world.load("calendar", "2027-06", city_id=city_id)
    assert (done.error, done.rows) == (None, 30)
    assert list(file.parent.iterdir()) == [file]
