"""Rules of the house that no linter has: sizes, where variables are named, which modules are providers."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from city_data import environment
from city_data.cities import known_providers
from city_data.datasets import DATASETS
from city_data.providers import discover
from city_data_tests.bench.__main__ import BENCHES

ROOT = Path(__file__).parents[1]
MOST_LINES, MOST_FUNCTION_LINES = 300, 60


def python_files(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *(f"{folder}/*.py" for folder in folders)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).exists()]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_300_lines() -> None:
    files = python_files("city_data", "api", "city_data_tests")
    assert len(files) > 200
    assert [str(f.relative_to(ROOT)) for f in files if len(f.read_text().splitlines()) > MOST_LINES] == []


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path in python_files("city_data", "api", "city_data_tests")
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert long == []


def test_every_benchmark_loads() -> None:
    """`make test` runs none of them: one imported a constant that had moved, and nobody could measure anything."""
    assert all(callable(run) for run in BENCHES.values())


def test_known_providers_are_those_that_are_discovered() -> None:
    """The registry knows providers by their modules' names alone; any other module there would pass for one."""
    assert known_providers() == sorted(discover())


def test_a_variable_is_named_in_environment_alone() -> None:
    """The reader's settings name theirs themselves: a deployment of the reader alone has no other."""
    allowed = {ROOT / "city_data" / "environment.py", ROOT / "api" / "settings.py"}
    variables = {variable.name for variable in environment.VARIABLES}
    assert len(variables) > 20
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value}"
        for path in python_files("city_data", "api")
        if path not in allowed and "clients" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in variables
    ]
    assert named == []


# Early words of the project, each replaced by the field's: requested, reported or recorded, stored, built, a noun.
RETIRED = {"asked", "told", "held", "made", "found"}
# Names of the standard library's.
FOREIGN = {"FileNotFoundError", "ModuleNotFoundError", "PackageNotFoundError", "connection_made"}


def names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def test_names_use_the_fields_words() -> None:
    retired = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in python_files("city_data", "api")
        if not {"clients", "versions"} & {path.parent.name, *path.parts}
        for name in names(ast.parse(path.read_text(encoding="utf-8")))
        if name not in FOREIGN and RETIRED & set(re.findall("[a-z]+", re.sub("([A-Z])", r"_\1", name).lower()))
    ]
    assert retired == []


def test_only_the_registry_names_a_dataset() -> None:
    """A rule that asks for a dataset by name takes the wrong branch for the next one. Sources, their stand-ins,
    migrations and clients are each made for one dataset; all else follows from what datasets.py declares."""
    registry = "city_data/datasets.py"
    of_one_dataset = ("city_data/providers/", "city_data/sandbox/", "city_data/store/migrations/", "api/clients/")
    names = "|".join(DATASETS)
    named = re.compile(rf"""["']({names})["']|\b({names.upper()})\b|\.({names})\b""")
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in python_files("city_data", "api")}
    assert named.search(texts.pop(registry))
    texts |= {f"api/page/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "api/page").glob("*.js")}
    asking = [name for name, text in texts.items() if not name.startswith(of_one_dataset) and named.search(text)]
    assert asking == []
