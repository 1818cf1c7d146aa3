"""The values: every one described, and a wrong one refused by name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from city_data_tests.helm.charting import CHART, HELM_FOLDER, HelmError, helm, helm_binary, manifests, render

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("initialBackfil.months=3", "'initialBackfil' not allowed"),
        ("daemon.strategy=Recreate", "'strategy' not allowed"),
        ("api.auth.issuerr=x", "'issuerr' not allowed"),
        ("api.auth.mode=none", "value must be 'jwt'"),
        ("api.auth.jwksUrl=http://keys.example.com", "/api/auth/jwksUrl"),
        ("retentionMonths=0", "/retentionMonths"),
        ("database.existingSecret=", "/database/existingSecret"),
        ("extraEnv.AEMET_API_KEY=abc", "AEMET_API_KEY"),
        ("extraEnv.AUTH_MODE=none", "AUTH_MODE"),
        ("rawArchive.url=s3://key:secret@bucket", "/rawArchive/url"),
        ("api.resources.limits.memroy=1Gi", "'memroy' not allowed"),
        ("api.ingress.enabled=true", "api.ingress.tlsSecret is empty"),
        ("monitoring.prometheusRule.runbooks=docs/runbooks.md", "/runbooks"),
        ("networkPolicy.apiFrom[0].podSelektor.x=y", "'podSelektor' not allowed"),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting: str, said: str) -> None:
    with pytest.raises(HelmError) as caught:
        render("--set", setting)
    assert said in str(caught.value)


def test_global_values_of_a_parent_chart_are_accepted() -> None:
    assert render("--set", "global.imageRegistry=registry.example.com")


def test_schema_allows_no_unknown_keys() -> None:
    """Every object is closed, but for maps whose values have a type, and the parent chart's globals."""
    objects = list(_objects(SCHEMA, ""))
    assert len(objects) > 30
    opened = [path for path, node in objects if node.get("additionalProperties") is not False]
    maps = [path for path, node in objects if isinstance(node.get("additionalProperties"), dict)]
    assert [path for path in opened if path not in maps] == ["/properties/global"]


def _objects(node: Any, path: str) -> Any:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield path, node
        for key, value in node.items():
            yield from _objects(value, f"{path}/{key}")


def test_schema_and_values_have_the_same_keys() -> None:
    assert _names(DEFAULTS) == _names_of(SCHEMA) - {"global"}


def _names(values: dict[str, Any], prefix: str = "") -> set[str]:
    """Dotted names of all values, down to where users' own keys begin."""
    found = set()
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _names(value, f"{name}.") if isinstance(value, dict) and value and key != "resources" else {name}
    return found


def _names_of(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, node in schema["properties"].items():
        name = f"{prefix}{key}"
        found |= _names_of(node, f"{name}.") if "properties" in node else {name}
    return found


def test_readme_table_matches_the_comments_of_the_values(tmp_path: Path) -> None:
    helm_binary()  # brings the generator too
    readme = tmp_path / "README.md"
    shutil.copy(CHART / "README.md", readme)
    generator = HELM_FOLDER / "node_modules/.bin/readme-generator"
    done = subprocess.run(
        [generator, "--values", CHART / "values.yaml", "--readme", readme],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert readme.read_text() == (CHART / "README.md").read_text(), "run `make helm-docs`"


def test_long_names_fit() -> None:
    name = "a" * 53
    for document in manifests(helm("template", name, str(CHART))):
        assert len(document["metadata"]["name"]) <= 63
        assert all(len(str(value)) <= 63 for value in document["metadata"]["labels"].values())
