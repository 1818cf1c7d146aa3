"""The Python client as it is published: wheel and sdist, on its oldest and newest Python, pandas 2 and 3, typed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path

import pytest

from city_data_tests.clients.conftest import Service
from city_data_tests.clients.packages import ROOT, interpreter, run_tool

CLIENT = ROOT / "api" / "clients" / "python"
MODULES = ["__init__", "arguments", "async_client", "base", "cache", "client", "errors", "frames", "questions"]


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel made of it."""
    folder = tmp_path_factory.mktemp("built")
    sources, dist = folder / "sources", folder / "dist"
    shutil.copytree(CLIENT, sources, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    uv = [Path(sys.prefix) / "bin" / "uv", "build", "--offline", "--no-build-isolation", "--python", sys.executable]
    done = subprocess.run([*uv, "--out-dir", dist, sources], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ((sdist,), (wheel,)) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    return Built(sdist, wheel)


def test_packages_hold_the_client_only(built: Built) -> None:
    modules = [f"city_data_client/{name}.py" for name in MODULES]
    with zipfile.ZipFile(built.wheel) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        described = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
        metadata = Parser().parsestr(wheel.read(described["METADATA"]).decode())
        licence = wheel.read(described["LICENSE"])
    assert sorted(names) == sorted([*modules, "city_data_client/py.typed"])
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    with tarfile.open(built.sdist) as sdist:
        contained = {name.partition("/")[2] for name in sdist.getnames()}
    assert {*names, "pyproject.toml", "README.md", "LICENSE"} <= contained


def test_every_client_has_the_projects_licence() -> None:
    licence = (ROOT / "LICENSE").read_bytes()
    assert {path.read_bytes() for path in (ROOT / "api" / "clients").glob("*/LICENSE")} == {licence}


def test_twine_accepts_the_packages(built: Built) -> None:
    command = [interpreter("newest"), "-m", "twine", "check", "--strict", built.sdist, built.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


@pytest.mark.parametrize(("name", "oldest", "pandas"), [("oldest", (3, 10), "2."), ("newest", (3, 13), "3.")])
def test_wheel_works_on_every_supported_python(
    service: Service, built: Built, tmp_path: Path, name: str, oldest: tuple[int, int], pandas: str
) -> None:
    python = interpreter(name)
    service.load("weather", "2026-10")
    service.load("traffic", "2026-10")
    service.load("calendar", "2026-10")
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*install, "--target", site, built.wheel], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONWARNINGS": "error"}
    live = CLIENT / "test" / "live.py"
    done = subprocess.run([python, live, service.url], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert tuple(found["python"]) == oldest if name == "oldest" else tuple(found["python"]) >= oldest
    assert found["versions"]["pandas"].startswith(pandas)
    assert found["file"].startswith(str(site))
    assert "madrid" in found["cities"]
    assert found["traffic"] == [745, 74, sum(n for n in range(745) if n % 10 != 9)]
    assert found["types"]["traffic_volume"] == "float64"
    assert found["types"]["congestion_level"] == "category"
    assert found["index"] == "datetime64[us, UTC]"
    assert found["coverage"] == pytest.approx(0.9)
    assert found["weather"] == [["temperature"], 31]
    assert found["polars"] == [True, 74]
    assert found["training"] == [31, ["Fiesta Nacional de España"]]
    assert found["calendar"] == [31, {"weekday": "Int64", "is_weekend": "boolean"}]
    assert found["skill"] == [0, "float64"]
    assert found["empty"] == [0, "float64"]
    assert found["refusal"] == "NotCovered"
    assert 304 in service.faulty.statuses


def test_pyright_finds_the_types_of_a_program() -> None:
    """mypy checks the same files, `test/typed.py` among them, in `make lint`."""
    done = run_tool("pyright", "--pythonpath", sys.executable, "--project", CLIENT)
    assert done.returncode == 0, done.stdout
    assert "0 errors" in done.stdout
