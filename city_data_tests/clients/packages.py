"""npm's packages of the tests, the TypeScript client as it is published, and Python environments beside the tests' own.

Belongs here: finding and running their programs, packing and installing the client. Does not: any test.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from city_data_tests.tools import find_tool, refuse_or_skip

ROOT = Path(__file__).parents[2]
TYPESCRIPT = ROOT / "api" / "clients" / "typescript"
TEST_TOOLS = ROOT / "city_data_tests" / "node_modules"
ENVIRONMENTS = Path(sys.prefix) / "clients"


def interpreter(name: str) -> Path:
    """The Python of an environment. Skips the test where it is absent; fails there where CI requires it."""
    python = ENVIRONMENTS / name / "bin" / "python"
    if not python.exists():
        refuse_or_skip(f"{python} is not there; `make client-environments` makes it where its Python is")
    return python


def run_tool(tool: str, *arguments: str | Path, cwd: Path = TYPESCRIPT) -> subprocess.CompletedProcess[str]:
    """A program that npm brings. Skips the test where it is absent; fails there where CI requires it."""
    for folder in (TYPESCRIPT / "node_modules", TEST_TOOLS):
        installed = folder / ".bin" / tool
        if installed.exists():
            return subprocess.run([installed, *arguments], capture_output=True, text=True, check=False, cwd=cwd)
    return refuse_or_skip(f"{tool} is not installed; `make clients` brings it where npm is")


def copied_client(folder: Path) -> Path:
    """The TypeScript client's sources in a folder that may be changed, with the tools that are installed for them."""
    copy = folder / "client"
    shutil.copytree(TYPESCRIPT, copy, ignore=shutil.ignore_patterns("node_modules", "dist*"))
    (copy / "node_modules").symlink_to(TYPESCRIPT / "node_modules")
    return copy


def project_with_client(folder: Path) -> tuple[Path, list[str]]:
    """A project that has installed the packed client from its tarball, and the tarball's files."""
    run_tool("tsc", "--version")  # skips where npm's packages are not installed
    copy = copied_client(folder)
    npm = [find_tool("npm"), "pack", "--json", "--loglevel", "error", "--foreground-scripts=false"]
    done = subprocess.run(npm, capture_output=True, text=True, check=False, cwd=copy)
    assert done.returncode == 0, done.stderr
    packed = json.loads(done.stdout)[0]
    project = folder / "project"
    modules = project / "node_modules"
    modules.mkdir(parents=True)
    with tarfile.open(copy / packed["filename"]) as archive:
        archive.extractall(modules, filter="data")
    (modules / "package").rename(modules / "city-data-client")
    (modules / "@types").symlink_to(TYPESCRIPT / "node_modules" / "@types")
    (modules / "undici-types").symlink_to(TYPESCRIPT / "node_modules" / "undici-types")
    (project / "package.json").write_text('{"type": "module", "private": true}')
    return project, [entry["path"] for entry in packed["files"]]


def compile_project(project: Path, resolution: str, *options: str) -> None:
    """Every `*.ts` of the project, as strictly as TypeScript can. Raises AssertionError with what it finds."""
    settings = {
        "strict": True,
        "target": "ES2022",
        "lib": ["ES2022", "DOM", "DOM.Iterable"],
        "types": ["node"],
        "module": "Preserve" if resolution == "Bundler" else resolution,
        "moduleResolution": resolution,
        "exactOptionalPropertyTypes": True,
        "skipLibCheck": False,
    }
    (project / "tsconfig.json").write_text(json.dumps({"compilerOptions": settings, "include": ["*.ts"]}))
    done = run_tool("tsc", "-p", project, *options, cwd=project)
    assert done.returncode == 0, done.stdout
