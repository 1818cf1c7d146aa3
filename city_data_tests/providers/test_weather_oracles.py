"""Weather parsers equal a plain recomputation from the same bytes: generated months, and the sandbox's."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from city_data.providers import discover
from city_data.providers.aemet import AemetSettings
from city_data.providers.base import Location, Request, Settings
from city_data.providers.meteo_france import MeteoFranceSettings
from city_data.sandbox import Sandbox, running
from city_data.window import Month
from city_data_tests.oracles.plain import CannotTell
from city_data_tests.providers.sources import facts_of, with_history
from city_data_tests.providers.wire import RECORDED
from city_data_tests.relations import Values, outcome, with_values
from city_data_tests.relations.weather import MONTHS, WIRES, Row, Wire
from city_data_tests.sandbox.asking import AS_OF, MADRID, Asked, registered

SOURCES = [name for name in with_history() if discover()[name].capabilities.dataset == "weather"]
SEEDS = st.integers(0, 2**32)


def oracle(provider: str, bodies: Sequence[bytes], request: Request) -> Values:
    """The right values, in all their digits, where there are any."""
    told = importlib.import_module(f"city_data_tests.oracles.{provider}").month(bodies, request)
    return with_values({stamp: {name: row.get(name) for name in COLUMNS} for stamp, row in told.items()})


COLUMNS = (
    *("temperature", "precipitation", "humidity", "wind_speed", "pressure"),
    *("temperature_min", "temperature_max", "sunshine_duration", "cloud_cover", "wind_gust", "snowfall"),
)


def agree(provider: str, bodies: Sequence[bytes], request: Request, refusable: bool = False) -> None:
    """The product's values are the oracle's; where it may refuse, what the oracle cannot read it must refuse."""
    made = outcome(discover()[provider], request, bodies)
    if made.month is None and refusable:
        return
    try:
        right = oracle(provider, bodies, request)
    except CannotTell as error:
        raise AssertionError(f"read, though {error}") from error
    values = made.values
    assert values.keys() == right.keys()
    for stamp, row in right.items():
        assert values[stamp] == pytest.approx(row, abs=0.00501), stamp  # two digits are published


def odd(rows: list[Row], wire: Wire, chance: random.Random) -> list[Row]:
    """The rows with what sources send now and then: doubles of every kind, spoilt cells, rows of others."""
    made = [dict(row) for row in rows]
    for row in chance.sample(rows, 12):
        copy = json.loads(json.dumps(row))
        where = copy.get("main", copy)
        for name in [name for name in where if name in NUMERIC]:
            if chance.random() < 0.5:
                where[name] = chance.choice(SPOILT.get(wire.provider_name, NO_NUMBERS))
            elif chance.random() < 0.3:
                where.pop(name) if wire.provider_name in ("aemet", "openweather") else None
        made.insert(chance.randrange(len(made)), copy)
    return made


NUMERIC = {
    *("tmed", "prec", "hrMedia", "velmedia", "presMax", "presMin", "tmin", "tmax", "racha", "sol"),
    *("temperature_2m", "precipitation", "relative_humidity_2m", "wind_speed_10m", "pressure_msl"),
    *("sunshine_duration", "cloud_cover", "wind_gusts_10m", "snowfall"),
    *("temp", "pressure", "humidity", "T", "RR1", "U", "FF", "PMER", "PSTAT"),
    *("TN", "TX", "FXI", "INS", "N", "HNEIGEFI1"),
}
NO_NUMBERS = [None, "", "x", -999, 1e12, True, 12.5]
SPOILT: dict[str, list[Any]] = {
    "aemet": ["", "7.6", "999,9", "-1,0", "12,5", " 8,1 ", 9, "NaN", "+3,0"],
    "meteo_france": ["", "x", "999.9", "-1,0", "12.5", "12,5", " 8 ", "NaN", "+3"],
}


@pytest.mark.parametrize("month", MONTHS)
@pytest.mark.parametrize("name", WIRES)
@settings(max_examples=3, phases=[Phase.generate])
@given(seed=SEEDS)
def test_generated_month_equals_its_oracle(name: str, month: str, seed: int) -> None:
    wire, chance = WIRES[name], random.Random(seed)
    request = wire.request(month)
    rows = wire.rows(request, chance)
    agree(wire.provider_name, [wire.encode(rows)], request)
    agree(wire.provider_name, [wire.encode(odd(rows, wire, chance))], request)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with running(tmp_path_factory.mktemp("oracles"), as_of=AS_OF) as served:
        yield served


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("month", ["2026-09", "2025-10", "2026-03"])
def test_sandbox_month_equals_its_oracle(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, month: str
) -> None:
    if (variable := discover()[name].capabilities.key_variable) is not None:
        monkeypatch.setenv(variable, "good")
    asked = Asked(sandbox, name, month)
    agree(name, [payload.path.read_bytes() for payload in asked.fetch(tmp_path)], asked.request)


def recorded_requests() -> list[tuple[str, str, Request]]:
    """Every recorded payload of the sources, asked about as what it is, or as a month that it is not."""
    found = []
    for provider in SOURCES:
        folder, usual = facts_of(provider).recorded, ANY.get(provider) or subject("2026-06", registered(provider)[1])
        for path in sorted((RECORDED / folder).glob("*")):
            if path.suffix in (".json", ".csv"):
                found.append((provider, f"{folder}/{path.name}", SUBJECTS.get(path.name, usual)))
    return found


def subject(month: str, settings: Settings, place: Location = MADRID) -> Request:
    return Request(place, Month.parse(month), settings, AS_OF)


BLAIN = MeteoFranceSettings(department="44", stations=("44015001",))
ROUEN = MeteoFranceSettings(department="76", stations=("76116001",))
TOWN = Location("town", 48.0, 2.0, "Europe/Paris")
ANY = {
    "aemet": subject("2026-06", AemetSettings(stations=("3195", "3129"))),
    "open_meteo": subject("2025-06", Settings()),
    "openweather": subject("2024-05", Settings()),
    "meteo_france": subject("2024-06", ROUEN, TOWN),
}
SUBJECTS = {
    "diarios_3194U_2019-10.json": subject("2019-10", AemetSettings(stations=("3194U",))),
    "diarios_B228_2026-05-01_15.json": subject("2026-05", AemetSettings(stations=("B228",))),
    "HOR_44_blain_2024-01-01.csv": subject("2024-01", BLAIN, TOWN),
}


@pytest.mark.parametrize(("provider", "name", "request_"), recorded_requests(), ids=lambda value: str(value)[:60])
def test_recorded_payload_equals_its_oracle_or_is_refused(provider: str, name: str, request_: Request) -> None:
    agree(provider, [(RECORDED / name).read_bytes()], request_, refusable=True)


def test_the_recorded_months_are_read(recorded: Path) -> None:
    for name, request in SUBJECTS.items():
        provider = "aemet" if name.startswith("diarios") else "meteo_france"
        folder = recorded / facts_of(provider).recorded
        agree(provider, [(folder / name).read_bytes()], request)
    both = json.loads((recorded / "openmeteo" / "archive_hourly_two_locations_2025-06-15.json").read_bytes())
    one = both[0]
    for name, unit in {"precipitation": "mm", "relative_humidity_2m": "%", "weather_code": "wmo code"}.items():
        one["hourly"][name], one["hourly_units"][name] = [0] * 24, unit
    one["hourly_units"]["wind_speed_10m"] = "m/s"
    place = Location("sibenik", one["latitude"], one["longitude"], "Europe/Zagreb")
    agree("open_meteo", [json.dumps([one]).encode()], replace(subject("2025-06", Settings()), location=place))
    metric = json.loads((recorded / "openweather" / "history_city_metric_2024-05-31.EXCERPT.json").read_bytes())
    metric["cnt"] = len(metric["list"])
    agree("openweather", [json.dumps(metric).encode()], subject("2024-05", Settings()))
