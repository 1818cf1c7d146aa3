"""The files of the page: headers, caching and packaging. Their behaviour in a browser: ../../browser/."""

from __future__ import annotations

import fnmatch
import gzip
import tomllib
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.routes import page
from city_data.datasets import DATASETS
from city_data.frames.training_columns import training_columns
from city_data_tests.api.conftest import MakeClient
from city_data_tests.api.issuer import Issuer, locked_by

NAMES = sorted(path.relative_to(page.FOLDER).as_posix() for path in page.FOLDER.rglob("*") if path.is_file())
LARGEST = 600 * 1024


def test_page_has_a_strict_policy_and_is_revalidated_each_time(empty_reader: TestClient) -> None:
    answer = empty_reader.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    again = empty_reader.get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", answer.headers["ETag"])
    head = empty_reader.head("/")
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", answer.headers["ETag"])


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_unchanged(empty_reader: TestClient, name: str) -> None:
    content = (page.FOLDER / name).read_bytes()
    assert len(content) < LARGEST
    plain = empty_reader.get(f"/page/{name}", headers={"Accept-Encoding": "identity"})
    packed = empty_reader.get(f"/page/{name}", headers={"Accept-Encoding": "gzip"})
    assert plain.content == packed.content == content
    assert (plain.headers.get("Content-Encoding"), packed.headers["Content-Encoding"]) == (None, "gzip")
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["nothing.js", "../static.py", "%2e%2e/settings.py", "vendor", "vendor/", ""])
def test_paths_outside_the_files_are_404(empty_reader: TestClient, path: str) -> None:
    assert empty_reader.get(f"/page/{path}").status_code == 404


def test_units_are_those_of_the_datasets(empty_reader: TestClient) -> None:
    facts = empty_reader.get("/page/facts.json").json()
    assert {name: [(c["name"], c["unit"]) for c in one["columns"]] for name, one in facts["datasets"].items()} == {
        name: [(column.name, column.unit) for column in dataset.columns] for name, dataset in DATASETS.items()
    }
    frame = [column.name for column in training_columns("daily")]
    assert [column["name"] for column in facts["frame"]] == frame
    assert facts["tenant_claim"] == "tenant_id"


@pytest.mark.parametrize("mode", ["none", "jwt"])
def test_documentation_is_linked_only_where_it_is_served(make_client: MakeClient, tmp_path: Path, mode: str) -> None:
    client = make_client(**(locked_by(Issuer(), tmp_path) if mode == "jwt" else {"auth_mode": "none"}))
    is_linked = client.get("/page/facts.json").json()["documentation"]
    assert is_linked is (client.get("/docs").status_code == 200) is (mode == "none")


def test_window_is_the_retention_window(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = make_client().get("/page/facts.json").json()
    assert (facts["window_months"], facts["as_of"]) == (24, None)
    monkeypatch.setenv("CITY_DATA_RETENTION_MONTHS", "36")
    monkeypatch.setenv("CITY_DATA_AS_OF", "2026-03-04")
    facts = make_client().get("/page/facts.json").json()
    assert (facts["window_months"], facts["as_of"]) == (36, "2026-03-04T00:00:00+00:00")


def test_page_can_be_disabled(make_client: MakeClient) -> None:
    client = make_client(api_page=False)
    assert {client.get(path).status_code for path in ("/", "/page/app.js", "/page/facts.json")} == {404}
    assert client.get("/api/v1/external/cities").status_code == 200


def test_the_package_holds_every_file() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["api"]

    def is_packed(name: str) -> bool:
        return any(name.count("/") == one.count("/") and fnmatch.fnmatch(name, one) for one in patterns)

    assert [name for name in NAMES if not is_packed(f"page/{name}")] == []


def test_compressed_files_are_the_same_in_every_process() -> None:
    """Replicas have equal ETags: gzip's timestamp is omitted."""
    packed_file = page.PageFile.of(".js", b"let a = 1;" * 100)
    assert packed_file == page.PageFile.of(".js", b"let a = 1;" * 100)
    assert packed_file.packed[4:8] == b"\0\0\0\0"
    assert gzip.decompress(packed_file.packed) == packed_file.plain
