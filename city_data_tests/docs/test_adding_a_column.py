"""docs/adding-a-column.md, executed: its blocks make a copy of the tree that has the column, over months without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from city_data_tests.docs.copies import NotApplied, applied, copied_tree, probe, run
from city_data_tests.docs.pages import page
from city_data_tests.world import World

PAGE, PROBE, COLUMN, MONTH = "adding-a-column.md", "column_probe", "humidity_max", "2026-09"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_tree(tmp_path_factory.mktemp("tree"), PAGE)


@pytest.mark.timeout(400)  # five processes of a whole platform, one after the other
def test_column_is_stored_checked_and_served_in_every_format(world: World, tree: Path) -> None:
    """By the commands of the page's last section: first the migration, then a replay of what the archive holds."""
    assert [done.error for done in world.load("weather", MONTH)] == [None]
    world.monkeypatch.setenv("DAGSTER_HOME", world.dagster_home)
    run(tree, "city_data.cli", "migrate")
    before = probe(tree, PROBE, COLUMN, MONTH)
    assert before["schema"] == []
    assert before["documented"]
    assert before["plausible"] == [True, True, False, False]
    assert set(before["stored"]) == {None}
    assert len(before["forms"]) == 25
    assert {value for values in before["forms"].values() for value in values} == {None}

    run(tree, "city_data.cli", "replay", "--dataset", "weather", "--from", MONTH, "--to", MONTH, "--apply")
    after = probe(tree, PROBE, COLUMN, MONTH, before["snapshot"])
    values = after["stored"]
    assert len(values) == 30
    assert len({value for value in values if value is not None}) > 10
    for name, read in after["forms"].items():
        hourly = '"hourly"' in name
        assert (read[::24] if hourly else read) == values, name
    assert after["snapshot"] != before["snapshot"]
    assert set(after["old"]) == {None}


def test_tests_of_the_copy_pass_with_the_column(tree: Path) -> None:
    """Its contract test reads the fixture with the value; schema, days and lint hold."""
    contract, schema = "city_data_tests/providers/test_contract.py", "city_data_tests/store/test_schema.py"
    wanted = "aemet or lead_to_the_schema"
    run(tree, "pytest", "-q", "-p", "no:cacheprovider", contract, schema, "-k", wanted)
    run(tree, "ruff", "check", "--no-cache", "city_data")
    run(tree, "ruff", "format", "--check", "--no-cache", "city_data")


def test_api_contract_allows_the_column_and_generated_pages_change(tree: Path) -> None:
    """`make contract` and `make docs`, as the page says."""
    run(tree, "api.contract.document")
    assert f'"{COLUMN}"' in (tree / "api/contract/openapi.json").read_text(encoding="utf-8")
    run(tree, "api.contract.diff", "--add")
    run(tree, "api.contract.diff")
    written = run(tree, "city_data_tests.docs.generate")
    assert {"written: docs/using-the-api.md", "written: docs/sources/aemet.md"} <= set(written.splitlines())
    assert f"`{COLUMN}`" in (tree / "docs/using-the-api.md").read_text(encoding="utf-8")


def test_edit_that_does_not_apply_is_refused() -> None:
    fence = next(fence for fence in page(PAGE).fences if fence.kind == "diff")
    with pytest.raises(NotApplied, match="0 times"):
        applied(fence, "")
    before = "".join(line[1:] + "\n" for line in fence.text.splitlines() if line[0] in " -")
    with pytest.raises(NotApplied, match="2 times"):
        applied(fence, before * 2)
