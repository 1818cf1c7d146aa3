"""docs/adding-a-dataset.md, executed: its blocks make a copy of the tree that has the dataset, from end to end."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from city_data_tests.docs.copies import copied_tree, probe, run

PAGE, PROBE = "adding-a-dataset.md", "dataset_probe"


def test_dataset_is_stored_and_served_by_every_route(database_url: str, tmp_path: Path) -> None:
    tree = copied_tree(tmp_path, PAGE)
    found = probe(tree, PROBE, database_url)
    assert found["schema"] == []
    expected = [None if n == 5 else n % 24 for n in range(720)]
    for kind, values in found["history"].items():
        assert [None if value in (None, "") else float(value) for value in values] == expected, kind
    assert found["record"] == ["date", "nitrogen_dioxide", "source"]
    assert found["on_request"] is None
    first, *others = found["frame"]
    assert first == [round(mean(n for n in range(24) if n != 5), 2), False]
    assert others == [[mean(range(24)), False]] * 29
    assert found["empty"] == [[None, True]] * 30
    assert found["same_columns"]
    assert found["file"] == [720, 200]
    assert found["sources"] == ["toytown_air"]
    assert found["count"] == 720
    assert found["snapshot"].startswith("1~madrid~air.2026-09.1~")
    assert found["documented"]
    assert found["breaks"] == []
    run(tree, "ruff", "check", "--no-cache", "city_data")
    run(tree, "ruff", "format", "--check", "--no-cache", "city_data/providers/toytown_air.py", "city_data/datasets.py")
