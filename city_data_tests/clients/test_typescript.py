"""The TypeScript client: its types are the document's, a renamed field does not compile, and every method works."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from city_data_tests.api.conftest import TENANT
from city_data_tests.clients.conftest import Service
from city_data_tests.clients.packages import ROOT, TYPESCRIPT, run_tool
from city_data_tests.tools import find_tool

DOCUMENT = ROOT / "api" / "contract" / "openapi.json"


def generate(document: Path, into: Path) -> str:
    done = run_tool("openapi-typescript", document, "--output", into)
    assert done.returncode == 0, done.stderr
    return into.read_text()


def test_generated_types_match_the_openapi_document(tmp_path: Path) -> None:
    made = generate(DOCUMENT, tmp_path / "schema.ts")
    assert made == (TYPESCRIPT / "src" / "schema.ts").read_text(), "run `npm run generate` in api/clients/typescript"


def test_every_method_works_against_a_running_service(service: Service, tmp_path: Path) -> None:
    node = find_tool("node")
    service.load("weather", "2026-10")
    service.load("traffic", "2026-10")
    built = run_tool("tsc", "-p", "tsconfig.test.json", "--outDir", tmp_path)
    assert built.returncode == 0, built.stdout
    (tmp_path / "package.json").write_text('{"type": "module"}')
    service.faulty.errors = [(503, {}), (502, {"Retry-After": "0"})]
    command = [node, tmp_path / "test" / "live.js", service.url, TENANT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "madrid" in found["cities"]
    assert (found["weatherRecords"], found["temperatures"]) == (31, 31)
    assert (found["volumes"], found["missing"]) == (745, 74)
    assert (found["about"]["cityId"], found["about"]["coverage"]) == ("madrid", 0.9)
    assert found["same"] is True
    assert (found["holidays"], found["trainingMissing"]) == (["2026-10-12"], 0)
    far, wrong = found["refusals"]
    assert (far["status"], wrong["status"], wrong["problems"]) == (404, 422, 1)
    assert "nearest is" in far["message"]
    assert service.faulty.statuses[:3] == [503, 502, 200]


@pytest.mark.parametrize("field", ["traffic_volume", "temperature", "weather_record_count"])
def test_renamed_field_does_not_compile(field: str, tmp_path: Path) -> None:
    shutil.copytree(TYPESCRIPT, tmp_path / "client", ignore=shutil.ignore_patterns("node_modules", "dist*"))
    document = tmp_path / "openapi.json"
    document.write_text(DOCUMENT.read_text().replace(f'"{field}"', f'"{field}_renamed"'))
    generate(document, tmp_path / "client" / "src" / "schema.ts")
    built = run_tool("tsc", "-p", tmp_path / "client" / "tsconfig.test.json", "--noEmit")
    assert built.returncode != 0
    assert f"Property '{field}' does not exist" in built.stdout
