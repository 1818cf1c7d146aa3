"""The generated parts of pages match the code."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from api.settings import Settings
from city_data import environment
from city_data.cities import known_providers
from city_data.providers import discover
from city_data.store.database import Database
from city_data_tests.docs import generate, metrics, sources, variables
from city_data_tests.docs.pages import ROOT, Page, page, pages

_LITERAL = re.compile(r'"((?:CITY_DATA|API|AUTH|TENANT|AEMET|OPENWEATHER|METEO_FRANCE|SLACK)_[A-Z_]*[A-Z])"')


def test_pages_are_up_to_date(database: Database) -> None:
    known = generate.parts(database)
    stale = [str(one) for one in pages() if generate.renewed(one, known) != one.text]
    assert not stale, f"run `make docs`: {', '.join(stale)}"


def test_every_generated_part_is_on_a_page(database: Database) -> None:
    shown = [name for one in pages() for name in generate.names(one)]
    assert set(generate.parts(database)) == set(shown)


def test_a_changed_fact_makes_its_page_stale(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    later = replace(environment.KEEP_VERSIONS, default="7")
    others = tuple(one for one in environment.VARIABLES if one.name != later.name)
    monkeypatch.setattr(variables, "VARIABLES", (*others, later))
    configuration = page("configuration.md")
    assert generate.renewed(configuration, generate.parts(database)) != configuration.text


def test_unknown_generated_part_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("<!-- generated: weather -->\n<!-- end -->\n", encoding="utf-8")
    with pytest.raises(KeyError, match="weather"):
        generate.renewed(Page(file), {})


def test_every_variable_that_the_code_names_is_documented() -> None:
    text = page("configuration.md").text
    named = {
        name
        for folder in ("api", "city_data")
        for file in (ROOT / folder).rglob("*.py")
        for name in _LITERAL.findall(file.read_text(encoding="utf-8"))
        if "clients" not in file.parts
    }
    assert len(named) > 30
    assert {name for name in named if f"`{name}`" not in text} == set()


def test_every_setting_has_its_own_description() -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description is not None) != (name in variables.MEANINGS), (
            f"{name}: one meaning, in the field or in MEANINGS"
        )


def test_exporter_metrics_have_labels_and_a_description(database: Database) -> None:
    families = metrics.exporter_families(database)
    assert len(families) >= 12
    assert all(family.documentation and family.samples for family in families)


def test_every_source_has_its_page() -> None:
    shown = {path.stem for path in (ROOT / "docs" / "sources").glob("*.md")} - {"README", "candidates"}
    assert shown == set(discover()) == set(known_providers())
    for name in shown:
        assert generate.names(page(f"sources/{name}.md")) == [f"source {name}"]
        assert sources.facts(discover()[name]) in page(f"sources/{name}.md").text
