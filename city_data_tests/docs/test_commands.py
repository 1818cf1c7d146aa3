"""Every command that a page shows exists and takes the arguments that it is given; the chart takes the values."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from city_data import environment
from city_data.cities import known_providers
from city_data.cli.commands import app
from city_data.datasets import DATASETS
from city_data_tests.docs.pages import ROOT, Fence, fences, pages
from city_data_tests.helm.charting import helm
from city_data_tests.helm.test_settings import known_to_the_api
from city_data_tests.helm.test_values import SCHEMA

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][\w-]*):", MAKEFILE, re.MULTILINE))
OUTSIDE = {"needs-a-cluster": {"helm", "kubectl"}, "needs-docker": {"docker"}}
PLACEHOLDERS = {"<city>": "madrid", "<dataset>": "weather", "<month>": "2026-10", "<url>": "http://webserver"}
_ASSIGNED = re.compile(r"([A-Z][A-Z_]*)=(.*)")
COMMANDS: Any = typer.main.get_command(app)
USAGE_ERROR: Any = typer.BadParameter.__base__  # of which an unknown option's error is another child
# What a `make bench` reads beside its arguments.
_OF_TESTS = {"BENCH_BESIDE", "BENCH_MIX_S", "ARGS"}


def variables() -> set[str]:
    return {one.name for one in environment.VARIABLES} | known_to_the_api() | _OF_TESTS


def check(line: str) -> None:
    """Raises AssertionError for a command that does not exist or is used wrongly."""
    words = shlex.split(line, comments=True)
    while words and (assigned := _ASSIGNED.fullmatch(words[0])):
        assert assigned[1] in variables(), line
        words = words[1:]
    program = Path(words[0]).name
    if "/" in words[0]:
        assert words[0].startswith(".venv/bin/"), line
    assert program in PROGRAMS, f"no test knows {program}: {line}"
    PROGRAMS[program](words[1:])


def check_make(words: list[str]) -> None:
    targets = [word for word in words if not _ASSIGNED.fullmatch(word)]
    assert targets
    assert set(targets) <= TARGETS, words
    assigned = {match[1] for word in words if (match := _ASSIGNED.fullmatch(word))}
    assert assigned <= variables() | set(re.findall(r"^(\w+) [?:]?=", MAKEFILE, re.MULTILINE)), words


def check_city_data(words: list[str]) -> None:
    """Parsed as the terminal would, and not run."""
    name, *rest = words
    commands = COMMANDS.commands
    assert name in commands, name
    try:
        context = commands[name].make_context(name, [PLACEHOLDERS.get(word, word) for word in rest])
    except USAGE_ERROR as error:
        raise AssertionError(f"city-data {shlex.join(words)}: {error.format_message()}") from error
    cities, dataset = context.params.get("city") or [], context.params.get("dataset")
    assert dataset in (None, *DATASETS)
    assert all(re.fullmatch("[a-z_]+", city) for city in cities)


def check_export(words: list[str]) -> None:
    (word,) = words
    assigned = _ASSIGNED.fullmatch(word)
    assert assigned
    assert assigned[1] in variables(), word


def check_python(words: list[str]) -> None:
    option, *rest = words
    if option.endswith(".py"):
        assert (ROOT / option).exists(), option  # test_forecast_example runs it
        return
    module, *rest = rest
    assert option == "-m"
    assert importlib.util.find_spec(module) is not None, module
    if module == "pytest":
        files = [word for position, word in enumerate(rest) if word != "-k" and rest[position - 1] != "-k"]
        assert files
        assert all((ROOT / name).exists() for name in files), files


def check_helm(words: list[str]) -> None:
    """What needs no cluster is run."""
    helm(*[str(ROOT / word) if (ROOT / word).is_dir() else word for word in words])


PROGRAMS: Mapping[str, Callable[[list[str]], None]] = {
    "make": check_make,
    "city-data": check_city_data,
    "export": check_export,
    "python": check_python,
    "helm": check_helm,
    "curl": lambda _: None,  # test_examples sends it
}


def lines(fence: Fence) -> list[str]:
    return [line for line in fence.text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("fence", fences("sh"), ids=str)
def test_commands_exist_and_take_their_arguments(fence: Fence) -> None:
    shown = lines(fence)
    assert shown
    for line in shown:
        if fence.mark:
            assert shlex.split(line)[0] in OUTSIDE[fence.mark], line
        else:
            check(line)


def test_inline_commands_exist_and_take_their_arguments() -> None:
    shown = [text for page in pages() for text in page.inline if re.match(r"(?:make|city-data) \w", text)]
    assert len(shown) >= 20
    for text in shown:
        check(text)


@pytest.mark.parametrize(
    "line",
    [
        "make tests",
        "city-data backfil",
        "city-data backfill --citty madrid",
        "city-data backfill --last none",
        "NO_SUCH_VARIABLE=1 make demo",
        "export NO_SUCH_VARIABLE=1",
        ".venv/bin/python -m no_such_module",
        ".venv/bin/python no_such_script.py",
        ".venv/bin/python -m pytest city_data_tests/no_such_test.py",
        "rm -r .",
        "bin/city-data status",
    ],
)
def test_wrong_command_is_detected(line: str) -> None:
    with pytest.raises(AssertionError):
        check(line)


def test_chart_values_on_pages_exist_in_the_chart() -> None:
    shown = [fence for fence in fences("yaml") if fence.mark == "values"]
    assert shown
    for fence in shown:
        jsonschema.validate(yaml.safe_load(fence.text), SCHEMA)


def test_cities_name_known_providers() -> None:
    for fence in fences("yaml"):
        if fence.mark == "city":
            (city,) = yaml.safe_load(fence.text)
            assert city["weather"]["provider"] in known_providers()
