"""Links on pages work, fenced blocks are run by a test, and the files they name exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest

from city_data.cities import load_registry
from city_data.datasets import DATASETS
from city_data.store.ledger import State
from city_data_tests.docs.pages import README, ROOT, Page, fences, pages

# Every kind of block, its marks, and the test that runs or checks it.
KNOWN = {
    ("sh", ""): "test_commands",
    ("sh", "needs-a-cluster"): "test_commands",
    ("sh", "needs-docker"): "test_commands",
    ("python", ""): "test_examples",
    ("python", "file"): "test_adding_a_provider, test_adding_a_column, test_adding_a_dataset",
    ("sql", ""): "test_examples",
    ("json", "answer"): "test_examples",
    ("json", "file"): "test_adding_a_provider",
    ("diff", "file"): "test_adding_a_column, test_adding_a_dataset",
    ("yaml", "city"): "test_adding_a_city",
    ("yaml", "source"): "test_adding_a_provider",
    ("yaml", "values"): "test_commands",
    ("text", ""): "a picture, in which no line is a command",
    ("text", "comparison"): "test_forecast_example",
    ("text", "leads"): "test_forecast_example",
    ("text", "map"): "here",
    ("text", "floors"): "here",
}
_COMMAND = re.compile(
    r"^\s*(?:\$ |(?:\S*/)?(?:city-data|make|curl|helm|kubectl|docker|python3?|pip) [\w./-])", re.MULTILINE
)
_ROOTS = {path.name for path in ROOT.iterdir()} - {"docs"}
_PATH = re.compile(r"(?:city_data|city_data_tests|api|helm|docs)/[\w./-]*")
# Named on the pages that have readers make them.
_INVENTED = ("toytown", "_humidity_max", "0013_air")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = pytest.mark.parametrize("page", pages(), ids=str)


def test_the_readme_is_short_and_has_both_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    commands = [
        line.split("#")[0].strip()
        for fence in fences("sh")
        if fence.page.path == README
        for line in fence.text.splitlines()
    ]
    assert {"make demo", "make test"} <= set(commands)


def test_the_readme_names_every_shipped_city_and_what_it_lacks() -> None:
    text, cities = README.read_text(encoding="utf-8"), load_registry(environ={}).all()
    (named,) = re.findall(r"^(.+) come with their sources\.$", text, re.MULTILINE)
    lacking = [[name for name in DATASETS if city.source(name) is None] for city in cities]
    expected = [
        city.name + (f" (without {' and '.join(lacks)})" if lacks else "")
        for city, lacks in zip(cities, lacking, strict=True)
    ]
    assert re.split(r", | and (?=[A-Z])", named) == expected


def unknown_blocks(page: Page) -> Iterator[str]:
    for fence in page.fences:
        if (fence.kind, "file" if fence.file else fence.mark) not in KNOWN:
            yield f"{fence}: no test runs {fence.kind} {fence.mark}"
    if page.text.count("```") != 2 * len(page.fences):
        yield f"{page}: a block that is indented or not closed"


def broken_links(page: Page) -> Iterator[str]:
    for link in page.links:
        parts = urlsplit(link)
        target = (page.path.parent / parts.path).resolve() if parts.path else page.path
        if parts.scheme:
            if parts.scheme != "https":
                yield f"{page}: {link} is not https"
        elif not target.is_file():
            yield f"{page}: {link} leads nowhere"
        elif parts.fragment and parts.fragment not in Page(target).anchors:
            yield f"{page}: {link} names no heading"


def missing_paths(page: Page) -> Iterator[str]:
    for text in page.inline:
        if _PATH.fullmatch(text) and not any(name in text for name in _INVENTED) and not (ROOT / text).exists():
            yield f"{page}: {text} does not exist"


@PAGES
def test_blocks_are_run_links_lead_somewhere_and_paths_exist(page: Page) -> None:
    assert [*unknown_blocks(page), *broken_links(page), *missing_paths(page)] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```ruby\nputs 1\n```\n", "no test runs ruby"),
        ("```\nmake demo\n```\n", "no test runs"),
        ("```sh sometimes\nmake demo\n```\n", "no test runs sh sometimes"),
        ("```yaml\na: 1\n```\n", "no test runs yaml"),
        ("- see\n\n  ```sh\n  make demo\n  ```\n", "indented"),
        ("```sh\nmake demo\n", "not closed"),
        ("[there](no-such-page.md)", "leads nowhere"),
        ("# Here\n\n[there](#no-such-heading)", "names no heading"),
        ("[there](http://example.com/)", "is not https"),
        ("`city_data/no_such_module.py`", "does not exist"),
    ],
)
def test_wrong_page_is_detected(tmp_path: Path, text: str, problem: str) -> None:
    page = Page(tmp_path / "page.md")
    page.path.write_text(text, encoding="utf-8")
    assert problem in " ".join([*unknown_blocks(page), *broken_links(page), *missing_paths(page)])


def test_text_blocks_contain_no_command() -> None:
    for fence in fences("text"):
        assert _COMMAND.search(fence.text) is None, fence


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [README]
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        found = [(path.parent / urlsplit(link).path).resolve() for link in Page(path).links if "://" not in link]
        waiting += [target for target in found if target.suffix == ".md" and target.is_relative_to(ROOT / "docs")]
    assert {page.path for page in pages()} <= reached


def test_where_to_look_tables_name_existing_files() -> None:
    rows = re.findall(
        r"^\|[^|]+\| `(\S+\.py)` \| ([^|]+)\|$", Page(ROOT / "docs" / "architecture.md").text, re.MULTILINE
    )
    assert len(rows) >= 8
    for file, cell in rows:
        source = (ROOT / file).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", cell):
            assert re.search(rf"^(?:async )?(?:def|class) {name}\b", source, re.MULTILINE), (file, name)


@pytest.mark.parametrize("page", [page for page in pages() if page.path.parent.name != "adr"], ids=str)
def test_functions_named_beside_a_file_are_in_it(page: Page) -> None:
    """As in `name` in `path`, and (`path`, `name`)."""
    found = re.findall(r"`(\w+)` in\s+`(\S+\.py)`", page.text)
    found += [(name, file) for file, name in re.findall(r"\(`(\S+\.py)`, `(\w+)`\)", page.text)]
    for name, file in found:
        assert re.search(
            rf"\b(?:def|class) {name}\b|^{name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
        ), (name, file)


def test_architecture_map_lists_every_package_and_module() -> None:
    (shown,) = [fence.text for fence in fences("text") if fence.mark == "map"]
    inside = {line.split()[0].rstrip("/") for line in shown.splitlines() if line.startswith("  ")}
    top = {line.split()[0].rstrip("/") for line in shown.splitlines() if not line.startswith(" ")}
    package = ROOT / "city_data"
    modules = {path.name for path in package.iterdir() if path.suffix == ".py" and path.name != "__init__.py"}
    packages = {path.parent.name for path in package.glob("*/__init__.py")}
    assert inside == modules | packages
    assert top <= _ROOTS | {"docs"}
    (rooms,) = re.findall(r"^api/ +the HTTP reader: (.+)$", shown, re.MULTILINE)
    folders = {path.name for path in (ROOT / "api").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name.rstrip("/") for name in rooms.split(", ")} == folders


def test_documented_layers_are_those_of_import_linter() -> None:
    (shown,) = [fence.text for fence in fences("text") if fence.mark == "floors"]
    floors = [re.split(r" {2,}", line.strip())[0] for line in shown.splitlines()]
    (layers,) = [one["layers"] for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    assert [set(floor.split(" | ")) for floor in floors] == [set(layer.split(" | ")) for layer in layers]


def test_extras_named_on_pages_exist() -> None:
    named = {name for page in pages() for name in re.findall(r"city-data\[(\w+)\]", page.text)}
    assert named
    assert named <= set(PYPROJECT["project"]["optional-dependencies"])


def test_every_state_of_a_month_is_explained() -> None:
    text = Page(ROOT / "docs" / "architecture.md").text
    shown = re.findall(r"^\| `(\w+)` \| [^|`]+\|$", text, re.MULTILINE)
    assert set(shown) == set(get_args(State))


def test_every_decision_has_its_sections_and_is_listed() -> None:
    listed = Page(ROOT / "docs" / "adr" / "README.md").links
    found = sorted(path for path in (ROOT / "docs" / "adr").glob("0*.md"))
    assert [path.name for path in found] == listed
    for number, path in enumerate(found, start=1):
        decision = Page(path)
        assert path.name.startswith(f"{number:04}-")
        assert decision.anchors >= {"context", "decision", "figures"}
        assert re.search(r"^Status: (?:accepted|replaced by \[\d{4}\])", decision.text, re.MULTILINE)
        assert decision.fences, "a figure has the command that makes it"
