"""The project as its users install it: the wheel, and environments of one extra each without a package index.

Belongs here: building, and what an extra brings. Does not: any test.

An environment is a folder of links to what is installed here, and Python is started without its own site-packages. So
an import that the extra does not bring fails, as it would where a user installed that extra alone.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NAME = "city-data"


def build_wheel(folder: Path) -> Path:
    """Built from a copy: setuptools leaves a build/ behind, whose files the next wheel would hold too."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("city_data", "api"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", folder, source], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """The unpacked wheel, and the distributions that its extras bring."""

    folder: Path

    @property
    def own(self) -> Distribution:
        (metadata,) = self.folder.glob("*.dist-info")
        return PathDistribution(metadata)

    def direct(self, *extras: str) -> set[str]:
        """The names that the core and these extras declare, those of included extras too."""
        return {canonicalize_name(each.name) for each in self._declared(set(extras))}

    def closure(self, *extras: str) -> set[str]:
        """All that an installation of these extras brings, by the metadata of what is installed here."""
        matches: dict[str, set[str]] = {}
        waiting = self._declared(set(extras))
        while waiting:
            each = waiting.pop()
            name, wanted = canonicalize_name(each.name), {"", *each.extras}
            if not wanted <= matches.get(name, set()):
                matches[name] = matches.get(name, set()) | wanted
                waiting += _applying(distribution(name), matches[name])
        return set(matches)

    def environment(self, folder: Path, *extras: str) -> Path:
        """A folder for PYTHONPATH, beside `python -S`, that holds the wheel and what these extras bring."""
        folder.mkdir()
        parts = [self.own, *(distribution(name) for name in self.closure(*extras))]
        owners: dict[str, list[Distribution]] = {}
        for part in parts:
            for top in {file.parts[0] for file in part.files or [] if file.parts[0] != ".."}:
                owners.setdefault(top, []).append(part)
        for top, shared_by in owners.items():
            if len(shared_by) == 1:
                (folder / top).symlink_to(str(shared_by[0].locate_file(top)))
            else:
                for part in shared_by:
                    _link_files(folder, part, top)
        return folder

    def _declared(self, extras: set[str]) -> list[Requirement]:
        matches = _applying(self.own, {"", *extras})
        included = {extra for each in matches if canonicalize_name(each.name) == NAME for extra in each.extras}
        if not included <= extras:
            return self._declared(extras | included)
        return [each for each in matches if canonicalize_name(each.name) != NAME]


def unpack(wheel: Path, folder: Path) -> Installed:
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    return Installed(folder)


def _applying(part: Distribution, extras: set[str]) -> list[Requirement]:
    every = map(Requirement, part.requires or [])
    return [each for each in every if each.marker is None or any(each.marker.evaluate({"extra": e}) for e in extras)]


def _link_files(folder: Path, part: Distribution, top: str) -> None:
    """A folder of several distributions, such as google/, is made of their files one by one."""
    for file in part.files or []:
        if file.parts[0] == top and "__pycache__" not in file.parts:
            link = folder / file
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(str(part.locate_file(file)))
