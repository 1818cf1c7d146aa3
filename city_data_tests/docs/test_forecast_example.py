"""The forecasting example, run on the sandbox's months: its page shows what it prints, and the figures agree."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from api.app import create_app
from api.settings import Settings
from city_data_tests.api.sockets import serving
from city_data_tests.docs.pages import ROOT, fences
from city_data_tests.world import World

MONTHS = ("2026-07", "2026-08", "2026-09")


def test_page_shows_what_the_example_prints(world: World) -> None:
    (shown,) = [fence for fence in fences("text") if fence.mark == "comparison"]
    (command,) = [line for fence in fences("sh") for line in fence.text.splitlines() if "demand_model.py" in line]
    done = [one for dataset in ("weather", "traffic") for one in world.load(dataset, *MONTHS)]  # type: ignore[arg-type]
    assert {one.error for one in done} == {None}
    settings = Settings.model_validate({"database_url": world.database_url, "auth_mode": "none"})
    with serving(create_app(settings), lifespan=True) as port:
        words = [sys.executable, *shlex.split(command)[1:], "--url", f"http://127.0.0.1:{port}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "api" / "clients" / "python")}
        example = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert example.returncode == 0, example.stderr
    coverage, snapshot, *comparison = example.stdout.splitlines()
    assert coverage.startswith("madrid: weather ")
    assert "1~madrid~" in snapshot
    assert shown.text.splitlines() == comparison

    assert comparison[0].startswith("the sales are made up")
    means = {line.split(": ")[0]: float(line.split(": ")[1].split()[0]) for line in comparison[1:4]}
    assert list(means) == ["mean error, seasonal naive", "mean error, shop", "mean error, city"]
    gain, margin = map(float, re.findall(r"-?\d+\.\d", comparison[-2]))
    assert gain == pytest.approx(means["mean error, shop"] - means["mean error, city"], abs=0.11)
    assert comparison[-1] == (
        "a gain" if gain > margin else "a loss" if gain < -margin else "no difference beyond chance"
    )
