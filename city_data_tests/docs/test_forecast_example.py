"""The forecasting examples, run on the sandbox's months: their pages show what they print, and the figures agree."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import httpx
import pytest

from api.app import create_app
from api.settings import Settings
from city_data.datasets import DATASETS
from city_data.window import Month, rolling_window
from city_data_tests.api.sockets import serving
from city_data_tests.docs.pages import ROOT, fences
from city_data_tests.stored_months import store_months
from city_data_tests.world import AS_OF, World, shipped

MADRID = [Month(2026, month) for month in range(7, 10)]
ZURICH = [*rolling_window(AS_OF, 24).complete_months(), Month(2026, 11)]


def printed(url: str, example: str) -> list[str]:
    """The example's lines, by the command that a page shows."""
    (command,) = [line for fence in fences("sh") for line in fence.text.splitlines() if example in line]
    words = [sys.executable, *shlex.split(command)[1:], "--url", url]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "api" / "clients" / "python")}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def shown(mark: str) -> list[str]:
    (fence,) = [fence for fence in fences("text") if fence.mark == mark]
    return fence.text.splitlines()


def reader(world: World) -> Settings:
    return Settings.model_validate({"database_url": world.database_url, "auth_mode": "none"})


def verdict(gain: float, margin: float) -> str:
    return "a gain" if gain > margin else "a loss" if gain < -margin else "no difference beyond chance"


def test_page_shows_what_the_example_of_history_prints(world: World) -> None:
    for dataset in ("weather", "traffic"):
        store_months(world.database, world.archive, world.feed(dataset), MADRID, AS_OF)  # type: ignore[arg-type]
    with serving(create_app(reader(world)), lifespan=True) as port:
        coverage, snapshot, *comparison = printed(f"http://127.0.0.1:{port}", "demand_model.py")
    assert coverage.startswith("madrid: weather ")
    assert "1~madrid~" in snapshot
    assert shown("comparison") == comparison

    assert comparison[0].startswith("the sales are made up")
    means = {line.split(": ")[0]: float(line.split(": ")[1].split()[0]) for line in comparison[1:4]}
    assert list(means) == ["mean error, seasonal naive", "mean error, shop", "mean error, city"]
    gain, margin = map(float, re.findall(r"-?\d+\.\d", comparison[-2]))
    assert gain == pytest.approx(means["mean error, shop"] - means["mean error, city"], abs=0.11)
    assert comparison[-1] == verdict(gain, margin)


def test_page_shows_what_the_example_of_matching_leads_prints(world: World) -> None:
    world.write_cities([entry for entry in shipped() if entry["city_id"] == "zurich"])
    for dataset in DATASETS:
        if dataset != "traffic":
            store_months(world.database, world.archive, world.feed(dataset, "zurich"), ZURICH, AS_OF)
    with serving(create_app(reader(world)), lifespan=True) as port:
        url = f"http://127.0.0.1:{port}"
        snapshots, *lines = printed(url, "matching_leads.py")
        skill = httpx.get(f"{url}/api/v1/cities/zurich/forecast/skill").json()["skill"]
    assert snapshots.count("1~zurich~") == 2
    assert shown("leads") == lines

    made_up, *blocks = lines
    assert made_up.startswith("the sales are made up")
    for lead in (1, 3, 5):
        title, calendar, measured, forecast, gained, *blocks = blocks
        assert f"lead {lead}," in title
        errors = [float(line.rpartition(" ")[2]) for line in (calendar, measured, forecast)]
        assert errors[0] > max(errors[1:]), "forecasts help"
        gain, margin = map(float, re.findall(r"-?\d+\.\d+", gained))
        assert gain == pytest.approx(errors[1] - errors[2], abs=0.11)
        assert gained.endswith(verdict(gain, margin))
    assert [line.rpartition(" ")[2] for line in blocks] == ["1", "2", "3", "4", "5"]
    assert [line.split()[1] for line in blocks] == ["25", "26", "27", "28", "29"]

    for lead, expected in {1: 0.75, 3: 1.0, 5: 1.5}.items():
        of_lead = [one for one in skill if (one["column"], one["lead_days"]) == ("temperature", lead)]
        pairs = sum(one["count"] for one in of_lead)
        assert sum(one["mae"] * one["count"] for one in of_lead) / pairs == pytest.approx(expected, rel=0.15)
