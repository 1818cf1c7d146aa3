"""The TypeScript client as npm packs it: types, every method, forms, kept answers; a renamed field does not compile."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from city_data_client.cache import DiskCache

from city_data_tests.api.conftest import TENANT
from city_data_tests.api.rows import rows_of
from city_data_tests.clients.conftest import Service
from city_data_tests.clients.packages import (
    ROOT,
    TYPESCRIPT,
    compile_project,
    copied_client,
    project_with_client,
    run_tool,
)
from city_data_tests.tools import find_tool

DOCUMENT = ROOT / "api" / "contract" / "openapi.json"


def generate(document: Path, into: Path) -> str:
    done = run_tool("openapi-typescript", document, "--output", into)
    assert done.returncode == 0, done.stderr
    return into.read_text()


def test_generated_types_match_the_openapi_document(tmp_path: Path) -> None:
    made = generate(DOCUMENT, tmp_path / "schema.ts")
    assert made == (TYPESCRIPT / "src" / "schema.ts").read_text(), "run `npm run generate` in api/clients/typescript"


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A project that has installed the client as npm packs it, with the README's program, and the package's files."""
    project, files = project_with_client(tmp_path_factory.mktemp("packed"))
    shutil.copy(TYPESCRIPT / "test" / "live.ts", project)
    (program,) = re.findall(r"```ts\n(.*?)```", (TYPESCRIPT / "README.md").read_text(), re.DOTALL)
    (project / "readme.ts").write_text(f"declare const token: string, tenantId: string;\n{program}")
    return project, files


def test_package_holds_the_compiled_client_only(packed: tuple[Path, list[str]]) -> None:
    modules = ["answers", "cache", "index", "node", "schema"]
    compiled = [f"dist/{name}.{ending}" for name in modules for ending in ("d.ts", "js")]
    assert sorted(packed[1]) == sorted([*compiled, "LICENSE", "README.md", "package.json"])


def test_types_of_the_package_resolve_for_bundlers(packed: tuple[Path, list[str]]) -> None:
    """As for Node.js, in the next test."""
    compile_project(packed[0], "Bundler", "--noEmit")


def test_every_method_works_against_a_running_service(
    service: Service, packed: tuple[Path, list[str]], tmp_path: Path
) -> None:
    node = find_tool("node")
    project, _ = packed
    service.load("weather", "2026-10")
    service.load("traffic", "2026-10")
    service.load("calendar", "2026-10")
    service.load("forecast", "2026-10")
    compile_project(project, "Node16")
    service.faulty.errors = [(503, {}), (502, {"Retry-After": "0"})]
    command = [node, project / "live.js", service.url, TENANT, tmp_path / "kept"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "madrid" in found["cities"]
    assert (found["weatherRecords"], found["temperatures"]) == (31, 31)
    assert (found["volumes"], found["missing"]) == (745, 74)
    assert (found["about"]["cityId"], found["about"]["coverage"]) == ("madrid", 0.9)
    assert found["same"] is True
    assert (found["holidays"], found["trainingMissing"]) == (["2026-10-12"], 0)
    assert (found["feasts"], found["leads"]) == (1, 745 * 7)
    assert (found["onRequest"], found["calendarLines"], found["skilledLeads"]) == (31, 32, 7)
    assert (found["forecastColumns"], found["forecastDays"]) == (True, 3)
    far, wrong = found["refusals"]
    assert (far["status"], wrong["status"], wrong["problems"]) == (404, 422, 1)
    assert "nearest is" in far["message"]
    assert "must begin with http" in found["schemeless"]
    assert service.faulty.statuses[:3] == [503, 502, 200]
    _assert_downloads_agree(found)
    _assert_unchanged_answers_were_kept(service, found, tmp_path / "kept")


def _assert_downloads_agree(found: dict[str, Any]) -> None:
    tables = {kind: rows_of(kind, base64.b64decode(body)) for kind, body in found["files"].items()}
    volumes = {
        kind: [None if row["traffic_volume"] in (None, "") else float(row["traffic_volume"]) for row in rows]
        for kind, rows in tables.items()
    }
    assert set(volumes) == {"json", "ndjson", "csv", "arrow", "parquet"}
    assert all(column == volumes["json"] for column in volumes.values())
    assert (len(volumes["json"]), volumes["json"].count(None)) == (745, 74)
    assert found["trainingLines"] == 32


def _assert_unchanged_answers_were_kept(service: Service, found: dict[str, Any], folder: Path) -> None:
    """The second CSV and the second reading from disk: 304 after 200 of the same tag."""
    assert (found["unchanged"], found["fromDisk"]) == (True, True)
    conditional = [headers.get("if-none-match") for _, _, headers in service.faulty.asked]
    answered = [status for status, tag in zip(service.faulty.statuses, conditional, strict=True) if tag]
    assert len(answered) >= 4
    assert set(answered) == {304}
    assert found["left"] == [["a", "c"], ["a", "c"]]
    # The folder is the Python client's too.
    (file,) = folder.glob("*.answer")
    entry = json.loads(file.read_bytes().partition(b"\n")[0])
    kept = DiskCache(folder).get(entry["name"])
    assert kept is not None
    assert len(json.loads(kept.body)) == 745
    assert kept.etag == conditional[-1]


def test_renamed_field_does_not_compile(tmp_path: Path) -> None:
    fields = ["traffic_volume", "temperature", "weather_record_count"]
    client = copied_client(tmp_path)
    document = tmp_path / "openapi.json"
    document.write_text(re.sub(rf'"({"|".join(fields)})"', r'"\1_renamed"', DOCUMENT.read_text()))
    generate(document, client / "src" / "schema.ts")
    built = run_tool("tsc", "-p", client / "tsconfig.test.json", "--noEmit")
    assert built.returncode != 0
    assert [field for field in fields if f"Property '{field}' does not exist" not in built.stdout] == []
