"""docs/adding-a-provider.md, executed to the letter in a folder of its own."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from city_data import providers
from city_data.cities import known_providers
from city_data.providers import discover
from city_data.providers.http import HttpClient
from city_data.window import Month
from city_data_tests.docs.pages import ROOT, files, page
from city_data_tests.providers import test_contract as contract
from city_data_tests.providers.cases import Case
from city_data_tests.providers.sources import SourceFacts
from city_data_tests.providers.wire import Answer, Site, site
from city_data_tests.sandbox.asking import StillClock
from city_data_tests.world import World

PAGE = "adding-a-provider.md"
HOST = "weather.toytown.example"
PROVIDER, FIXTURES = "city_data/providers/toytown.py", "city_data_tests/fixtures/toytown"
# The contract's own fixtures, by the names that its tests ask for.
served, stand_in = contract.served, contract.stand_in


@dataclass(frozen=True)
class Added:
    """The page's files below `root`, and the case that the contract makes of them."""

    root: Path
    case: Case

    @property
    def touched(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Added]:
    """Toytown is there, as if its files lay in the tree."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    root = tmp_path / "tree"
    for name, text in files(PAGE).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    folder = str((root / PROVIDER).parent)
    providers.__path__.append(folder)
    importlib.invalidate_caches()
    discover.cache_clear()
    try:
        yield Added(root, Case(discover()["toytown"], root / FIXTURES))
    finally:
        providers.__path__.remove(folder)
        discover.cache_clear()
        sys.modules.pop("city_data.providers.toytown", None)
        vars(providers).pop("toytown", None)


def checks() -> list[tuple[str, Callable[..., None], dict[str, Any]]]:
    """Every test of the contract that is about one provider, once for each of its parameters."""
    cases = []
    for name, check in inspect.getmembers(contract, inspect.isfunction):
        if name.startswith("test_") and "case" in inspect.signature(check).parameters:
            marks = [mark.args for mark in getattr(check, "pytestmark", ()) if mark.name == "parametrize"]
            cases += [(name, check, {argument: v}) for argument, values in marks for v in values] or [(name, check, {})]
    return cases


def test_a_provider_is_one_file_and_its_fixtures(added: Added) -> None:
    fixtures = {f"{FIXTURES}/{name}.json" for name in ("request", "2026-09", "source")}
    assert added.touched == {PROVIDER, *fixtures}
    facts = SourceFacts.model_validate_json((added.root / FIXTURES / "source.json").read_bytes())
    assert facts.spoilt
    assert "toytown" in discover()
    assert "toytown" in known_providers()


@pytest.mark.parametrize(
    ("check", "parameters"),
    [pytest.param(check, values, id=" ".join([name, *map(str, values.values())])) for name, check, values in checks()],
)
def test_provider_passes_the_contract_tests(
    added: Added, request: pytest.FixtureRequest, check: Callable[..., None], parameters: dict[str, Any]
) -> None:
    given = {"case": added.case, **parameters}
    wanted = inspect.signature(check).parameters
    assert {"case"} <= set(wanted)
    check(**{name: given[name] if name in given else request.getfixturevalue(name) for name in wanted})


def test_provider_passes_the_linters(added: Added) -> None:
    settings = ROOT / "pyproject.toml"
    for command in (["check"], ["format", "--check"]):
        line = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(settings), str(added.root)]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def toytown() -> Iterator[Site]:
    """Toytown's service: a file of September, in the format that the page shows."""
    stamps = Month(2026, 9).hours("Europe/Madrid")
    hours = [{"utc": stamp.isoformat(), "celsius": 10 + stamp.hour / 2, "rain_mm": 0.2} for stamp in stamps]
    with site() as service:
        service.on(f"/{HOST}/api/months/2026-09", Answer(json.dumps({"hours": hours}).encode()))
        service.on(f"/{HOST}/api/months/2026-10", Answer(status=404))
        service.on(f"/{HOST}/api/months", Answer(b"{}"))
        yield service


def test_months_load_with_the_provider(world: World, added: Added, toytown: Site) -> None:
    routes = {HOST: f"{toytown.url}/{HOST}"}
    world.monkeypatch.setenv("CITY_DATA_ROUTES", json.dumps(routes))
    (shown,) = [fence.text for fence in page(PAGE).fences if (fence.kind, fence.mark) == ("yaml", "source")]
    place = {"name": "Toytown", "country": "ES", "radius_km": 5, "enabled": True, **yaml.safe_load(shown)}
    world.write_cities([added.case.told["place"] | place])
    september, october = world.load("weather", "2026-09", "2026-10", city_id="toytown")
    assert (september.error, september.rows) == (None, 720)
    assert (october.error, october.rows) == (None, 0)
    stored, awaited = (world.entry("weather", month, "toytown") for month in ("2026-09", "2026-10"))
    assert stored is not None
    assert awaited is not None
    assert (stored.state, stored.source, stored.coverage) == ("settled", "toytown", 1.0)
    assert awaited.state == "not_yet_published"
    provider = discover()["toytown"]
    assert provider.check_connection(HttpClient("toytown", provider.capabilities, clock=StillClock(), routes=routes))
